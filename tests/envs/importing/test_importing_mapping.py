"""Foreign fields and undeclared agents: what is proposed, and what rows must have in common."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.mapping import apply_mapping
from envs.importing.mapping_proposal import propose_mapping
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, refused, rows, snapshot, stored


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def test_unknown_fields_can_be_kept_unlearned(home: Home, tmp_path: Path) -> None:
    content = rows(4, colour="red")
    content[0]["shape"] = {"corners": 3}
    path = jsonl(tmp_path / "log.jsonl", content)
    report = import_files(home, "scaling", [path], unknown="metadata")
    assert report.unlearned == {"colour": 4, "shape": 1} and report.added == 4
    assert stored(home)[0].metadata == {"colour": "red", "shape": {"corners": 3}}


def test_a_mapping_is_proposed_and_applied(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    content = [
        {"item_id": index % 3, "click": index % 2, "propensity_score": 1 / 3, "user_age": index,
         "user_kind": "ab"[index % 2], "confidence": 0.9, "latency": 0.25, "done": True,
         "ts": f"2026-01-31T09:{index:02}:00Z"}
        for index in range(20)
    ]  # fmt: skip
    path = jsonl(tmp_path / "log.jsonl", content)
    assert "are not fields of a decision record; map them in retrainer.toml (--dry-run prints a mapping)" in refused(
        home, path, agent="bandit"
    )
    report = import_files(home, "bandit", [path], dry_run=True)
    assert [group.count for group in report.groups] == [20]
    proposed = tomllib.loads(report.proposed_mapping)["agents"]["bandit"]["mapping"]
    assert proposed == {
        "action": "item_id", "reward": "click", "propensity": "propensity_score", "timestamp": "ts",
        "terminated": "done", "observation": ["user_age", "user_kind"], "outcome": ["latency"],
        "metadata": ["confidence"],
    }  # fmt: skip
    home.configuration_path.write_text(report.proposed_mapping)
    done = import_files(home, "bandit", [path])
    assert done.added == 20 and done.inferred and done.proposed_mapping == ""
    record = stored(home, "bandit")[1]
    assert record.observation == {"user_age": 1, "user_kind": "b"} and record.metadata == {"confidence": 0.9}
    assert record.outcome == {"latency": 0.25} and record.reward == 1.0 and record.action == 1 and record.terminated
    assert home.mapping("bandit") == proposed and home.specification("bandit").actions == (0, 1, 2)


def test_a_confidence_is_never_proposed_as_propensity() -> None:
    proposed = tomllib.loads(propose_mapping("a", ["confidence", "success"], ["observation", "action"], {}))
    assert proposed["agents"]["a"]["mapping"] == {"metadata": ["confidence"], "outcome": ["success"]}


def test_our_own_fields_in_an_outcome_are_never_proposed(home: Home, tmp_path: Path) -> None:
    content = rows(4)
    mixed = {**content.pop(), "decision_id": content[0]["event_id"], "event_id": "late", "tenant": "acme"}
    report = import_files(home, "scaling", [jsonl(tmp_path / "own.jsonl", [*content, mixed])], dry_run=True)
    assert report.proposed_mapping == "" and report.added == 3
    assert [row.remedy.split(" where")[0] for row in report.rejected] == ["remove decision_id"]
    # Beside a foreign field only that one is given a place, and none that an outcome fills already.
    outcome = {"decision_id": content[0]["event_id"], "reward": 0.5, "tenant": "acme", "click": 1.0}
    report = import_files(home, "scaling", [jsonl(tmp_path / "two.jsonl", [*content, outcome])], dry_run=True)
    assert tomllib.loads(report.proposed_mapping)["agents"]["scaling"]["mapping"] == {"outcome": ["click"]}


PROPOSALS: dict[str, tuple[list[str], list[str], dict[str, Any]]] = {
    "chosen and measured": (
        ["load", "queue", "action_taken", "result", "execution_time", "success"], [],
        {"action": "action_taken", "observation": ["load", "queue"],
         "outcome": ["result", "execution_time", "success"]},
    ),
    "units, codes and messages": (
        ["load", "action_name", "ActionResult", "cost_usd", "duration_ms", "error_message", "total_reward"], [],
        {"action": "action_name", "reward": "total_reward", "observation": ["load"],
         "outcome": ["ActionResult", "cost_usd", "duration_ms", "error_message"]},
    ),
    "a second one of each": (
        ["cpu", "action_type", "action_detail", "reward_gross", "exit_code"], ["reward"],
        {"action": "action_type", "observation": ["cpu"], "outcome": ["reward_gross", "exit_code"],
         "metadata": ["action_detail"]},
    ),
    "what was before": (
        ["last_action", "previous_reward", "error_rate", "latency_p95", "success_rate", "unit_cost"], ["action"],
        {"observation": ["last_action", "previous_reward", "error_rate", "latency_p95", "success_rate", "unit_cost"]},
    ),
    "what came next": (
        ["cpu", "next_cpu", "next-cpu", "next_disk", "next_action", "final_state"], ["action"],
        {"observation": ["cpu"], "next_observation": {"cpu": "next_cpu"}, "outcome": ["final_state"],
         "metadata": ["next-cpu", "next_disk", "next_action"]},
    ),
    "beside a whole observation": (
        ["cpu", "next_cpu", "result"], ["observation", "action", "outcome"],
        {"metadata": ["cpu", "next_cpu"], "outcome": ["result"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROPOSALS)
def test_only_what_was_known_before_acting_is_proposed_as_observation(case: str) -> None:
    foreign, present, mapping = PROPOSALS[case]
    proposed = tomllib.loads(propose_mapping("a", foreign, present, {}))
    assert proposed["agents"]["a"]["mapping"] == mapping


def test_a_result_of_any_kind_fits_where_it_is_proposed(tmp_path: Path) -> None:
    for name, result in (("text", "ok"), ("object", {"ok": True, "seconds": 2})):
        home = Home.create(tmp_path / name)
        content = [
            {
                "load": index,
                "action_taken": "ab"[index % 2],
                "result": result,
                "timestamp": f"2026-01-31T09:00:0{index}Z",
            }
            for index in range(4)
        ]
        path = jsonl(tmp_path / f"{name}.jsonl", content)
        home.configuration_path.write_text(import_files(home, "one", [path], dry_run=True).proposed_mapping)
        assert import_files(home, "one", [path]).added == 4
        assert stored(home, "one")[0].outcome == {"result": result}


@pytest.mark.parametrize("line", ['rewards = "r"', "reward = 3", 'reward = ["a", "b"]', "observation = [1]"])
def test_a_wrong_mapping_is_named(home: Home, tmp_path: Path, line: str) -> None:
    with open(home.configuration_path, "a") as file:
        file.write(f"[agents.scaling.mapping]\n{line}\n")
    key = line.split(" ")[0]
    assert f"agent scaling: mapping.{key}: " in refused(home, jsonl(tmp_path / "log.jsonl", rows()))


@pytest.mark.parametrize(
    ("line", "moment", "found"),
    [
        ('"= moment / 1000"', 1780308000250, "2026-06-01T10:00:00.250000Z"),
        ('"= utc(moment)"', "2026-06-01 10:00:00", "2026-06-01T10:00:00Z"),
        ('"= utc(moment)"', "2026-06-01T12:00:00+02:00", "2026-06-01T10:00:00Z"),
        ('"= moment"', 1780308000250, None),  # milliseconds as seconds: no year that can be written
        ('"= utc(moment)"', "10 o'clock", None),
        ('"moment"', 1780308000, None),  # what a plain number counts is not known
    ],
)
def test_a_moment_may_be_computed(tmp_path: Path, line: str, moment: Any, found: str | None) -> None:
    home = Home.create(tmp_path / "home")
    mapping = f'timestamp = {line}\nepisode_id = "= load // 2"\nstep = "= load % 2"\nobservation = ["load"]\n'
    home.configuration_path.write_text(f"[agents.one.mapping]\n{mapping}")
    path = jsonl(tmp_path / "log.jsonl", [{"load": n, "action": "a", "moment": moment} for n in range(3)])
    if found is None:
        assert import_files(home, "one", [path], dry_run=True).rejected_count == 3
    else:
        assert import_files(home, "one", [path]).added == 3
        assert {each.timestamp for each in stored(home, "one")} == {found}
        assert [(each.episode_id, each.step) for each in stored(home, "one")] == [("0", 0), ("0", 1), ("1", 0)]


@given(st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_an_empty_mapping_changes_nothing(content: dict[str, Any]) -> None:
    assert apply_mapping(content, {}) == content


def test_an_undeclared_agent_gets_a_draft(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "log.jsonl", rows())
    before = snapshot(home)
    assert import_files(home, "scaling", [path], dry_run=True).inferred
    assert snapshot(home) == before
    report = import_files(home, "scaling", [path])
    draft = home.specification("scaling")
    assert report.inferred and draft.inferred and draft.actions == ("down", "hold", "up") and draft.horizon == 4
    assert not import_files(home, "scaling", [path]).inferred
    bad = jsonl(tmp_path / "bad.jsonl", [*rows(4), "{"])
    refused(home, bad, agent="other")
    assert home.agents() == ["scaling"]


UNLIKE: dict[str, tuple[dict[str, Any], str, str]] = {
    "shape": ({"observation": [1, 2, 3]}, "observation", "is an array of 3 numbers, most rows have an array of 2"),
    "kind": ({"observation": 4}, "observation", "is an integer, most rows have an array of 2 numbers"),
    "next": ({"next_observation": [1]}, "next_observation", "is an array of 1 numbers, most"),
    "action": ({"action": 3}, "action", "3 is a number, most rows have a text"),
    "continuous": ({"action": {"cpu": 1}}, "action", "is an object of numbers"),
    "probabilities": ({"action_probabilities": [0.5, 0.5]}, "action_probabilities", "is an array, but the order"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNLIKE)
def test_rows_of_an_undeclared_agent_must_be_alike(tmp_path: Path, case: str) -> None:
    home = Home.create(tmp_path / "home")
    change, field, problem = UNLIKE[case]
    content = rows()
    content[5] = content[5] | change
    path = jsonl(tmp_path / "log.jsonl", content)
    line = refused(home, path)
    assert line.startswith(f"{path}:6: {field}: ") and problem in line
    assert import_files(home, "scaling", [path], keep_good=True).added == 11
    assert home.agents() == ["scaling"]


def test_fields_of_object_observations_must_be_alike(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    content = [row | {"observation": {"load": index, "raw": {"zone": "a"}}} for index, row in enumerate(rows())]
    for position, observation, field in (
        (3, {"load": "3", "raw": {"zone": "a"}}, "observation.load"),
        (4, {"load": 3, "raw": {"zone": 1}}, "observation.raw.zone"),
        (5, {"load": 3, "raw": {"zone": ["a"]}}, "observation.raw.zone"),
    ):
        spoilt = [*content]
        spoilt[position] = content[position] | {"observation": observation}
        path = jsonl(tmp_path / "log.jsonl", spoilt)
        assert refused(home, path).startswith(f"{path}:{position + 1}: {field}: ")


def test_lists_of_numbers_and_of_names_are_read_off_an_undeclared_log(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    content = [
        row | {"observation": {"pool": {"loads": [0.5, index]}, "tags": ["gpu", "spot"][: index % 3]}}
        for index, row in enumerate(rows())
    ]
    for position, observation, field in (
        (3, {"pool": {"loads": ["a"]}, "tags": []}, "observation.pool.loads"),
        (4, {"pool": {"loads": [1, 2]}, "tags": [1]}, "observation.tags"),
        (5, {"pool": {"loads": [1, [2]]}, "tags": []}, "observation.pool.loads"),
    ):
        spoilt = [*content]
        spoilt[position] = content[position] | {"observation": observation}
        path = jsonl(tmp_path / "log.jsonl", spoilt)
        assert refused(home, path).startswith(f"{path}:{position + 1}: {field}: ")
    assert import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", content)]).added == 12
    observation = home.specification("scaling").observation
    assert [(field.name, field.type) for field in observation.fields] == [
        ("pool.loads.0", "number"),
        ("pool.loads.1", "integer"),
        ("tags", "tags"),
    ]
    assert observation.row(content[5]["observation"]).tolist() == [0.5, 5.0, 3.0]


FOREIGN = [
    {
        "request_id": f"r{n}",
        "cpu load": n / 8,
        "instance_size": "sml"[n % 3],
        "total_cost": n / 4,
        "prob": 0.5,
        "session": f"s{n // 2}",
        "info": "a",
        "confidence": 1,
    }
    for n in range(6)
]
OPEN = '# action = "..."  # which column is the action? name it here, and nowhere below\n'


@pytest.mark.parametrize(
    ("name", "moment", "line"),
    [
        ("created_at", "2026-10-01 00:02:00", '"= utc(created_at)"'),
        ("logged-at", "2026-10-01T00:02:00", '"= utc(field(\\"logged-at\\"))"'),
        ("ts", 1790812920, '"= ts"'),
        ("event_time", 1790812920000, '"= event_time / 1000"'),
        ("ts", 1790812920000000, '"= ts / 1000000"'),
        ("time", "2026-10-01T02:02:00+02:00", '"time"'),
    ],
)
def test_a_proposal_can_be_pasted_but_for_what_it_leaves_open(
    tmp_path: Path, name: str, moment: Any, line: str
) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "log.jsonl", [row | {name: moment} for row in FOREIGN])
    proposal = import_files(home, "f", [path], dry_run=True).proposed_mapping
    assert f"\ntimestamp = {line}\n" in proposal and OPEN in proposal
    assert '\n# episode_id = "session"  # with step = "...", which numbers its decisions from 0\n' in proposal
    filled = proposal.replace(OPEN, 'action = "instance_size"\n').replace(', "instance_size"]', "]")
    home.configuration_path.write_text(filled)
    assert import_files(home, "f", [path]).added == 6
    record = stored(home, "f")[1]
    assert (record.action, record.observation, record.timestamp) == ("m", {"cpu load": 0.125}, "2026-10-01T00:02:00Z")
    assert record.metadata == {"session": "s0", "info": "a", "confidence": 1}


def test_an_episode_is_proposed_where_its_steps_are_numbered() -> None:
    proposed = tomllib.loads(propose_mapping("a", ["session", "t"], ["action", "observation"], {}))
    assert proposed["agents"]["a"]["mapping"] == {"episode_id": "session", "step": "t"}


@pytest.mark.parametrize("moment", [3, "10 o'clock", True])
def test_what_is_no_moment_is_left_open(tmp_path: Path, moment: Any) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "log.jsonl", [{"load": n, "action": "ab"[n % 2], "ts": moment} for n in range(4)])
    proposal = import_files(home, "f", [path], dry_run=True).proposed_mapping
    assert '# timestamp = "= ..."  # seconds since 1970: how are they computed of ts?\n' in proposal
    assert "# action" not in proposal and "# observation" not in proposal
    home.configuration_path.write_text(proposal)
    assert import_files(home, "f", [path]).added == 4


def test_only_rows_of_decisions_need_an_action(home: Home, tmp_path: Path) -> None:
    late = jsonl(tmp_path / "late.jsonl", [{"decision_id": "e0", "reward": 1.0, "click": 1.0}])
    assert "\n# " not in import_files(home, "scaling", [late], dry_run=True).proposed_mapping
    assert "\n# " not in propose_mapping("a", ["cost"], ["action", "observation"], {})
    assert "\n# observation = " in propose_mapping("a", ["cost"], ["action"], {})
