"""Where the home is found, what it holds, and how a declaration is written without losing a comment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from envs.declaration import specification_hash
from envs.errors import HomeError, SpecificationError
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

OBSERVATION = ObservationSpecification(
    "object", (ObservationField("load", unit="s"), ObservationField("raw.queue", "integer"))
)
SPECIFICATION = AgentSpecification("scaling", OBSERVATION, ("down", "hold", "up"), horizon=12, inferred=("horizon",))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    folder = tmp_path / "work" / "deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_create_lays_out_a_home(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    assert home.path == tmp_path / "home" and home.agents() == []
    assert home.configuration_path.is_file() and home.runs_path.is_dir() and home.models_path.is_dir()
    assert home.journal_path == tmp_path / "home" / "data" / "journal.sqlite" and not home.journal_path.exists()
    assert home.models_path == tmp_path / "home" / "models" / "retrained"
    assert (home.data_path / "split_key").stat().st_mode & 0o777 == 0o600
    assert len(home.split_key) == 32 and home.split_key == Home.create(home.path).split_key


def test_the_split_key_never_changes(tmp_path: Path) -> None:
    key = bytes(range(32))
    home = Home.create(tmp_path / "home", split_key=key)
    assert Home(home.path).split_key == key == Home.create(home.path, split_key=key).split_key
    with pytest.raises(HomeError, match="another split key"):
        Home.create(home.path, split_key=bytes(32))
    home.journal_path.touch()
    (home.data_path / "split_key").write_text("abc")
    for _ in range(2):
        with pytest.raises(HomeError, match=r"split_key: is lost or damaged.*restore it from a backup"):
            home.split_key  # noqa: B018
        (home.data_path / "split_key").unlink(missing_ok=True)
    assert not (home.data_path / "split_key").exists()


def test_a_configuration_alone_is_a_home(tmp_path: Path) -> None:
    (tmp_path / "retrainer.toml").write_text("")
    home = Home(tmp_path)
    assert home.split_key == home.split_key and len(home.split_key) == 32


def test_search_order(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HomeError, match="retrainer init"):
        Home.find()
    assert not (elsewhere / "retrainer.toml").exists()
    upwards = Home.create(tmp_path / "work")
    named = Home.create(tmp_path / "named")
    variable = Home.create(tmp_path / "variable")
    assert Home.find().path == upwards.path
    assert Home.find(create=True).path == upwards.path
    monkeypatch.setenv("RETRAINER_HOME", str(variable.path))
    assert Home.find().path == variable.path
    assert Home.find(str(named.path)).path == named.path and Home.find(named) is named
    with pytest.raises(HomeError, match=r"retrainer init --home '.*no where'`"):  # to be pasted
        Home.find(tmp_path / "no where")
    monkeypatch.setenv("RETRAINER_HOME", str(tmp_path / "typo"))
    with pytest.raises(HomeError, match=r"RETRAINER_HOME=.*typo"):
        Home.find(create=True)
    assert Home.find(tmp_path / "new", create=True).path == tmp_path / "new"


def test_a_home_whose_file_was_written_by_hand_has_its_key_before_the_first_record(tmp_path: Path) -> None:
    (tmp_path / "retrainer.toml").write_text("")
    home = Home(tmp_path)
    home.journal_path.touch()
    assert Home(tmp_path).split_key == home.split_key and len(home.split_key) == 32


def test_the_current_folder_becomes_a_home_when_asked(elsewhere: Path) -> None:
    assert Home.find(create=True).path == elsewhere


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="cannot be created") as error:
        Home.create(tmp_path / "file" / "home")
    assert "\n" not in str(error.value)


def test_declare_round_trip_and_comments(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    home.declare(SPECIFICATION)
    assert home.specification("scaling") == SPECIFICATION and home.agents() == ["scaling"]
    text = home.configuration_path.read_text().replace("horizon = 12", "horizon = 12  # one hour")
    text += '\n[agents.scaling.mapping]\nreward = "r"  # theirs\n\n[schedules] # kept\nnight = 1\n'
    home.configuration_path.write_text(text)
    changed = replace(SPECIFICATION, horizon=24, margin=0.5, explore=0.1, inferred=())
    home.declare(changed)
    home.declare(replace(SPECIFICATION, name="other"))
    after = home.configuration_path.read_text()
    assert home.specification("scaling") == changed and home.specification("other").name == "other"
    for kept in ("horizon = 24  # one hour", 'reward = "r"  # theirs', "[schedules] # kept", "night = 1"):
        assert kept in after
    assert home.mapping("scaling") == {"reward": "r"} and home.mapping("other") == {}


def test_every_version_of_a_declaration_is_stored_with_the_data(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    versions = [SPECIFICATION, replace(SPECIFICATION, horizon=24), SPECIFICATION]
    for version in versions:
        home.declare(version)
    folder = home.data_path / "specifications" / "scaling"
    assert {path.stem for path in folder.iterdir()} == {specification_hash(version) for version in versions}
    horizons = sorted(json.loads(path.read_text())["horizon"] for path in folder.iterdir())
    assert horizons == [12, 24]


def test_a_layout_that_cannot_be_edited_is_left_alone(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    text = '[agents]\nscaling = {actions = ["x"], observation = {kind = "int"}}\n'
    home.configuration_path.write_text(text)
    with pytest.raises(HomeError, match=r"\[agents.scaling\] cannot be changed in place"):
        home.declare(SPECIFICATION)
    assert home.configuration_path.read_text() == text


def test_an_unknown_agent_is_told_the_known_ones(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    with pytest.raises(SpecificationError, match="agent scaling: is not declared; no agent is declared"):
        home.specification("scaling")
    home.declare(SPECIFICATION)
    with pytest.raises(SpecificationError, match="agent scalin: is not declared; declared are scaling"):
        home.specification("scalin")


def test_a_table_with_only_a_mapping_declares_nothing(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    home.configuration_path.write_text('[agents.scaling.mapping]\nreward = "r"\n')
    assert home.agents() == [] and home.mapping("scaling") == {"reward": "r"}
    home.declare(SPECIFICATION)
    assert home.specification("scaling") == SPECIFICATION and home.mapping("scaling") == {"reward": "r"}


@pytest.mark.parametrize("text", ["[agents", "agents = 3\n", "[agents]\nscaling = 3\n", "\xff"])
def test_a_broken_configuration_is_one_line(tmp_path: Path, text: str) -> None:
    home = Home.create(tmp_path)
    home.configuration_path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HomeError, match=r"retrainer\.toml") as error:
        home.agents()
    assert "\n" not in str(error.value)


def test_rules_of_two_homes_are_not_confused(tmp_path: Path) -> None:
    for number in (1, 2):
        home = Home.create(tmp_path / str(number))
        home.declare(replace(SPECIFICATION, rule="myrules_for_test:scale"))
        (home.path / "myrules_for_test.py").write_text(f"def scale(observation):\n    return 'rule {number}'\n")
        rule = home.rule("scaling")
        assert rule is not None and rule({}) == f"rule {number}"
    assert Home.create(tmp_path / "none").agents() == []


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("absent_module:f", "ModuleNotFoundError"),
        ("broken_rule:f", "ZeroDivisionError"),
        ("good_rule:g", "no attribute 'g'"),
    ],
)
def test_a_rule_that_cannot_be_imported(tmp_path: Path, rule: str, problem: str) -> None:
    home = Home.create(tmp_path)
    home.declare(replace(SPECIFICATION, rule=rule))
    (home.path / "broken_rule.py").write_text("1 / 0\n")
    (home.path / "good_rule.py").write_text("f = 3\n")
    with pytest.raises(SpecificationError, match=f"agent scaling: rule: .*{problem}") as error:
        home.rule("scaling")
    assert "\n" not in str(error.value)
    home.declare(replace(SPECIFICATION, rule="good_rule:f"))
    with pytest.raises(SpecificationError, match="is not a function"):
        home.rule("scaling")
    home.declare(SPECIFICATION)
    assert home.rule("scaling") is None


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    (home.data_path / ".configuration.lock").mkdir()  # any refusal of the system; a permission, say
    with pytest.raises(HomeError, match=r"retrainer\.toml: scaling cannot be declared \(.*\); check the permissions"):
        home.declare(SPECIFICATION)
