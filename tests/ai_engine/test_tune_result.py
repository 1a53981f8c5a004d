"""What a sweep's result says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ai_engine.tune_result import TuneResult

LOSES = ", though none is estimated to gain"


def test_the_least_bad_is_not_praised(swept_home: tuple[Path, TuneResult]) -> None:
    _, result = swept_home
    best = result.recommendation
    assert best.shown_gain > 0.0 and LOSES not in result.to_text()
    by_log = replace(best, gain=replace(best.gain, refused="", value=-0.3))
    by_model = replace(best, gain=replace(best.gain, refused="no overlap", value=0.3), model_gain=-0.1)
    for worse in (by_log, by_model):
        variants = tuple(worse if each is best else each for each in result.variants)
        assert LOSES in replace(result, variants=variants).to_text().splitlines()[-1]


def test_where_there_is_no_finalist_the_reason_is_said(swept_home: tuple[Path, TuneResult]) -> None:
    _, result = swept_home
    assert result.finalists and "no finalist" not in result.to_text()
    refused = [replace(each, gain=replace(each.gain, refused="no overlap")) for each in result.variants]
    nobody = replace(result, finalists=())
    assert "no finalist (no overlap)." in replace(nobody, variants=tuple(refused)).to_text()
    losing = replace(refused[0], gain=replace(refused[0].gain, refused="", value=-0.3))
    told = replace(nobody, variants=(losing, *refused[1:])).to_text()
    assert "no finalist (none that the log reaches gains on select)." in told
