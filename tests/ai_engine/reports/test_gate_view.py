"""Guardrails, what would settle it, and the self-test, on the page."""

from __future__ import annotations

from typing import Any

import pytest

from ai_engine.reports.report import render_report
from tests.ai_engine.reports.pages import Page, document, estimate


def gate(**more: Any) -> dict[str, Any]:
    return {
        "decision": "inconclusive",
        "version": "4",
        "reason": "The question is open.",
        "needs": {"decisions": 14_000, "seconds": 122_400.0, "explore": 0.03},
        "estimate": estimate(0.02, 0.06),
        "alpha": 0.0304,
        "look": 1,
        "looks": 1,
        "until_look": 4_200,
        "scarce": {"action": "failover <b>", "share": 0.8, "frequency": 0.01},
        **more,
    }


def rail(**more: Any) -> dict[str, Any]:
    base = {"name": "latency", "change": 0.04, "bound": 0.09, "margin": 0.1, "direction": "lower", "verdict": "held"}
    return {**base, **more}


def page(**more: Any) -> Page:
    return Page(render_report(document(**more)))


def test_every_guardrail_has_its_row_and_verdict() -> None:
    broken = rail(name="success & co", change=-0.5, bound=-0.6, margin=0.1, direction="higher", verdict="broken")
    untested = rail(name="errors", change=None, bound=None, verdict="open")
    shown = page(gate=gate(guardrails=[rail(), broken, untested]))
    assert "latency lower +0.04 +0.09 +0.1 held" in shown.text
    assert "success & co higher −0.5 −0.6 −0.1 broken" in shown.text
    assert "errors lower – – +0.1 open" in shown.text
    assert {"tag", "bad"} in shown.classes("span") and {"tag", "warn"} in shown.classes("span")
    assert "Guardrails" not in page(gate=gate()).text


def test_what_would_settle_it_names_the_action_and_the_next_look() -> None:
    text = page(gate=gate()).text
    assert "of failover <b>, which the log has too little of" in text
    assert "looks spent 1" in text and "decisions until the next look 4,200" in text


@pytest.mark.parametrize(("passed", "kind"), [(True, "note"), (False, "bad")])
def test_the_self_test_stands_in_the_gates_section(passed: bool, kind: str) -> None:
    kept = {
        "command": "retrainer gate scaling --placebo 200",
        "text": "3 of 200 placebo copies would have been promoted, 1.5 % [0.3, 4.3], nominal 3 %",
        "decisions": 20_004,
        "outcome": {"passed": passed},
    }
    shown = page(placebo=kept)
    verdict = "passed" if passed else "failed"
    assert f"Placebo {verdict} 3 of 200 placebo copies would have been promoted" in shown.text
    assert "(log of 20,004 decisions)" in shown.text and {"tag", kind} in shown.classes("span")
    # A failed one says how it is run again.
    assert ("--placebo 200" in shown.text) == (not passed)


def test_without_a_self_test_the_page_says_how_to_run_it() -> None:
    text = page(placebo={"command": "retrainer gate scaling --placebo 200"}).text
    assert "Not run" in text and "retrainer gate scaling --placebo 200" in text
    assert "Not run" in page().text
