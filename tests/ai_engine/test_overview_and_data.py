"""``status``, ``init``, ``import`` and ``inspect``: what a home holds, and what its logs can prove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ai_engine
from ai_engine.data import import_log, init, inspect
from ai_engine.deploy.champion import bare_rule
from ai_engine.deploy.registry import Registry
from ai_engine.overview import WIDTH, status
from ai_engine.reporting import write_run_report
from ai_engine.runs import Run
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import estimated_behavior, open_workspace
from envs.errors import DataError, HomeError, RetrainerError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification
from tests import homes
from tune_configs.gate.budget import alpha_at

AGENT = homes.AGENT


def file_of(path: Path, episodes: int = 60, *, broken: int | None = None) -> Path:
    """A file of decisions; row ``broken`` has a propensity of 2."""
    lines = []
    for index, record in enumerate(homes.records(episodes)):
        mapping = record.to_mapping()
        if index == broken:
            mapping["propensity"] = 2.0
        lines.append(json.dumps(mapping))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_status_follows_an_agents_life(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    home.declare(homes.specification(name="silent"))
    (agent, silent) = status(home).agents
    assert (agent.agent, agent.decisions, agent.champion) == (AGENT, homes.EPISODES * homes.HORIZON, f"{AGENT}@0")
    assert (agent.looks, agent.alpha_left, agent.held) == (0, 0.05, False)
    assert agent.versions == 1 + len({*tuned.finalists, tuned.recommended})
    assert (silent.agent, silent.decisions, silent.champion, silent.versions) == ("silent", 0, "", 0)
    passed = ai_engine.gate(AGENT, home=home)
    assert status(home).agents[0].last.startswith("gate promote: gain ")
    ai_engine.promote(passed.version, home=home)
    ai_engine.rollback(AGENT, home=home, reason="too slow")
    agent = status(home).agents[0]
    assert (agent.champion, agent.looks, agent.held) == (f"{AGENT}@0", 1, True)
    assert agent.alpha_left == pytest.approx(0.05 - alpha_at(1))
    assert agent.last == "rollback too slow"
    text = status(home).to_text()
    assert "held" in text and text.splitlines()[-1] == f"2 agents in {home.path}."
    assert json.loads(json.dumps(status(home).to_json()))["agents"][0]["alpha_left"] == pytest.approx(agent.alpha_left)


def test_a_long_reason_leaves_the_line_of_status_whole(home: Home) -> None:
    reason = " ".join(["the latency rose after the release of Tuesday"] * 5)
    registry = open_workspace(AGENT, home).registry
    open_workspace(AGENT, home).champion()
    for said, shown in ((reason, "hold the latency rose"), ("too slow", "hold too slow")):
        registry.hold(AGENT, said)
        (agent,) = status(home).agents
        head, line, _ = status(home).to_text().splitlines()
        assert len(line) <= WIDTH and line[head.index("last") :].startswith(shown)
        assert line.endswith("…") == (said == reason) and agent.last == f"hold {said}"
    home.declare(homes.specification(name="a" * 60))
    registry.hold(AGENT, reason)
    line = next(line for line in status(home).to_text().splitlines() if line.startswith(AGENT))
    assert line.endswith("…") and "hold the latency" in line


def test_status_counts_what_the_declaration_does_not_know(tmp_path: Path) -> None:
    fields = (
        ObservationField("zone", "category", categories=("a", "b"), optional=True),
        ObservationField("tags", "tags", categories=("gpu",)),
    )
    home = homes.make_home(tmp_path / "home", [], rule="")
    home.declare(AgentSpecification("chosen", ObservationSpecification("object", fields), ("stay", "go")))
    seen = [
        {"zone": "a", "tags": []},
        {"zone": "c", "tags": ["gpu"]},
        {"tags": ["new", "odd"]},
        {"zone": "d", "tags": []},
    ]
    made = [
        DecisionRecord.from_mapping(
            {"event_id": str(n), "agent": "chosen", "observation": s, "action": "go", "reward": 1}
        )
        for n, s in enumerate(seen)
    ]
    Journal(home.journal_path).append(made)
    (agent,) = (item for item in status(home).agents if item.agent == "chosen")
    assert (agent.unknown, agent.newest) == ({"zone": 2, "tags": 1}, 4)
    assert "chosen: 2 of its newest 4 decisions have an undeclared zone." in status(home).to_text()
    assert json.loads(json.dumps(status(home).to_json()))["agents"][-1]["unknown"] == {"zone": 2, "tags": 1}


def test_a_damaged_ledger_is_told_and_hides_no_other_agent(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    home.declare(homes.specification(name="other"))
    Registry(home).initialise(bare_rule(home.specification("other")))
    (entry,) = home.models_path.glob(f"ledger/{AGENT}/00000001.json")
    entry.write_bytes(entry.read_bytes().replace(b"version0", b"promoted"))
    damaged, other = status(home).agents
    assert (damaged.champion, damaged.alpha_left, other.champion) == ("", 0.0, "other@0")
    assert f"{AGENT}: " in status(home).to_text() and "the ledger entry was altered" in status(home).to_text()


def test_status_says_why_a_declaration_is_refused(tmp_path: Path) -> None:
    """Else what it counts by that declaration would only vanish."""
    home = homes.make_home(tmp_path / "home", [], rule="")
    load = ObservationSpecification("object", (ObservationField("load", unit="ms"),))
    home.declare(AgentSpecification("chosen", load, ("stay", "go")))
    text = home.configuration_path.read_text()
    assert status(home).agents[-1].refused == ""
    home.configuration_path.write_text(text.replace('unit = "ms"', 'unit = "s"'))
    line = "chosen: the declaration is refused: observation.load: was in ms, is in s; declare version = 2 if"
    assert line in status(home).to_text()
    assert "was in ms" in json.loads(json.dumps(status(home).to_json()))["agents"][-1]["refused"]


def test_an_empty_home_says_so_and_nothing_else_is_a_home(tmp_path: Path) -> None:
    made = init(tmp_path / "new")
    assert made.to_json() == {"schema_version": 1, "home": str(tmp_path / "new")}
    assert status(made.path).to_text() == f"No agent yet in {made.path}."
    text = (made.path / "retrainer.toml").read_text() + "\n# mine\n"
    (made.path / "retrainer.toml").write_text(text)
    key = (made.path / "data" / "split_key").read_bytes()
    init(made.path)
    assert (made.path / "retrainer.toml").read_text() == text
    assert (made.path / "data" / "split_key").read_bytes() == key
    with pytest.raises(HomeError, match="retrainer init"):
        status(tmp_path / "nowhere")


def test_importing_makes_a_home_only_for_good_rows(tmp_path: Path) -> None:
    bad, good = file_of(tmp_path / "bad.jsonl", broken=7), file_of(tmp_path / "good.jsonl")
    where = tmp_path / "home"
    with pytest.raises(RetrainerError) as raised:
        import_log(AGENT, [bad], home=where)
    assert "propensity" in str(raised.value)
    assert not where.exists()
    import_log(AGENT, [good], home=where, dry_run=True)
    assert not where.exists()
    import_log(AGENT, [good], home=where)
    assert Journal(Home(where).journal_path).counts() == {AGENT: 180}
    import_log(AGENT, [good], home=where)  # the same records once more are the same records
    assert Journal(Home(where).journal_path).counts() == {AGENT: 180}


def test_the_good_rows_alone_when_asked(tmp_path: Path) -> None:
    report = import_log(AGENT, [file_of(tmp_path / "bad.jsonl", broken=7)], home=tmp_path / "home", keep_good=True)
    assert report.rejected
    assert 0 < Journal(Home(tmp_path / "home").journal_path).counts()[AGENT] < 180


def test_inspecting_is_the_card_and_writes_only_its_page(home: Home, tmp_path: Path) -> None:
    def files() -> list[str]:
        return sorted(str(path) for path in home.path.rglob("*") if not path.name.startswith("journal.sqlite-"))

    before = files()
    result = inspect(AGENT, home=home, page=False)
    assert files() == before and result.page is None
    page = home.path / "reports" / f"{AGENT}-data.html"
    assert inspect(AGENT, home=home).page == page and inspect(AGENT, home=home).to_text().endswith(f"page: {page}")
    assert set(files()) - set(before) == {str(page), str(page.parent)}
    (tmp_path / "occupied").write_text("")
    unwritten = inspect(AGENT, home=home, page=tmp_path / "occupied" / "card.html")
    assert unwritten.page is None and "no page: " in unwritten.to_text() and unwritten.card == result.card
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (document["agent"], document["card"]["grade"]) == (AGENT, "A")
    assert document["build"]["episodes"] == homes.EPISODES
    assert result.to_text().startswith(f"{AGENT}: grade A")
    with pytest.raises(SpecificationError, match=AGENT):
        inspect("nobody", home=home)
    home.declare(homes.specification(name="silent"))
    with pytest.raises(DataError, match="has no records"):
        inspect("silent", home=home)


def test_a_log_without_a_rule_gets_an_estimate_of_its_writer(tmp_path: Path) -> None:
    rows = [type(r).from_mapping({**r.to_mapping(), "policy_version": "somebody"}) for r in homes.records(400)]
    home = homes.make_home(tmp_path / "home", rows, rule="")
    workspace = open_workspace(AGENT, home)
    champion = workspace.champion()
    assert champion.version == "0"
    assert not champion.needs_base
    assert "estimate" in champion.provenance.note
    dataset, (probabilities,) = workspace.with_known_ends(champion)
    logged = dataset.action_probabilities
    # The estimate of an exploring policy, with the declared floor on top of it.
    wanted = (1 - homes.EXPLORE) * logged + homes.EXPLORE / 3
    assert abs(probabilities[dataset.rows] - wanted).mean() < 0.03
    assert not list(home.runs_path.glob(".behavior-*"))
    assert open_workspace(AGENT, home).champion().to_bytes() == champion.to_bytes()
    again = estimated_behavior(workspace.dataset, champion, home.runs_path)
    assert again.layers[-1].component.to_json() == champion.layers[-1].component.to_json()


def test_the_report_of_a_run_says_what_was_found(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    workspace, folder = open_workspace(AGENT, home), Run.open(home, tuned.run).path
    decided = ai_engine.gate(AGENT, home=home)
    path = write_run_report(workspace, folder, tuned, decided, seed=3)
    page = path.read_text()
    assert path == folder / "report.html"
    assert decided.version in page and tuned.recommended in page
    for link in ("http://", "https://"):
        assert f'src="{link}' not in page and f'href="{link}' not in page
