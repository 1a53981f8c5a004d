"""What is imported in segments is, to the bit, what it is as single rows: then, and after all that may follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import ai_engine
from envs.build import build_dataset
from envs.errors import DuplicateRecordError, RecordError
from envs.home import Home
from envs.importing import staging, writing
from envs.importing.checking import Checker
from envs.importing.import_report import ImportReport
from envs.importing.importer import import_files
from envs.importing.progress import Progress
from envs.journal import departing
from envs.journal.file import JournalFile
from envs.journal.journal import Journal
from envs.journal.reading import last_decisions
from envs.log.forgetting import forget
from envs.log.sealing import seal
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import jsonl, killed, rows, stored
from tests.envs.importing.segment_samples import (
    PARTS,
    contents,
    home_of,
    make_small,
    row_of_parts,
    sealed_rows,
    segments_in,
    told_of,
    written,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_of(tmp_path / "home")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few decisions, and pages of a few keys."""
    make_small(monkeypatch)


def _log(home: Home) -> list[Any]:
    """All that a reader gets, with positions."""
    with Journal(home.journal_path) as journal:
        read = [(place, record, record.content_hash) for place, record in journal.read("scaling")]
        counts = journal.counts(), journal.outcome_counts(), journal.reach("scaling")[0], journal.unsealed()
        found = [journal.find(record.event_id) for _, record, _ in read]
        ends = {(record.tenant, record.episode_id) for _, record, _ in read}
        last = [last_decisions(journal, "scaling", *episode, 2) for episode in sorted(ends)]
    return [read, counts, found, last, ai_engine.log("scaling", home=home).to_arrow()]


def _dataset(home: Home) -> Any:
    dataset, report = build_dataset(home, "scaling")
    arrays = [dataset.observations, dataset.actions, dataset.rewards, dataset.propensities, dataset.sequences]
    return [report, dataset.identifier, *(array.tobytes() for array in arrays)]


def _report(report: ImportReport) -> list[Any]:
    rejected = [(Path(row.file).name, row.row, row.field, row.problem.split(", see")[0]) for row in report.rejected]
    causes = [(group.cause.split(", see")[0], group.count) for group in report.groups]
    return [report.rows, report.added, report.duplicates, rejected, causes]


ANY = given(
    before=st.lists(PARTS, max_size=3), files=st.lists(contents(), min_size=1, max_size=3), parquet=st.booleans(),
    resent=st.lists(st.integers(0, 60), max_size=3), late=st.lists(st.integers(0, 60), max_size=3, unique=True),
    data=st.data(),
)  # fmt: skip


def _agree(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[Any],
    files: list[list[dict[str, Any]]],
    parquet: bool,
    resent: list[int],
    late: list[int],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("paths")
    paths = [written(folder, number, content, parquet) for number, content in enumerate(files)]
    homes = [home_of(folder / name) for name in ("rows", "segments")]
    everything = [row for content in files for row in content]
    then = [data.draw(st.sampled_from(["resend", "late", "again", "seal", "more", "forget"])) for _ in range(3)]
    seen: list[list[Any]] = []
    for number, home in enumerate(homes):
        with pytest.MonkeyPatch.context() as patch:
            make_small(patch)
            if number == 0:
                patch.setattr(Checker, "__init__", _without_columns(Checker.__init__))
            found: list[Any] = []
            with Journal(home.journal_path) as journal:
                for parts in before:
                    row = row_of_parts((*parts[:4], 0), 0.5)
                    _tried(journal, [DecisionRecord.from_mapping(row, agent="scaling")], found)
                _tried(journal, told_of([50]), found)
            found.append(_report(import_files(home, "scaling", paths, dry_run=True)))
            if found[-1][1] + found[-1][2]:
                found.append(_report(import_files(home, "scaling", paths, keep_good=True)))
            found += _log(home)
            for what in then:
                with Journal(home.journal_path) as journal:
                    if what == "resend":
                        for place in resent:
                            row = everything[place % len(everything)]
                            for changed in (row, row | {"reward": 4.5}):
                                event = changed | {"action": "up"} if row["action"] == "sideways" else changed
                                _tried(journal, [DecisionRecord.from_mapping(event, agent="scaling")], found)
                    elif what == "late":
                        for event in told_of(late):
                            _tried(journal, [event], found)
                    elif what == "more":
                        for episode in ("p1", "q0", "q3"):
                            row = rows(1, event_id=f"new {episode}", episode_id=episode, step=4)[0]
                            _tried(journal, [DecisionRecord.from_mapping(row, agent="scaling")], found)
                if what == "again" and found[-1] is not None:
                    found.append(_report(import_files(home, "scaling", paths, dry_run=True)))
                    if found[-1][1] + found[-1][2]:
                        found.append(_report(import_files(home, "scaling", paths, keep_good=True)))
                elif what == "seal":
                    found.append(seal(home, keep=data.draw(st.just(3))).events)
                elif what == "forget":
                    found.append(forget(home, "t", dry_run=True).decisions)
                    found.append(forget(home, "t").decisions)
                found += _log(home)
            if found[-1].num_rows:
                found += _dataset(home)
                seal(home)
                found.append(sealed_rows(home))
            seen.append(found)
    for one, other in zip(*seen, strict=True):
        assert one == other


WITHOUT_SHRINKING = [Phase.explicit, Phase.generate]
test_segments_and_rows_agree = settings(max_examples=5, deadline=None, phases=WITHOUT_SHRINKING)(ANY(_agree))
test_segments_and_rows_of_many_logs_agree = pytest.mark.full(
    settings(max_examples=60, deadline=None, phases=WITHOUT_SHRINKING)(ANY(_agree))
)


def _without_columns(function: Any) -> Any:
    def made(checker: Checker, *arguments: Any, **keywords: Any) -> None:
        function(checker, *arguments, **keywords)
        checker.plain = None

    return made


def _tried(journal: Journal, events: list[Any], found: list[Any]) -> None:
    try:
        found.append(journal.append(events))
    except RecordError as error:
        found.append(str(error))


def test_a_late_outcome_joins_an_imported_decision(home: Home, tmp_path: Path) -> None:
    import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", rows(20))])
    assert segments_in(home) == 20
    told = {"decision_id": "e7", "agent": "scaling", "timestamp": "2026-02-01T00:00:00Z", "outcome": {"cost": 2.5}}
    with Journal(home.journal_path) as journal:
        journal.append([OutcomeEvent.from_mapping(told)])
        contrary = OutcomeEvent.from_mapping({**told, "outcome": {"cost": 3.0}, "timestamp": "2026-02-02T00:00:00Z"})
        with pytest.raises(DuplicateRecordError, match="cost"):
            journal.append([contrary])
        costs = [(record.outcome or {}).get("cost") for _, record in journal.read("scaling")]
    assert costs == [2.5 if index == 7 else None for index in range(20)]
    assert segments_in(home) == 15, "its own segment is rows now, the others are not"


def test_an_outcome_may_be_there_before_its_decision_is_imported(home: Home, tmp_path: Path) -> None:
    told = {"decision_id": "e7", "agent": "scaling", "timestamp": "2026-02-01T00:00:00Z", "outcome": {"cost": 2.5}}
    with Journal(home.journal_path) as journal:
        journal.append([OutcomeEvent.from_mapping(told)])
    import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", rows(20))])
    assert [record.outcome for record in stored(home)][7] == {"cost": 2.5}


def test_an_episode_goes_on_behind_what_was_imported(home: Home, tmp_path: Path) -> None:
    import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", rows(18))])
    with Journal(home.journal_path) as journal:
        found = last_decisions(journal, "scaling", "default", "episode 4", 3)
        assert [record.event_id for record in found] == ["e16", "e17"]
        more = rows(1, event_id="next", episode_id="episode 4", step=2)[0]
        journal.append([DecisionRecord.from_mapping(more, agent="scaling")])
        found = last_decisions(journal, "scaling", "default", "episode 4", 3)
        assert [record.event_id for record in found] == ["e16", "e17", "next"]
        for change, named in (({"step": 1}, "step"), ({"step": 3, "tenant": "other"}, "tenant")):
            with pytest.raises(RecordError, match=named):
                row = {**more, "event_id": "wrong", **change}
                journal.append([DecisionRecord.from_mapping(row, agent="scaling")])


def test_what_is_recorded_while_it_is_imported_is_not_there_twice(home: Home, tmp_path: Path) -> None:
    """Between the look at all rows and their writing: the same decision, an outcome, a step of an episode."""
    path = jsonl(tmp_path / "log.jsonl", rows(40))
    same = DecisionRecord.from_mapping(rows(40)[30], agent="scaling")
    told = {"decision_id": "e35", "agent": "scaling", "timestamp": "2026-02-01T00:00:00Z", "outcome": {"cost": 2.5}}

    def record(progress: Progress) -> None:
        if progress.phase == "writing" and progress.rows == 10:
            with Journal(home.journal_path) as journal:
                journal.append([same])
                journal.append([OutcomeEvent.from_mapping(told)])

    import_files(home, "scaling", [path], progress=record)
    found = stored(home)
    assert sorted(record.event_id for record in found) == sorted(f"e{number}" for number in range(40))
    assert next(record for record in found if record.event_id == "e35").outcome == {"cost": 2.5}
    assert 0 < segments_in(home) < 40


def test_what_contradicts_it_meanwhile_stops_it(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(40))
    other = DecisionRecord.from_mapping(rows(40)[30] | {"reward": -3.0}, agent="scaling")

    def record(progress: Progress) -> None:
        if progress.phase == "writing" and progress.rows == 10:
            with Journal(home.journal_path) as journal:
                journal.append([other])

    with pytest.raises(DuplicateRecordError, match="'e30' was recorded before with other content"):
        import_files(home, "scaling", [path], progress=record)
    report = import_files(home, "scaling", [path], keep_good=True)
    assert (report.added + report.duplicates, len(report.rejected)) == (39, 1)
    assert len(stored(home)) == 40


def test_sealing_in_the_midst_of_an_import_loses_nothing(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(60))

    def sealed(progress: Progress) -> None:
        if progress.phase == "writing" and progress.rows in (10, 40):
            seal(home)

    import_files(home, "scaling", [path], progress=sealed)
    assert [record.event_id for record in stored(home)] == [f"e{number}" for number in range(60)]
    assert import_files(home, "scaling", [path]).duplicates == 60
    seal(home)
    with Journal(home.journal_path) as journal:
        left = journal.file.run(lambda connection: connection.execute("SELECT COUNT(*) FROM segment_keys").fetchone())
    assert left == (0,), "a run goes with the last of its segments"
    assert import_files(home, "scaling", [path]).duplicates == 60


def test_what_was_recorded_and_sealed_meanwhile_is_not_there_twice(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a sealing after one that was killed before it had dropped the run."""
    path = jsonl(tmp_path / "log.jsonl", rows(40))
    same = DecisionRecord.from_mapping(rows(40)[30], agent="scaling")

    def record(progress: Progress) -> None:
        if progress.phase == "writing" and progress.rows == 10:
            with Journal(home.journal_path) as journal:
                journal.append([same])
            with monkeypatch.context() as patch:
                patch.setattr(departing, "drop_idle_runs", lambda connection: False)
                seal(home)

    import_files(home, "scaling", [path], progress=record)
    assert sorted(record.event_id for record in stored(home)) == sorted(f"e{number}" for number in range(40))


def test_a_tenant_that_was_imported_in_segments_is_forgotten(home: Home, tmp_path: Path) -> None:
    content = [row | {"tenant": "acme" if index < 12 else "other"} for index, row in enumerate(rows(40))]
    import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", content)])
    assert segments_in(home) == 40
    assert forget(home, "acme", dry_run=True).decisions == {"scaling": 12}
    assert segments_in(home) == 40, "a look changes nothing"
    assert forget(home, "acme").decisions == {"scaling": 12}
    assert {record.tenant for record in stored(home)} == {"other"} and len(stored(home)) == 28
    for path in home.data_path.rglob("*"):
        assert not path.is_file() or b"acme" not in path.read_bytes()


@pytest.mark.parametrize("owner", [(staging.Staging, "commit"), (JournalFile, "run"), (writing, "_append")])
@pytest.mark.parametrize("between", ["nothing", "seal", "late"])
def test_killed_at_any_moment_it_goes_on(tmp_path: Path, owner: tuple[Any, str], between: str) -> None:
    """Whatever happened to what it had written before."""
    content = [*rows(30), {**rows(1)[0], "event_id": "again"}, *rows(9, event_id="x")[:1]]
    content[-1] |= {"episode_id": "y"}
    content[-2] |= {"episode_id": "z"}
    path = jsonl(tmp_path / "log.jsonl", content)
    moment = 0
    while True:
        moment += 1
        home = home_of(tmp_path / f"{moment}")
        with pytest.MonkeyPatch.context() as patch:
            calls = killed(patch, *owner, moment)
            try:
                import_files(home, "scaling", [path])
            except KeyboardInterrupt:
                pass
            else:
                assert moment > calls[0] > 1
                break
        if between == "seal":
            seal(home)
        elif between == "late" and stored(home):
            with Journal(home.journal_path) as journal:
                journal.append(told_of([stored(home)[-1].step])[:1])
        import_files(home, "scaling", [path])
        found = [record.event_id for record in stored(home)]
        assert len(found) == len(set(found)) == 32
    assert import_files(home, "scaling", [path]).duplicates == 32
