"""A search space from a file of the user's: loaded by name, checked whole before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.errors import SpecificationError
from tests import homes
from tune_configs import Choice, LogUniform, SearchSpace, Space, Uniform, VariantSpecification, WholeNumber
from tune_configs.user_space import check_space, load_space

FILE = """
from tune_configs import LogUniform, SearchSpace, Space, VariantSpecification

SPACE = SearchSpace(
    portfolio=[VariantSpecification("tabular_q", {"discretizer": "integer"}, step=0.25)],
    spaces=[Space("behavior_cloning", {"learning_rate": LogUniform(1e-4, 1e-2), "hidden": [(8,), (16, 16)]}, [0.5, 1])],
)
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "space.py"
    path.write_text(text)
    return path


def test_a_file_gives_its_space(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, FILE))
    assert space == SearchSpace(
        (VariantSpecification("tabular_q", {"discretizer": "integer"}, 0.25),),
        (
            Space(
                "behavior_cloning",
                {"learning_rate": LogUniform(1e-4, 1e-2), "hidden": Choice(((8,), (16, 16)))},
                Choice((0.5, 1)),
            ),
        ),
    )
    check_space(space, homes.specification())
    assert SearchSpace.from_json(space.to_json()) == space


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SPACES = 1", "SPACE is missing"),
        ("SPACE = {'dqn': {}}", "SPACE is a dict"),
        ("\nimport nothing_of_this_name", "space.py:2: fails .ModuleNotFoundError"),
        ("\n\nSPACE = [", "space.py:3: fails .SyntaxError"),
        ("from tune_configs import SearchSpace\nSPACE = SearchSpace()", "space.py:2: .*nothing to try"),
        ("from tune_configs import Space\nSPACE = Space(\n'dqn', {}, steps=(2.0,))", "space.py:2: .*a step of 2.0"),
        ("from tune_configs import Space\nSPACE = Space('dqn', {'hidden': 'wide'})", "hidden: 'wide' is no domain"),
        ("from tune_configs import SearchSpace\nSPACE = SearchSpace(['dqn'])", "'dqn' is no VariantSpecification"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecificationError, match=words) as raised:
        load_space(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="there is no such file"):
        load_space(tmp_path / "space.py")
    with pytest.raises(SpecificationError, match="is no Python file"):
        load_space(write(tmp_path, FILE).rename(tmp_path / "space.txt"))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Space("sarsa"), "'sarsa' is no algorithm"),
        (Space("dqn", {"colour": Choice((1,))}), "'colour' is not a hyperparameter"),
        (Space("tabular_q", {"pessimism": Uniform(-1.0, 1.0)}), "pessimism is -1.0"),
        (Space("ppo", {"clip_param": Uniform(0.1, 2.0)}), "clip_param is 2.0"),
        (Space("dqn", {"n_step": WholeNumber(0, 3)}), "n_step is 0"),
        (Space("dqn", {"n_step": Choice((1, 0))}), "n_step is 0"),
        (Space("tabular_q", {"fields": Choice((("nobody",),))}), "nobody"),
    ],
)
def test_every_end_of_every_domain_is_checked(space: Space, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        check_space(SearchSpace((), (space,)), homes.specification())


def test_what_is_wrong_with_a_space_is_told_by_its_place() -> None:
    good, bad = (VariantSpecification("tabular_q", {"discretizer": "integer", "pessimism": one}) for one in (1.0, -1.0))
    with pytest.raises(SpecificationError, match=r"^portfolio\[1\]: .*pessimism is -1.0"):
        check_space(SearchSpace((good, bad)), homes.specification())
    spaces = [Space("tabular_q", {"pessimism": Uniform(0.0, one)}) for one in (1.0, 2.0)] + [Space("sarsa")]
    with pytest.raises(SpecificationError, match=r"^spaces\[2\]: .*sarsa"):
        check_space(SearchSpace((), spaces), homes.specification())


@pytest.mark.parametrize("step", [2.5, 0.0, float("nan"), "half"])
def test_a_step_of_the_portfolio_is_checked_before_anything_is_trained(step: float) -> None:
    space = SearchSpace((VariantSpecification("tabular_q", {"discretizer": "integer"}, step=step),))
    with pytest.raises(SpecificationError, match="a step of"):
        check_space(space, homes.specification())
