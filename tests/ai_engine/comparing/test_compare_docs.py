"""The page on comparisons runs as it is written and names every section."""

from __future__ import annotations

from pathlib import Path

import pytest

from ai_engine.comparing import CompareResult
from ai_engine.comparing.tables import sections
from envs.home import Home
from tests.snippets import run, snippets

PAGE = Path(__file__).parents[3] / "docs" / "compare.md"


def test_the_block_runs(versions_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = snippets(PAGE)
    given, _ = run(block.statements, {"home": versions_home}, block.place)
    assert capsys.readouterr().out.splitlines()[-1] == given["result"].sentence


def test_every_section_has_its_line(compared: CompareResult) -> None:
    text = PAGE.read_text(encoding="utf-8").lower()
    for section in sections(compared):
        name = section.title.lower().replace("importance ", "").replace(" by region", "").partition(" over ")[0]
        assert name in text, section.title
