"""The page of a data card: a card and the log's portrait in, one self-contained page out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_engine.reports.bars import share_bars
from ai_engine.reports.card_charts import course_panels
from ai_engine.reports.formats import number, percent
from ai_engine.reports.pages import render_page, write_page
from ai_engine.reports.views import card_view
from envs.build_report import BuildReport
from envs.card import DataCard
from envs.card.portrait import Portrait
from envs.clock import written

# What is told first; the other figures stand in a table.
KEY_FIGURES = (
    "decisions",
    "episodes",
    "units",
    "mean_return",
    "effective_sample_size",
    "effective_sample_size_fraction",
    "propensities",
    "smallest_propensity",
    "decisions_per_day",
)
MOST_ACTIONS = 24


def render_card(card: DataCard, report: BuildReport, portrait: Portrait) -> str:
    """The page as HTML text.

    Raises:
        MissingExtraError: jinja2 is not installed; the message is the install line.
    """
    document, agent = card.to_json(), str(card.figures["agent"])
    view = card_view(document, agent)
    rest = {name: value for name, value in view["figures"].items() if name not in (*KEY_FIGURES, "dataset")}
    context = {
        "agent": agent,
        "title": f"What the log of {agent} can prove",
        "horizon": card.horizon,
        "card": {**view, "figures": {}},
        "key": {name: card.figures[name] for name in KEY_FIGURES if name in card.figures},
        "rest": rest,
        "left_out": _left_out(report),
        "grades": portrait.grades,
        "plots": _plots(portrait),
        "shares": [(name, [percent(share) for share in shares]) for name, shares in portrait.chosen],
        "actions": portrait.actions,
        "dataset": card.figures["dataset"],
    }
    return render_page("card_template.html", context)


def write_card(card: DataCard, report: BuildReport, portrait: Portrait, path: str | Path) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    write_page(render_card(card, report, portrait), path)


_ALL_OF_IT = ("records", "decisions", "episodes", "known_roots")


def _left_out(report: BuildReport) -> dict[str, Any]:
    counts = {name: value for name, value in report.to_json().items() if value and name not in _ALL_OF_IT}
    return counts | ({"matures": written(report.matures)} if report.matures else {})


def _plots(portrait: Portrait) -> dict[str, Any]:
    plots: dict[str, Any] = dict.fromkeys(("courses", "actions", "parts", "propensities", "returns"), "")
    if portrait.courses:
        title = "Reward and observation in the course of the log"
        plots["courses"] = course_panels(portrait.courses, portrait.periods, "courses", title)
    if portrait.chosen:
        most = [max(shares[index] for _, shares in portrait.chosen) for index in range(len(portrait.actions))]
        kept = sorted(sorted(range(len(most)), key=lambda index: -most[index])[:MOST_ACTIONS])
        names = [portrait.actions[index] for index in kept]
        series = [(part, [shares[index] for index in kept]) for part, shares in portrait.chosen]
        text = "; ".join(
            f"{part}: " + ", ".join(f"{name} {percent(share)}" for name, share in zip(names, shares, strict=True))
            for part, shares in series
        )
        plots["actions"] = share_bars(names, series, "actions", "Share of the decisions by action", text)
        plots["parts"] = [part for part, _ in series]
    if portrait.propensities:
        plots["propensities"] = _bars(list(portrait.propensities), "propensities", "Logged propensities")
    if portrait.returns:
        ranges = [(f"{number(low)} to {number(high)}", share) for low, high, share in portrait.returns]
        plots["returns"] = _bars(ranges, "returns", "Returns of the episodes")
    return plots


def _bars(pairs: list[tuple[str, float]], identifier: str, title: str) -> str:
    text = "; ".join(f"{name}: {percent(share)}" for name, share in pairs)
    return share_bars([name for name, _ in pairs], [(title, [share for _, share in pairs])], identifier, title, text)
