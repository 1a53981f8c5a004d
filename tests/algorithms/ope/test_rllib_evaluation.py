"""RLlib's own offline evaluation on a log whose truth is arithmetic: the page says what its real code does."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from tests.snippets import run, snippets

PAGE = Path(__file__).parents[3] / "docs" / "estimators" / "rllib_evaluation.md"
PREFERENCE = {"arm 1 in 90 %": 0.9, "even": 0.5, "arm 1 in 10 %": 0.1}
PRINTED = re.compile(r"truth (\S+) +ours (\S+) +RLlib (\S+)")


@pytest.fixture(scope="module")
def page():
    """What the blocks of the page define, and the three figures of each line that they print."""
    given, printed = {}, []
    for block in snippets(PAGE):
        with redirect_stdout(StringIO()) as out:
            given, _ = run(block.statements, given, block.place)
        printed.append([tuple(map(float, line)) for line in PRINTED.findall(out.getvalue())])
    return given, printed


def rows(header):
    """(policy's p, figures) of the table with this header."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"\n{header}\n")[2].splitlines()[1:]
    for line in lines[: lines.index("")]:
        name, *figures = [cell.strip() for cell in line.strip("|").split("|")]
        yield PREFERENCE[name], [float(figure) for figure in figures]


def standard_error(p, rewards):
    """Of RLlib's figure: each reward times π(a')/b, a' drawn anew, b = 1/2."""
    second = 4 * (p**3 + (1 - p) ** 3) * np.mean(rewards**2)
    first = 2 * (p**2 + (1 - p) ** 2) * np.mean(rewards)
    return np.sqrt((second - first**2) / len(rewards))


def assert_table(header, printed, truth, expected, rewards):
    """Ours is the truth, RLlib's figure is what arithmetic expects of it, and the table is what was printed."""
    for (p, cells), (true, ours, theirs) in zip(rows(header), printed, strict=True):
        assert true == pytest.approx(truth(p)) and ours == pytest.approx(truth(p), abs=5e-4)
        assert abs(theirs - expected(p)) < 4 * standard_error(p, rewards) + 5e-4
        assert cells == pytest.approx([truth(p), truth(p), expected(p), theirs], abs=0.0056)


def test_is_weighs_an_action_that_was_never_logged(page):
    given, (bandit, _) = page
    header = "| policy | truth | `ips` | RLlib `is`, expected | RLlib `is`, run |"
    assert_table(header, bandit, lambda p: p, lambda p: p**2 + (1 - p) ** 2, given["bandit"].rewards)
    assert [true for true, _, _ in bandit] == [0.9, 0.5, 0.1]
    assert bandit[2][2] > bandit[1][2] + 0.2  # the worst policy looks better than the even one


def test_pdis_never_multiplies_up(page):
    """A quarter of the pairs pays in the second step, and is weighed by the draw of that step alone."""
    given, (_, both) = page
    header = "| policy | truth | `pdis` | RLlib `pdis`, expected | RLlib `pdis`, run |"
    assert_table(header, both, lambda p: p**2, lambda p: (p**2 + (1 - p) ** 2) / 2, given["both"].rewards[:, 1])
    assert [true for true, _, _ in both] == [0.81, 0.01]
