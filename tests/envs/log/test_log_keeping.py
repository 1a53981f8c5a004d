"""Excluding and taking back, forgetting for good, compacting without losing what is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from envs.build import build_dataset
from envs.columns import load_columns, save_columns
from envs.errors import DataError
from envs.home import Home
from envs.journal.journal import AppendResult, Journal
from envs.log import erasing, forgetting
from envs.log.compaction import compact
from envs.log.datasets import list_datasets, reopen
from envs.log.exclusions import exclude, find_exclusion, list_exclusions, undo
from envs.log.forgetting import forget
from envs.log.sealing import seal
from envs.log.table import SealedTable
from tests.envs.log.logs import AGENT, assert_same, home_at, moment, outcome, record

PLAIN: dict[str, Any] = {"reward": "", "worst_class": "", "guardrails": ()}


def episodes(first: int, count: int, tenant: str = "default", **changes: Any) -> list[Any]:
    return [
        record(f"{tenant}-{number}-{step}", f"{tenant}-{number}", step, tenant=tenant, reward=1.0,
               timestamp=moment(60 * number + step), terminated=step == 1, **changes)
        for number in range(first, first + count) for step in range(2)
    ]  # fmt: skip


def test_a_home_may_lie_anywhere(tmp_path: Path) -> None:
    home = home_at(tmp_path / "hö me" / "100% a+b#c?d", **PLAIN)
    journal = Journal(home.journal_path)
    for first in (0, 10):
        journal.append([*episodes(first, 10), *episodes(first, 10, "acme")])
        seal(home)
    compact(home, older_than_hours=1e-9)
    forget(home, "acme")
    assert len(build_dataset(home, AGENT)[0]) == 40


@pytest.mark.parametrize("sealed", [False, True])
def test_an_exclusion_takes_whole_episodes_and_can_be_taken_back(tmp_path: Path, sealed: bool) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append(episodes(0, 10))
    if sealed:
        seal(home)
    whole, _ = build_dataset(home, AGENT)
    before = journal.last_sequence(AGENT)
    made = exclude(journal, AGENT, moment(181), moment(300), "bad sensor")
    assert journal.last_sequence(AGENT) > before, "who keeps a dataset sees that it is another now"
    partly, report = build_dataset(home, AGENT)
    assert (report.excluded_episodes, report.episodes) == (2, 8) and partly.identifier != whole.identifier
    assert not {"default/default-3", "default/default-4"} & set(partly.units), "one decision in it takes the episode"
    by_position = exclude(journal, AGENT, None, 3, "before the start")
    assert build_dataset(home, AGENT)[1].excluded_episodes == 3
    seal(home)
    assert list_exclusions(journal, AGENT) == [made, by_position], "kept through sealing"
    undo(journal, find_exclusion(journal, AGENT, moment(181), moment(300)), "the sensor was right")
    undo(journal, by_position, "so was this")
    assert_same(build_dataset(home, AGENT)[0], whole)
    assert [item.undone for item in list_exclusions(journal, AGENT, active=False)] == [
        "the sensor was right",
        "so was this",
    ]
    with pytest.raises(DataError, match="those that hold are: none"):
        find_exclusion(journal, AGENT, None, 3)


@pytest.mark.parametrize(
    ("start", "end", "reason", "message"),
    [
        (None, None, "why", "a range needs a bound"),
        (moment(5), moment(5), "why", "is empty; exchange the bounds"),
        (9, 3, "why", "the range from 9 to 3 is empty"),
        (1, 3, " ", "an exclusion needs a reason"),
        ("yesterday", None, "why", "--from: 'yesterday' is not an RFC 3339 timestamp"),
        ("2024-01-01T00:00:00", None, "why", "has no time zone"),
    ],
)
def test_what_is_no_range_is_refused(tmp_path: Path, start: Any, end: Any, reason: str, message: str) -> None:
    journal = Journal(home_at(tmp_path).journal_path)
    with pytest.raises(DataError, match=message):
        exclude(journal, AGENT, start, end, reason)
    assert list_exclusions(journal, AGENT) == []


def holding(folder: Path, text: str) -> list[str]:
    return subprocess.run(
        ["grep", "-rlaF", text, str(folder)], capture_output=True, text=True, check=False
    ).stdout.split()


def two_tenants(path: Path) -> Home:
    """A home whose log has been sealed twice, each time with both tenants, and goes on in the journal."""
    home = home_at(path, **PLAIN)
    journal = Journal(home.journal_path)
    secret = {"metadata": {"note": "SECRET"}}
    for start in (0, 20, 40):
        journal.append([*episodes(start, 5), *episodes(start, 5, "acme", **secret)])
        journal.append([outcome(f"acme-{start}-0", outcome={"text": "SECRET"})])
        if start:
            journal.append([outcome("acme-0-1", outcome={f"late{start}": "SECRET"})])
        if start < 40:
            seal(home)
    return home


def test_a_forgotten_tenant_is_nowhere(tmp_path: Path) -> None:
    home = two_tenants(tmp_path / "home")
    journal = Journal(home.journal_path)
    used, _ = build_dataset(home, AGENT)
    run = save_columns(used, home.runs_path / "run-1" / "dataset")
    (home.data_path / "rejected").mkdir()
    bad = [
        {"file": "f", "row": 1, "content": {"tenant": tenant, "note": "SECRET" * (tenant == "acme")}}
        for tenant in ("acme", "b")
    ]
    (home.data_path / "rejected" / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bad))
    (home.data_path / "journal.sqlite.damaged-1").write_text("SECRET")
    planned = forget(home, "acme", dry_run=True)
    assert planned.decisions == {AGENT: 30} and planned.datasets == (used.identifier,)
    assert len(holding(home.path, "acme-0")) > 1 and journal.counts() == {AGENT: 60}
    report = forget(home, "acme")
    assert report.decisions == {AGENT: 30} and report.remaining == ()
    for text in ("SECRET", "acme"):
        assert holding(home.path, text) == [], text
    assert journal.counts() == {AGENT: 30} and journal.outcome_counts() == {}
    left, _ = build_dataset(home, AGENT)
    assert left.episode_count == 15 and all(unit.startswith("default/") for unit in left.units)
    with pytest.raises(
        DataError, match=rf"dataset {used.identifier}: used decisions of a tenant that was forgotten on"
    ):
        reopen(home, used.identifier)
    with pytest.raises(DataError, match="decisions of a tenant that was forgotten on"):
        load_columns(run)
    assert (home.data_path / "rejected" / "x.jsonl").read_text().count("\n") == 1
    assert journal.append(episodes(0, 1, "acme")) == AppendResult(2, 0), "its name is free again"
    seal(home)
    assert journal.append(episodes(0, 5)) == AppendResult(0, 10), "the others' events are still known"


@pytest.mark.parametrize("rows", [erasing.ROWS, 25])
def test_a_log_of_one_decision_a_day_is_forgotten_in_few_commits_and_read_in_few_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """A commit for each date reads the list of all files as often as there are dates."""
    monkeypatch.setattr(erasing, "ROWS", rows)
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    for tenant, first in (("acme", 0), ("default", 20)):  # of the 60 dates the middle 20 have both
        journal.append([
            record(f"{tenant}-{day}", f"{tenant}-{day}", 0, tenant=tenant, timestamp=moment(1_440 * day), reward=1.0,
                   terminated=True)
            for day in range(first, first + 40)
        ])  # fmt: skip
    seal(home)
    table = SealedTable.open(str(home.data_path / "table"))
    assert len(table.files()) == 60 and len(list(table.batches(AGENT, ["event_id"]))) == 1
    whole, _ = build_dataset(home, AGENT)
    assert forget(home, "acme").decisions == {AGENT: 40}
    after = SealedTable.open(table.uri)
    # 40 dates with 60 rows at once, or 20 with one row each and 20 with two in parts of at most 25; vacuum has two.
    assert after.version == table.version + 2 + (1 if rows > 60 else 3)
    names = [name for batch in after.batches(AGENT, ["event_id"]) for name in batch["event_id"].to_pylist()]
    assert sorted(names) == sorted(f"default-{day}" for day in range(20, 60))
    left, _ = build_dataset(home, AGENT)
    kept = whole.select_episodes([at for at, unit in enumerate(whole.units) if unit.startswith("default/")])
    assert left.units.tolist() == kept.units.tolist() and left.timestamps.tolist() == kept.timestamps.tolist()


def test_forgetting_ends_what_a_killed_one_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, owner in (("_delete", forgetting), ("named_versions", erasing), ("_drop_keys", forgetting)):
        home = two_tenants(tmp_path / name)
        with monkeypatch.context() as patch:

            def stopped(*_: Any, **__: Any) -> Any:
                raise KeyboardInterrupt

            patch.setattr(owner, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                forget(home, "acme")
        seal(home)
        assert holding(home.path, "acme") == [] and Journal(home.journal_path).counts() == {AGENT: 30}
        assert build_dataset(home, AGENT)[0].episode_count == 15


def test_compaction_keeps_the_versions_that_a_run_or_a_ledger_names(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    built = []
    for start in range(0, 40, 10):
        journal.append(episodes(start, 10))
        seal(home)
        built.append(build_dataset(home, AGENT)[0])
    versions = {item.identifier: item.version for item in list_datasets(journal)}
    named = {"run": built[2].identifier, "ledger": built[0].identifier}
    (home.runs_path / "r").mkdir()
    (home.runs_path / "r" / "run.json").write_text(json.dumps({"dataset": named["run"]}))
    (home.models_path / "ledger" / AGENT).mkdir(parents=True)
    (home.models_path / "ledger" / AGENT / "00000001.json").write_text(
        json.dumps({"details": {"dataset": named["ledger"]}})
    )
    rehearsed = compact(home, older_than_hours=0, dry_run=True)
    assert rehearsed.files_after == rehearsed.files_before > 4
    report = compact(home, older_than_hours=0)
    kept = [versions[named["ledger"]], versions[named["run"]]]
    assert list(report.kept_versions) == kept
    assert report.files_after < report.files_before
    place = str(home.data_path / "table")
    for version in kept:
        assert DeltaTable(place, version=version).to_pyarrow_table().num_rows == {kept[0]: 20, kept[1]: 60}[version]
    assert_same(build_dataset(home, AGENT)[0], built[-1])
    for dataset in built:
        assert_same(reopen(home, dataset.identifier), dataset)
    (home.runs_path / "r" / "run.json").unlink()
    assert compact(home, older_than_hours=0).removed > 0
    with pytest.raises(FileNotFoundError):
        DeltaTable(place, version=kept[1]).to_pyarrow_table()
    assert DeltaTable(place, version=kept[0]).to_pyarrow_table().num_rows == 20


def test_a_dataset_of_the_past_is_built_again_or_refused(tmp_path: Path) -> None:
    home = home_at(tmp_path, **{**PLAIN, "maturation": 60.0})
    journal = Journal(home.journal_path)
    journal.append(episodes(0, 4))
    old, _ = build_dataset(home, AGENT, now=10**10)
    journal.append([*episodes(4, 4), outcome("default-0-0", minutes=0.5, outcome={"x": 1})])
    seal(home)
    assert build_dataset(home, AGENT)[0].identifier != old.identifier
    assert_same(reopen(home, old.identifier), old)
    with pytest.raises(DataError, match="was not built in this home"):
        reopen(home, "0" * 64)
    exclude(journal, AGENT, None, 3, "wrong")
    with pytest.raises(DataError, match="cannot be built again: an exclusion or the declaration has changed"):
        reopen(home, old.identifier)
