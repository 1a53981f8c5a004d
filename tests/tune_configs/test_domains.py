"""What a hyperparameter may be: draws and small changes stay inside, and are spread as they say."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import SpecificationError
from tune_configs.domains import Choice, Domain, LogUniform, Uniform, WholeNumber, as_domain, domain_from_json

DOMAINS: tuple[Domain, ...] = (
    Choice((0.1, 0.2, 0.3)),
    Choice(((), (32,), (64, 64))),
    Choice(("grid", None, True)),
    Uniform(-1.0, 3.0),
    LogUniform(1e-4, 1e-2),
    WholeNumber(3, 9),
    WholeNumber(1, 1000, logarithmic=True),
)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@given(seed=st.integers(0, 2**32 - 1))
def test_draws_and_small_changes_stay_inside(domain: Domain, seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = domain.draw(rng)
    assert domain.contains(value)
    for _ in range(5):
        value = domain.near(value, rng)
        assert domain.contains(value)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_small_changes_move_and_go_both_ways(domain: Domain) -> None:
    rng = np.random.default_rng(0)
    middle: Any = domain.values[1] if isinstance(domain, Choice) else None
    if middle is None and not isinstance(domain, Choice):
        centre = math.sqrt(domain.low * domain.high) if domain.low > 0 else (domain.low + domain.high) / 2
        middle = round(centre) if isinstance(domain, WholeNumber) else centre
    found = {domain.near(middle, rng) for _ in range(40)}
    assert len(found) == 2 and middle not in found


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_a_domain_survives_json(domain: Domain) -> None:
    back = domain_from_json(json.loads(json.dumps(domain.to_json())))
    assert back == domain
    drawn = [each.draw(np.random.default_rng(5)) for each in (domain, back)]
    assert drawn[0] == drawn[1] and type(drawn[0]) is type(drawn[1])


def share_below(domain: Domain, limit: float, count: int = 2000) -> float:
    rng = np.random.default_rng(1)
    return sum(domain.draw(rng) < limit for _ in range(count)) / count  # type: ignore[operator]


def test_a_logarithmic_domain_gives_every_magnitude_its_share() -> None:
    assert share_below(LogUniform(1e-4, 1.0), 1e-2) == pytest.approx(0.5, abs=0.04)
    assert share_below(Uniform(1e-4, 1.0), 1e-2) < 0.02
    assert share_below(WholeNumber(1, 1000, logarithmic=True), 32) == pytest.approx(0.5, abs=0.06)
    assert share_below(WholeNumber(1, 1000), 501) == pytest.approx(0.5, abs=0.04)


def test_both_ends_of_whole_numbers_are_drawn() -> None:
    rng = np.random.default_rng(2)
    for domain in (WholeNumber(3, 5), WholeNumber(3, 5, logarithmic=True)):
        assert {domain.draw(rng) for _ in range(200)} == {3, 4, 5}


def test_a_value_of_another_type_is_not_inside() -> None:
    assert not Choice((1, 0)).contains(True)
    assert not Choice((True,)).contains(1)
    assert not WholeNumber(1, 3).contains(2.0)
    assert not Uniform(0, 1).contains(True)
    assert Uniform(0, 1).contains(1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice(()),
        lambda: Uniform(1.0, 1.0),
        lambda: Uniform(0.0, math.inf),
        lambda: LogUniform(0.0, 1.0),
        lambda: LogUniform(2.0, 1.0),
        lambda: WholeNumber(1.0, 3),  # type: ignore[arg-type]
        lambda: WholeNumber(0, 3, logarithmic=True),
        lambda: as_domain("abc", "hidden"),
    ],
)
def test_a_wrong_domain_is_refused_in_one_line(make: Any) -> None:
    with pytest.raises(SpecificationError) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_tuple_is_a_choice() -> None:
    assert as_domain((1, 2)) == Choice((1, 2))
    assert as_domain(Uniform(0, 1)) == Uniform(0, 1)
