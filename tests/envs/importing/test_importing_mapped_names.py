"""Names that a mapping reads and no row has: a misspelt one must not leave its field out of every row, unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.staging import Staging
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.forgetting import forget
from tests.envs.importing.import_samples import jsonl, killed, refused, stored

ROW = {"event_id": "a", "action": "up", "load": 0.5, "total_cost": 2.0, "cpu": {"mean": 0.25}}


def home_with(folder: Path, *lines: str) -> Home:
    home = Home.create(folder / "home")
    text = "\n".join(("[agents.f.mapping]", 'observation = ["load"]', *lines))
    home.configuration_path.write_text(f"{text}\n")
    return home


def mapped(folder: Path, rows: list[dict[str, Any]], *lines: str) -> tuple[Home, Path]:
    return home_with(folder, *lines), jsonl(folder / "log.jsonl", rows)


MISSPELT = {
    "expression": ('reward = "= -totl_cost"', "mapping.reward: 'totl_cost' is not a field of any row, 'total_cost' is"),
    "nested": ('reward = "= cpu.men"', "mapping.reward: 'cpu.men' is not a field of any row, 'cpu.mean' is"),
    "gathered": ('metadata = { cost = "= totl_cost / 2" }', "mapping.metadata.cost: 'totl_cost' is not a field of any"),
    "name": ('reward = "totl_cost"', "mapping.reward: 'totl_cost' is not a field of any row, 'total_cost' is; correct"),
    "like none": ('reward = "= -xyz"', "'xyz' is not a field of any row; correct the name, the rows have action, cpu,"),
    "of many": ('reward = "= load - totl_cost"', "mapping.reward: 'totl_cost' is not a field of any row, 'total_cost'"),
}


@pytest.mark.parametrize("case", MISSPELT)
@pytest.mark.parametrize("options", [{}, {"dry_run": True}, {"keep_good": True, "unknown": "metadata"}])
def test_a_misspelt_name_is_refused_before_anything_is_kept(tmp_path: Path, case: str, options: dict[str, Any]) -> None:
    line, message = MISSPELT[case]
    rows = [ROW | {"event_id": str(number)} for number in range(3)]
    home, path = mapped(tmp_path, rows, 'outcome = { cost = "total_cost", cpu = "cpu.mean" }', line)
    assert message in refused(home, path, agent="f", **options)


def test_a_column_that_some_rows_or_files_lack_is_optional(tmp_path: Path) -> None:
    line = 'reward = "= -fee"'
    home, path = mapped(tmp_path, [ROW | {"event_id": str(number)} for number in range(2)], line)
    other = jsonl(tmp_path / "other.jsonl", [ROW | {"event_id": "late", "fee": 1.5}])
    import_files(home, "f", [path, other], unknown="metadata")
    assert [record.reward for record in stored(home, "f")] == [None, None, -1.5]
    # A table has its columns, also where all their cells are empty; so has an object its nulls.
    empty = tmp_path / "empty.csv"
    empty.write_text("event_id,action,load,fee\nb,up,0.5,\n")
    assert import_files(home, "f", [empty]).added == 1
    nothing = jsonl(tmp_path / "null.jsonl", [{"event_id": "c", "action": "up", "load": 0.5, "fee": None}])
    assert import_files(home, "f", [nothing]).added == 1


def test_a_gathered_name_may_be_in_no_row(tmp_path: Path) -> None:
    home, path = mapped(tmp_path, [ROW], 'outcome = ["total_cost", "total_costs"]', 'metadata = ["cpu"]')
    assert import_files(home, "f", [path]).added == 1


def test_outcomes_in_rows_of_their_own_may_come_another_day(tmp_path: Path) -> None:
    decisions, outcomes = [{"event_id": "a", "action": "up", "load": 0.5}], [{"order": "a", "total_cost": 2.0}]
    lines = ('reward = "= -total_cost"', 'decision_id = "order"')
    home, path = mapped(tmp_path, decisions, *lines)
    assert import_files(home, "f", [path]).added == 1
    assert import_files(home, "f", [jsonl(tmp_path / "outcomes.jsonl", outcomes)]).added == 1
    assert "'total_cost' is not a field of any row" in refused(
        home, jsonl(tmp_path / "wrong.jsonl", [{"order": "b", "outcome": {"cost": 2.0}}]), agent="f"
    )
    alone = home_with(tmp_path / "alone", lines[0])
    assert 'in rows of their own, write decision_id = "THEIR_NAME"' in refused(alone, path, agent="f")


def test_rows_under_our_own_names_need_no_name_of_the_mapping(tmp_path: Path) -> None:
    own = {"event_id": "a", "observation": {"load": 0.5}, "action": "up", "reward": -2.0, "outcome": {"cost": 2.0}}
    home, path = mapped(tmp_path, [own], 'reward = "= -total_cost"', 'outcome = { cost = "= 2 * fee" }')
    assert import_files(home, "f", [path]).added == 1
    late = jsonl(tmp_path / "late.jsonl", [{"decision_id": "a", "outcome": {"seconds": 2.0}}])
    assert import_files(home, "f", [late]).added == 1


def test_a_wrong_import_can_be_repaired_as_the_page_says(tmp_path: Path) -> None:
    lines = 'observation = ["load"]\nmetadata = ["total_cost", "cpu"]\n'
    home, path = mapped(tmp_path, [ROW | {"tenant": "acme"}], 'metadata = ["total_cost", "cpu"]')
    assert import_files(home, "f", [path]).added == 1
    wrong = home.configuration_path.read_text()
    right = wrong.replace('["total_cost", "cpu"]', '["cpu"]\nreward = "= -total_cost"')
    home.configuration_path.write_text(right)
    assert 'go on as docs/import.md says under "A wrong import"' in refused(home, path, agent="f")
    assert "\n## A wrong import\n" in (Path(__file__).parents[3] / "docs" / "import.md").read_text()
    assert lines in wrong
    home.configuration_path.write_text(wrong.replace(lines, 'decision_id = "event_id"\nreward = "= -total_cost"\n'))
    assert import_files(home, "f", [jsonl(tmp_path / "late.jsonl", [{"event_id": "a", "total_cost": 2.0}])]).added == 1
    with Journal(home.journal_path) as journal:
        assert [record.reward for _, record in LogReader(journal, "f")] == [-2.0]
    forget(home, "acme")
    home.configuration_path.write_text(right)
    assert import_files(home, "f", [path]).added == 1 and stored(home, "f")[0].reward == -2.0


def test_what_was_found_before_a_kill_is_known_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = 'reward = "= -total_cost"'
    home, first = mapped(tmp_path, [ROW], line, 'metadata = ["cpu"]')
    second = jsonl(tmp_path / "second.jsonl", [{"event_id": "b", "action": "up", "load": 0.5}])
    with monkeypatch.context() as patch:
        killed(patch, Staging, "commit", 3)  # behind the first file
        with pytest.raises(KeyboardInterrupt):
            import_files(home, "f", [first, second])
    assert import_files(home, "f", [first, second]).added == 2
