"""Where is tracked: the flag before the environment before the file; what is wrong is named; passwords are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ai_engine.tracking import settings
from ai_engine.tracking.settings import TrackingSettings
from envs.errors import HomeError, MissingExtraError, SpecificationError
from envs.home import Home


@pytest.fixture
def bare(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home")


def declare(home: Home, text: str) -> None:
    with open(home.configuration_path, "a") as file:
        file.write(f"\n{text}\n")


def test_nothing_is_tracked_unless_asked(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TrackingSettings.of(bare).trackers == ()
    # Many machines have the address of a server; that alone asks for nothing.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert TrackingSettings.of(bare).trackers == ()


def test_the_flag_goes_before_the_environment_before_the_file(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(bare, '[tracking]\nto = ["tensorboard"]')
    assert TrackingSettings.of(bare).trackers == ("tensorboard",)
    monkeypatch.setenv("RETRAINER_TRACK", "tensorboard, mlflow")
    assert TrackingSettings.of(bare).trackers == ("mlflow", "tensorboard")
    assert TrackingSettings.of(bare, ("mlflow",)).trackers == ("mlflow",)
    assert TrackingSettings.of(bare, ("none",)).trackers == ()
    for off in ("none", ""):
        monkeypatch.setenv("RETRAINER_TRACK", off)
        assert TrackingSettings.of(bare).trackers == ()


def test_the_address_is_the_environments_then_the_files_then_the_homes(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = TrackingSettings.of(bare)
    assert own.embedded and own.mlflow_uri == f"sqlite:///{bare.path}/mlflow/mlflow.db"
    declare(bare, '[tracking]\nmlflow_uri = "http://file:5000"')
    assert TrackingSettings.of(bare).mlflow_uri == "http://file:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:5000")
    found = TrackingSettings.of(bare)
    assert (found.mlflow_uri, found.embedded) == ("http://environment:5000", False)


def test_artefacts_never_go_to_the_current_folder(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    location = (bare.path / "mlflow" / "artifacts" / "dial").as_uri()
    for uri, expected in (
        ("sqlite:////elsewhere/mlflow.db", location),
        ("postgresql+psycopg2://host/db", location),
        ("http://host:5000", None),
        ("databricks", None),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert TrackingSettings.of(bare).artefact_location("dial") == expected


def test_a_password_is_not_shown(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host:5000/path")
    assert TrackingSettings.of(bare).shown_uri == "https://host:5000/path"


def test_a_home_that_moves_is_the_same_and_another_is_not(bare: Home, tmp_path: Path) -> None:
    moved = Home(shutil.copytree(bare.path, tmp_path / "moved"))
    other = Home.create(tmp_path / "other")
    identities = [TrackingSettings.of(home).home_identity for home in (bare, moved, other)]
    assert identities[0] == identities[1] != identities[2]
    assert bare.split_key.hex()[:8] not in identities[0]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("tracking = 3", "tracking", "is not a table"),
        ("[tracking]\ntoo = 1", "tracking.too", "known are to, mlflow_uri, prefix"),
        ('[tracking]\nto = "mlflow"', "tracking.to", "is no list of names"),
        ("[tracking]\nmlflow_uri = 5000", "tracking.mlflow_uri", "is no URI"),
        ('[tracking]\nprefix = "a/b"', "tracking.prefix", "is no beginning of a name"),
        ("[tracking", str(Path("retrainer.toml")), "cannot be read"),
    ],
)
def test_what_the_file_says_wrong_is_named(bare: Home, text: str, place: str, said: str) -> None:
    bare.configuration_path.write_text(text)
    with pytest.raises(HomeError, match=said) as caught:
        TrackingSettings.of(bare)
    assert caught.value.where.endswith(place) and caught.value.remedy


@pytest.mark.parametrize("asked", [("wandb",), ("mlflow", "none"), ("",)])
def test_an_unknown_tracker_is_refused(bare: Home, asked: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match="name mlflow, tensorboard, or none"):
        TrackingSettings.of(bare, asked)


@pytest.mark.parametrize(("tracker", "extra"), [("mlflow", "mlflow"), ("tensorboard", "train")])
def test_a_missing_extra_is_one_install_line(
    bare: Home, monkeypatch: pytest.MonkeyPatch, tracker: str, extra: str
) -> None:
    found = TrackingSettings.of(bare, (tracker,))
    found.require_extras()
    monkeypatch.setattr(settings, "find_spec", lambda module: None)
    TrackingSettings.of(bare, ()).require_extras()
    with pytest.raises(MissingExtraError) as caught:
        found.require_extras()
    assert str(caught.value).endswith(f'install it: pip install "retrainer[{extra}]"')
    assert "\n" not in str(caught.value)
