"""A comparison as terminal text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ai_engine.comparing.result import CompareResult
from ai_engine.comparing.tables import sections
from ai_engine.provisos import provisos
from ai_engine.text import interval, number, table
from envs.counting import counted


def to_text(result: CompareResult) -> str:
    """The tables that decide as plain text, and the sentence last."""
    parts = []
    for section in sections(result):
        if not section.brief:
            continue
        notes = "".join(f"\n{note}" for note in (*section.letters, *section.notes))
        parts.append(f"{section.title}\n{table(section.header, section.rows)}{notes}")
    return "\n\n".join([*parts, f"{result.sentence}{_provisos(result)}"])


def to_markdown(result: CompareResult) -> str:
    """All tables as Markdown, the sentence first and the conditions below it."""
    parts = [f"# {title(result)}", result.sentence, conditions(result)]
    for section in sections(result):
        rule = "|" + " --- |" * len(section.header)
        lines = [_line(section.header), rule, *map(_line, section.rows)]
        letters = "\n".join(f"- {line}" for line in section.letters)
        parts += [f"## {section.title}", section.lead, letters, "\n".join(lines), *section.notes]
    return "\n\n".join(part for part in parts if part)


def title(result: CompareResult) -> str:
    """The heading of a page."""
    names = [policy.reference for policy in result.policies]
    return f"{', '.join(names)} against {result.against}"


def conditions(result: CompareResult) -> str:
    """On what all of it rests, in a few plain sentences."""
    reward = f"the reward “{result.reward}”" if result.reward else "rewards as they were recorded"
    other = ", which is not the declared one and not what the policies were trained for" if result.what_if else ""
    return (
        f"{counted(result.decisions, 'decision')} of {result.agent} in {counted(result.units, 'unit')} of "
        f"{result.split}, under {reward}{other}; the log earned {number(result.logged.value, 4)} "
        f"{interval(result.logged.lower, result.logged.upper)}.{_provisos(result)}"
    )


def _provisos(result: CompareResult) -> str:
    return provisos(result.grade, estimated=result.propensities == "estimated", cut=result.cut)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
