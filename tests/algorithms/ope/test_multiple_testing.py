"""Claims about many segments at once: what Holm's correction keeps, and what goes wrong without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from algorithms.ope.estimate import Estimate
from algorithms.ope.multiple_testing import BETTER, OPEN, REFUSED, SAME, WORSE, corrected, holm

p_values = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).map(np.array)


def difference(values: np.ndarray, *, refused: str = "") -> Estimate:
    """The estimate that a paired difference with these unit values would have."""
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(float(values.mean()), -9.0, 9.0, 0.95, "paired", len(values), len(values), refused=refused,
                    diagnostics={"standard_error": error})  # fmt: skip


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    return adjusted


def test_the_adjusted_values_of_a_small_family_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([])).shape == (0,)


@settings(deadline=None)
@given(p=p_values, data=st.data())
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: np.ndarray, data: st.DataObject) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(len(p) * p, 1.0)).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0.0).all()
    order = np.array(data.draw(st.permutations(range(len(p)))))
    assert holm(p[order]) == pytest.approx(adjusted[order])


def errors(correction: object, logs: int, *, true: int, null: int, units: int, seed: int) -> float:
    """Share of logs in which one or more of the null effects is claimed; effects share a common shock."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(logs):
        shock = rng.normal(size=units)
        values = 0.6 * shock + 0.8 * rng.normal(size=(true + null, units))
        values[:true] += 0.8
        t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(units))
        p = 2.0 * stats.t.sf(np.abs(t), units - 1)
        wrong += bool((correction(p)[true:] <= 0.05).any())  # type: ignore[operator]
    return wrong / logs


def test_no_more_than_one_family_in_twenty_holds_a_false_claim() -> None:
    kept = errors(holm, 1500, true=0, null=20, units=60, seed=1)
    assert stats.binomtest(round(kept * 1500), 1500, 0.05, alternative="greater").pvalue > 0.01
    assert errors(lambda p: p, 1500, true=0, null=20, units=60, seed=1) > 0.3


def test_beside_true_effects_holm_holds_where_the_false_discovery_rate_lets_false_rows_through() -> None:
    kept = errors(holm, 1500, true=15, null=10, units=60, seed=2)
    assert stats.binomtest(round(kept * 1500), 1500, 0.05, alternative="greater").pvalue > 0.01
    assert errors(benjamini_hochberg, 1500, true=15, null=10, units=60, seed=2) > 0.1


def test_the_intervals_cover_all_effects_of_a_family_together() -> None:
    rng = np.random.default_rng(3)
    truths = np.linspace(-0.5, 0.5, 12)
    together = single = 0
    for _ in range(400):
        raw = [difference(rng.normal(truth, 1.0, 40)) for truth in truths]
        found = [effect.estimate for effect in corrected(raw)]
        together += all(e.lower <= truth <= e.upper for e, truth in zip(found, truths, strict=True))
        reach = stats.t.ppf(0.975, 39)
        single += all(
            abs(e.value - truth) <= reach * e.diagnostics["standard_error"]
            for e, truth in zip(raw, truths, strict=True)
        )
    assert stats.binomtest(together, 400, 0.95, alternative="less").pvalue > 0.01
    assert single < 0.7 * 400


def test_what_is_refused_or_the_same_is_no_member_of_the_family() -> None:
    rng = np.random.default_rng(4)
    gain, loss = difference(rng.normal(1.0, 1.0, 50)), difference(rng.normal(-1.0, 1.0, 50))
    unclear = difference(rng.normal(0.0, 1.0, 50))
    refused = difference(rng.normal(3.0, 1.0, 50), refused="overlap too small")
    same = difference(np.zeros(50))
    alone = corrected([gain, loss, unclear])
    among = corrected([refused, gain, same, loss, same, unclear, refused])
    assert [effect.verdict for effect in among] == [REFUSED, BETTER, SAME, WORSE, SAME, OPEN, REFUSED]
    assert (among[1], among[3], among[5]) == alone
    assert among[0].estimate is refused and among[0].adjusted_p == 1.0
    level = 1.0 - 0.05 / 3
    reach = stats.t.ppf(0.5 + level / 2.0, 49) * gain.diagnostics["standard_error"]
    assert alone[0].estimate.confidence == pytest.approx(level)
    assert alone[0].estimate.upper - gain.value == pytest.approx(reach)


def test_one_effect_alone_has_its_own_interval_and_p_value() -> None:
    values = np.random.default_rng(5).normal(0.3, 1.0, 40)
    (effect,) = corrected([difference(values)], confidence=0.9)
    plain = stats.ttest_1samp(values, 0.0)
    assert effect.adjusted_p == pytest.approx(plain.pvalue)
    interval = plain.confidence_interval(0.9)
    assert (effect.estimate.lower, effect.estimate.upper) == pytest.approx((interval.low, interval.high))


@settings(deadline=None)
@given(st.lists(st.floats(-6.0, 6.0).filter(lambda t: t != 0.0), min_size=1, max_size=12))
def test_verdict_and_interval_never_contradict_each_other(statistics: list[float]) -> None:
    raw = [replace(difference(np.array([-1.0, 1.0] * 20)), value=t, diagnostics={"standard_error": 1.0})
           for t in statistics]  # fmt: skip
    effects = corrected(raw)
    for effect, t in zip(effects, statistics, strict=True):
        found = effect.estimate
        assert found.lower <= found.value <= found.upper
        if effect.verdict == OPEN:
            assert found.lower < 0.0 < found.upper
        else:
            assert (effect.verdict == BETTER) == (t > 0.0)
            assert found.lower >= 0.0 or found.upper <= 0.0
    # A larger statistic is never shown less.
    order = np.argsort([-abs(t) for t in statistics], kind="stable")
    assert (np.diff([effects[index].adjusted_p for index in order]) >= -1e-12).all()


def test_holm_shows_more_than_bonferroni_and_the_interval_then_ends_at_no_effect() -> None:
    strong = [replace(difference(np.array([-1.0, 1.0] * 20)), value=9.0, diagnostics={"standard_error": 1.0})] * 9
    level = stats.t.isf(0.05 / 20, 39)  # Bonferroni over two sides of ten effects
    weak = replace(strong[0], value=0.97 * level)
    effect = corrected([*strong, weak])[-1]
    assert effect.verdict == BETTER and effect.estimate.lower == 0.0
    assert corrected([*strong, replace(strong[0], value=1.03 * level)])[-1].estimate.lower > 0.0
    none = replace(strong[0], value=0.01)
    assert corrected([*[none] * 9, weak])[-1].verdict == OPEN


def test_a_difference_without_any_spread_is_certain() -> None:
    (effect,) = corrected([difference(np.full(30, -0.5))])
    assert (effect.verdict, effect.adjusted_p) == (WORSE, 0.0)
