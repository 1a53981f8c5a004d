"""``runs show`` tells what was tried and where the report is; ``compare`` where its page went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ai_engine.runs import FINISHED, Run
from ai_engine.tune_result import TuneResult
from envs.home import Home
from tests import homes
from tests.ai_engine.cli.fakes import Calls
from tests.ai_engine.cli.fakes import Run as RunLine


def test_a_sweep_has_its_variants_and_its_report(run: RunLine, swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    line = ("runs", "show", tuned.run, "--home", str(home.path))
    text = run(*line).stdout
    for variant in tuned.variants:
        assert variant.label in text
    report = Run.open(home, tuned.run).path / "report.html"
    assert tuned.to_text() in text and f"\nreport: {report}\n" in text and report.is_file()
    assert text.splitlines()[-1] == "This run is finished."
    document = json.loads(run(*line, "--json").stdout)
    assert (document["report"], document["result"], document["status"]) == (str(report), tuned.to_json(), FINISHED)


def test_a_run_without_a_result_has_neither(run: RunLine, home: Home) -> None:
    made = Run.create(home, homes.AGENT, "tune", {})
    line = ("runs", "show", made.identifier, "--home", str(home.path))
    text = run(*line).stdout
    assert "report" not in text and "overlap" not in text
    assert text.splitlines()[-1] == f"This run is interrupted; go on with retrainer runs resume {made.identifier}"
    assert json.loads(run(*line, "--json").stdout)["report"] is None


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_compare_says_where_its_page_went(run: RunLine, calls: Calls, form: tuple[str, ...]) -> None:
    assert calls.made == []
    answer = run("compare", "a@1", "a@2", "--html", "page.html", *form)
    assert answer.stderr.splitlines()[-1] == f"page: {Path('page.html').absolute()}"
    assert "page" not in answer.stdout
    assert "page" not in run("compare", "a@1", "a@2", *form).output
