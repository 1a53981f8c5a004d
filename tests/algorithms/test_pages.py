"""The pages of algorithms and offline environments say what the code says."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ai_engine.cli.values import hyperparameter
from algorithms.registry import ALGORITHMS, configuration, configuration_class
from envs.offline import ENVIRONMENTS
from tests.snippets import snippets
from tune_configs.spaces import AGENT_DEFAULTS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = DOCS / "algorithms"
SHARED = {"self", "num_envs", "dataset", "splits", "horizon", "render_mode"}
"""Arguments that an environment's table leaves to the text above it."""


def table(text: str, header: str) -> list[list[str]]:
    """The cells of the first table whose header this is."""
    lines = text.partition(f"\n{header}\n")[2].splitlines()[1:]
    rows = lines[: next((place for place, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def settings(text: str) -> list[tuple[str, str]]:
    """Names and defaults of the settings that a page states, in its order; a default by its repr."""
    rows = table(text, "| setting | default | what |")
    assert all(len(row) == 3 and row[2] for row in rows)
    return [(name.strip("`"), repr(ast.literal_eval(default.strip("`")))) for name, default, _ in rows]


def commands(text: str) -> list[list[str]]:
    """The words of the lines that call ``retrainer``."""
    return [shlex.split(line, comments=True) for line in re.findall(r"^retrainer .*$", text, re.MULTILINE)]


def check(name: str, hyperparameters: dict[str, Any]) -> None:
    """Raises unless the algorithm takes these hyperparameters."""
    configuration(name, hyperparameters).offline(dataset="checked when it is opened").validate()


def test_every_algorithm_has_a_page_that_the_overview_links() -> None:
    overview = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(ALGORITHMS)
    firsts = {cells[0]: cells[3] for cells in table(overview, "| algorithm | learns | from | tried first for |")}
    assert set(firsts) == {f"[`{name}`]({name}.md)" for name in ALGORITHMS}
    for agent, defaults in AGENT_DEFAULTS.items():
        first = defaults.algorithm
        assert f"`{agent}`" in firsts[f"[`{first}`]({first}.md)"]
        assert f"`{agent}`" in (PAGES / f"{first}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_page_names_all_settings_with_their_defaults_and_all_metrics(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    kind = configuration_class(name)
    config = kind()
    assert settings(page) == [(setting, repr(config.setting(setting))) for setting in kind.own_settings()]
    described = inspect.getdoc(config.algo_class)
    logged = set(re.findall(r"``(\w+)``", described.partition("Metrics")[2]))
    assert {metric.strip("`") for metric, _ in table(page, "| metric | what |")} == logged


@pytest.mark.parametrize("name", [*ALGORITHMS, "README"])
def test_what_a_page_says_to_run_is_known(name: str) -> None:
    page = PAGES / f"{name}.md"
    verbs = set()
    for _, verb, _, *words in commands(page.read_text(encoding="utf-8")):
        verbs.add(verb)
        options = list(zip(words[::2], words[1::2], strict=True))
        for option, value in options:
            assert option != "--algorithms" or set(value.split(",")) <= set(ALGORITHMS)
        if verb == "train":
            given = [value.partition("=") for option, value in options if option == "--set"]
            algorithm = dict(options)["--algorithm"]
            assert algorithm == name or name == "README"
            check(algorithm, {setting: hyperparameter(value) for setting, _, value in given})
    assert verbs == {"train", "tune"}
    classes = {value.rpartition(":")[2]: algorithm for algorithm, value in ALGORITHMS.items()}
    trained = set()
    for snippet in snippets(page):
        for node in ast.walk(ast.parse(snippet.code)):
            match node:
                case ast.Call(ast.Attribute(ast.Call(ast.Name(configured)), "training"), keywords=keywords):
                    trained.add(classes[configured])
                    check(classes[configured], {word.arg: ast.literal_eval(word.value) for word in keywords})
                case ast.ImportFrom(module, names):
                    assert all(hasattr(import_module(module), each.name) for each in names)
    assert len(trained) == 1 and (trained == {name} or name == "README")


def test_the_page_of_offline_environments_names_all_settings_with_their_defaults() -> None:
    text = (DOCS / "offline_environments.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(\S+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(ENVIRONMENTS)
    for identifier, forms in ENVIRONMENTS.items():
        for form in forms:
            module, name = form.split(":")
            arguments = inspect.signature(getattr(import_module(module), name)).parameters.values()
            own = [(each.name, repr(each.default)) for each in arguments if each.name not in SHARED]
            assert settings(sections[identifier]) == own, identifier


def test_links_lead_somewhere() -> None:
    for page in (*PAGES.glob("*.md"), DOCS / "offline_environments.md"):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
