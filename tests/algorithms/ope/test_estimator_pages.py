"""Every estimator has a page, the overview says what the tests prove, and the blocks of all pages run."""

import re
from pathlib import Path

import numpy as np
import pytest

from algorithms.ope.registry import ESTIMATORS, NEEDS_MODEL, SINGLE_DECISION, estimators_for
from tests.algorithms.ope.claims import CLAIMS
from tests.snippets import run, snippets
from tests.worlds import chain, explored

TESTS = Path(__file__).parents[2]
DOCS = TESTS.parent / "docs"
PAGES = DOCS / "estimators"
OVERVIEW = PAGES / "README.md"
ROW = re.compile(r"^\| \[`(\w+)`\]\((\w+\.md)\) \| (.*) \|$", re.MULTILINE)
PARTS = ("**Assumes**", "**Fails**", "**Refuses**", "**Proof**", "```python", "```\n")


def table():
    """Page and cells of every row of the overview, by estimator."""
    text = OVERVIEW.read_text(encoding="utf-8")
    return {name: (page, cells.split(" | ")) for name, page, cells in ROW.findall(text)}


def rule(name):
    """What the overview says of the smallest overlap."""
    claims = CLAIMS[name]
    if not claims.units:
        return "nothing"
    beyond = "" if claims.share_beyond == claims.share else f", {claims.share_beyond:.0%} beyond one decision"
    return f"{claims.units} units and {claims.share:.0%}{beyond}".replace("%", " %")


def expected(name):
    """The row of the overview that the tested claims make."""
    claims = CLAIMS[name]
    exact = {"any": "yes", "model": "with the exact model"}.get(
        claims.exact, f"within {claims.errors:g} error{'s' if claims.errors > 1 else ''} of `{claims.close_to}`"
    )
    shift = {"alone": "yes", "model": "with the model", "no": "no"}[claims.reward_shift]
    words = {True: "yes", False: "no"}
    return [
        "one" if name in SINGLE_DECISION else "any",
        words[name in NEEDS_MODEL],
        words[claims.unbiased],
        exact,
        shift,
        words[claims.own_policy],
        words[claims.within],
        words[claims.up_to_a_factor],
        rule(name),
    ]


def test_the_overview_says_what_is_proven():
    assert {name: cells for name, (_, cells) in table().items()} == {name: expected(name) for name in ESTIMATORS}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_page_says_what_it_assumes_how_it_fails_and_what_proves_it(name):
    text = (PAGES / table()[name][0]).read_text(encoding="utf-8")
    assert f"`{name}`" in text.splitlines()[0]
    assert all(part in text for part in PARTS)
    claims = CLAIMS[name]
    refuses = text.partition("**Refuses**")[2].partition("\n\n")[0].replace("\n", " ")
    if claims.units:
        assert f"below {claims.units} effective units or {claims.share:.0%} of the units".replace("%", " %") in refuses
        beyond = f"beyond one decision {100 * claims.share_beyond:.0f} %"
        assert (beyond in refuses) == (claims.share_beyond > claims.share)
    else:
        assert refuses.startswith(" nothing")
    assert ("is an error" in refuses) == (name in SINGLE_DECISION)
    proof = text.partition("**Proof**")[2]
    assert re.findall(r"`(?:\S*/)?(test_\w+\.py)`", proof)


def test_no_page_is_left_out_and_every_test_and_link_is_there():
    overview = OVERVIEW.read_text(encoding="utf-8")
    here = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    for page in [*PAGES.glob("*.md"), DOCS / "trust.md"]:
        text = page.read_text(encoding="utf-8")
        assert page.parent != PAGES or page == OVERVIEW or f"({page.name})" in overview, page.name
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (page.parent / target).exists(), (page.name, target)
        for test in re.findall(r"`(?:\S*/)?(test_\w+\.py)`", text):
            assert test in here, (page.name, test)


def given(horizon):
    """A log of a chain, and a policy at all of its observations, ends included."""
    log = chain(5, horizon=horizon, vector=True, noise=0.1).log(explored(np.tile([0.0, 1.0], (5, 1)), 0.8), 200, 0)
    return {"dataset": log, "probabilities": np.tile([0.3, 0.7], (len(log.observations), 1))}


@pytest.mark.parametrize("page", sorted({page for page, _ in table().values()}))
def test_every_block_runs(page, capsys):
    (name,) = (name for name, (of, _) in table().items() if of == page and name != "clipped_weighted_pdis")
    horizon = 1 if name in SINGLE_DECISION else 6
    namespace = given(horizon)
    for block in [*snippets(OVERVIEW), *snippets(PAGES / page)]:
        namespace, _ = run(block.statements, namespace, block.place)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(estimators_for(horizon, state_ratios=True)) + 1
    assert namespace["found"].estimator in (name, "clipped_weighted_pdis")
    assert np.isfinite(namespace["found"].value)
