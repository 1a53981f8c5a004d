"""A strict reader of report pages, and documents to write them from."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from ai_engine.reports import ReportDocument

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
REASON = "overlap too small: effective sample size 8.3 of 251 units (3.3 %)"


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps elements and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.parents: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in {tag}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.parents.append(tuple(self.open))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open or tag in VOID, f"{tag} closes itself outside a drawing"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.parents.append(tuple(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def classes(self, tag: str) -> list[set[str]]:
        return [set(attributes.get("class", "").split()) for name, attributes in self.elements if name == tag]


def estimate(value: float | None, half: float, **more: Any) -> dict[str, Any]:
    ends = {"lower": None, "upper": None} if value is None else {"lower": value - half, "upper": value + half}
    more = {"estimator": "doubly_robust", "confidence": 0.95, "evidence": "log", "refused": "", **more}
    return {"value": value, **ends, "effective_sample_size": 187.0, **more}


def variant(version: int, gain: float | None = 0.1, half: float = 0.05, **more: Any) -> dict[str, Any]:
    refused = "" if gain is not None else REASON
    base = {
        "version": str(version),
        "algorithm": "tabular_q",
        "hyperparameters": {"cells": 48, "learning_rate": 0.0003},
        "seeds": [0, 1],
        "step": 0.25,
        "estimate": estimate(-14.8, 0.3),
        "gain": estimate(gain, half, refused=refused, estimator="paired_doubly_robust"),
        "model_gain": 0.21,
        "finalist": False,
        "recommended": False,
    }
    return {**base, **more}


def document(**more: Any) -> ReportDocument:
    base: dict[str, Any] = {
        "title": "Retraining scaling",
        "created": "2025-03-14T09:26:53+00:00",
        "sentence": "Version 4 is the champion.",
        "agent": "scaling",
        "run": "r-17",
        "seed": 3,
        "figures": {"decisions": 20_004, "behaviour policy": "rule-1"},
        "card": {
            "grade": "A",
            "findings": [
                {
                    "code": "short_log",
                    "severity": "warning",
                    "sentence": "The log is short.",
                    "consequence": "Intervals are wide.",
                    "remedy": "Log more decisions.",
                }
            ],
            "figures": {"smallest_propensity": 0.0333, "logged_share": 0.987},
            "provable_steps": [[0.05, 0.92], [0.5, 0.043]],
            "exploration_advice": "Explore a little more.",
        },
        "variants": [variant(4, finalist=True), variant(6, None, recommended=True)],
        "gate": {
            "decision": "promote",
            "version": "4",
            "reason": "The gain is shown.",
            "needs": {"decisions": 41_200, "seconds": 276_480.0, "explore": 0.4},
            "estimate": estimate(0.138, 0.057),
            "alpha": 0.0304,
            "look": 1,
        },
        "actions": {
            "names": ["down", "hold", "up"],
            "series": [
                {"policy": "version 0", "shares": [0.12, 0.71, 0.17]},
                {"policy": "version 4", "shares": [0.21, 0.46, 0.33]},
            ],
        },
        "reveal": [
            {
                "policy": "version 0",
                **{"estimate": -14.82, "lower": -15.11, "upper": -14.53, "evidence": "log"},
                **{"pool": -14.774, "pool_error": 0.021, "unseen": -15.321, "unseen_error": 0.024},
            }
        ],
        "command": "retrainer promote scaling@6",
    }
    return ReportDocument.from_json({**base, **more})
