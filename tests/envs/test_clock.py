"""The present time is written as every other moment is, and what only looks like it is looked at as a whole."""

import runpy
from datetime import UTC, datetime

import pytest

from envs import clock, values
from envs.values import UnfitValueError

SECOND = 1_800_000_000


def at(monkeypatch: pytest.MonkeyPatch, nanoseconds: int) -> str:
    monkeypatch.setattr(clock, "time_ns", lambda: nanoseconds)
    return clock.present()


@pytest.mark.parametrize("seconds", [0, SECOND, SECOND + 1, SECOND - 86_400, 253_402_300_799])
@pytest.mark.parametrize("microseconds", [0, 1, 120, 500_000, 999_999])
def test_the_present_is_written_as_any_moment_is(
    monkeypatch: pytest.MonkeyPatch, seconds: int, microseconds: int
) -> None:
    text = at(monkeypatch, (seconds * 1_000_000 + microseconds) * 1000 + 999)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    assert text == values.timestamp(moment) == values.timestamp(text)
    assert datetime.fromisoformat(text) == moment


def test_what_looks_like_the_present_is_put_into_normal_form_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    second = at(monkeypatch, SECOND * 1_000_000_000)[:-1]
    assert values.timestamp(f"{second}.250000Z") == f"{second}.250000Z"
    for end, normal in (
        (".25Z", ".250000Z"),
        (".000000Z", ""),
        (".250000z", ".250000Z"),
        (".250000+00:00", ".250000Z"),
    ):
        assert values.timestamp(second + end) == second + (normal or "Z")
    for end in (".2500٠0Z", ".250000", ".-25000Z", ". 25000Z", ".250000ZZ", "x250000Z", ".²50000Z", "Z.250000"):
        with pytest.raises(UnfitValueError):
            values.timestamp(second + end)


def test_before_a_first_moment_no_text_is_the_last_one() -> None:
    fresh = runpy.run_path(str(clock.__file__))
    assert not any(fresh["is_last_present"](text) for text in ("", "Z"))
