"""What a gate asks besides the gain: guardrails, a model's word, and the self-test that stands before it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ai_engine import deciding, gating, self_test
from ai_engine.cli.application import retrainer
from ai_engine.deciding import gate, promote
from ai_engine.deploy import Registry
from ai_engine.gate_result import GateResult
from ai_engine.gating import Answer
from ai_engine.runs import Run
from ai_engine.self_test import PlaceboResult, kept_placebo, placebo
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from envs.card.grade import MEANINGS
from envs.card.history import HistoryTest, history_test
from envs.dataset import FINAL
from envs.errors import DataError, RegistryError
from envs.guardrail import GuardrailSpecification
from envs.home import Home
from tests import homes
from tests.ai_engine.reports.pages import Page
from tests.envs.samples import built
from tests.envs.samples import specification as samples_specification
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.placebo import PlaceboOutcome
from tune_configs.gate.planning import about
from tune_configs.gate.request import GateDecision, Needs

AGENT = homes.AGENT
HELD = GuardrailSpecification("misses", "gain < 0.5", "lower", "mean", margin=0.1)
BROKEN = GuardrailSpecification("comfort", "0 - gain", "higher", "sum", margin=0.01)
UNKNOWN = GuardrailSpecification("latency", "execution_time", "lower", margin=0.1)


def page(home: Home, tuned: TuneResult) -> str:
    return (Run.open(home, tuned.run).path / "report.html").read_text()


def test_guardrails_stand_in_result_ledger_text_and_report(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    home.declare(homes.specification(guardrails=(HELD,)))
    result = gate(AGENT, home=home)
    (outcome,) = result.guardrails
    assert (result.decision, outcome.name, outcome.verdict) == ("promote", "misses", "held")
    # Right more often means fewer misses: the change is the measure's own, down where it gets better.
    assert outcome.change < 0 < outcome.margin and outcome.change < outcome.bound < outcome.margin
    assert json.loads(json.dumps(result.to_json()))["guardrails"][0]["verdict"] == "held"
    entry = Registry(home).history(AGENT)[-1]
    assert GateResult.of(entry).to_json() == result.to_json()
    assert "guardrail misses" in result.to_text() and "held: -" in result.to_text()
    assert "<h3>Guardrails</h3>" in page(home, tuned) and ">held<" in page(home, tuned)
    promote(result.version, home=home)


def test_a_broken_guardrail_keeps_the_champion_and_costs_the_look(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    home.declare(homes.specification(guardrails=(HELD, BROKEN)))
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("keep", 1, pytest.approx(alpha_at(1)))
    assert "comfort would get worse" in result.reason and "misses" not in result.reason
    assert {outcome.name: outcome.verdict for outcome in result.guardrails} == {"misses": "held", "comfort": "broken"}
    with pytest.raises(RegistryError, match="said keep"):
        promote(result.version, home=home)


def test_a_guardrail_without_values_refuses_by_name_and_for_free(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    home.declare(homes.specification(guardrails=(HELD, UNKNOWN)))
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha, result.units) == ("refused", 0, 0.0, 0)
    assert "guardrail latency has no value in" in result.reason and "'execution_time'" in result.reason
    assert Registry(home).looks(AGENT).count == 0
    # What a missing value counts as may be declared; then the gate speaks.
    home.declare(homes.specification(guardrails=(HELD, replace(UNKNOWN, missing=1.0))))
    assert gate(AGENT, home=home).decision == "promote"


def test_copies_of_episodes_refuse_the_gate_for_free_and_no_exploration_is_advised(
    swept: tuple[Home, TuneResult],
) -> None:
    home, _ = swept
    copies = [
        replace(each, event_id=f"{each.event_id}-again", episode_id=f"{each.episode_id}-again")
        for each in homes.records(100)
    ]
    homes.write(home, copies)
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.needs) == ("refused", 0, Needs())
    assert "grade C: 100 of 1,300 episodes repeat another one" in result.reason


def without_overlap(tuned: TuneResult, model_gain: float) -> TuneResult:
    """The same sweep of a log that reaches no variant; a model speaks for the recommendation."""
    variants = tuple(
        replace(variant, gain=replace(variant.gain, refused="overlap too small"), model_gain=model_gain)
        for variant in tuned.variants
    )
    return replace(tuned, variants=variants, finalists=(), evidence="model")


def test_a_models_word_alone_is_worth_a_live_test_of_the_recommendation(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    run = Run.open(home, tuned.run)
    run.write("result.json", without_overlap(tuned, 0.2).to_json())
    result = gate(AGENT, home=home)
    assert (result.decision, result.version) == ("canary", tuned.recommended)
    assert "only a model" in result.reason and (result.look, result.alpha) == (0, 0.0)
    with pytest.raises(RegistryError, match="said canary"):
        promote(result.version, home=home)
    run.write("result.json", without_overlap(tuned, -0.2).to_json())
    assert gate(AGENT, home=home).decision == "refused"
    # What must be gained at least is declared: a model that promises less gets no live test.
    run.write("result.json", without_overlap(tuned, 0.2).to_json())
    home.declare(homes.specification(minimum_gain=0.3))
    assert gate(AGENT, home=home).decision == "refused"


def beside_a_loss(tuned: TuneResult, loss: float) -> TuneResult:
    """The same, but the log reaches a variant and says that it loses; the models promise it nothing."""
    said = without_overlap(tuned, 0.2)
    other = next(variant for variant in said.variants if variant.index != said.recommended_index)
    gain = replace(other.gain, value=loss, lower=loss - 0.1, upper=loss + 0.1, refused="")
    reached = replace(other, gain=gain, model_gain=-0.1)
    return replace(said, variants=tuple(reached if each is other else each for each in said.variants))


def test_a_loss_elsewhere_takes_no_live_test_away_unless_it_contradicts_the_models(
    swept: tuple[Home, TuneResult],
) -> None:
    home, tuned = swept
    run = Run.open(home, tuned.run)
    run.write("result.json", beside_a_loss(tuned, -0.1).to_json())
    result = gate(AGENT, home=home)
    assert (result.decision, result.version, result.finalist) == ("canary", tuned.recommended, False)
    assert "recommended  " in result.to_text() and "finalist" not in result.to_text()
    assert f"retrainer promote {tuned.recommended} --override --reason TEXT" in page(home, tuned)
    run.write("result.json", beside_a_loss(tuned, -2.0).to_json())
    result = gate(AGENT, home=home)
    assert result.decision == "keep" and "contradicts the models" in result.reason
    # No model promises enough, and what the log reaches loses.
    run.write("result.json", replace(beside_a_loss(tuned, -0.1), evidence="log").to_json())
    result = gate(AGENT, home=home)
    assert result.decision == "keep" and "contradicts" not in result.reason


def test_a_canary_on_a_models_word_names_the_recommendation_and_no_finalist(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, tuned = swept
    assert tuned.recommended not in tuned.finalists
    by_model = GateDecision("canary", "only a model speaks for it", None, "", (), 0.0, 1, Needs())
    monkeypatch.setattr(deciding, "ask", lambda *arguments: Answer(by_model, 0, 10))
    assert gate(AGENT, home=home).version == tuned.recommended
    by_mean = replace(by_model, decision="inconclusive", reason="open")
    monkeypatch.setattr(deciding, "ask", lambda *arguments: Answer(by_mean, 0, 10))
    assert gate(AGENT, home=home).version == tuned.finalists[0]


def fake(monkeypatch: pytest.MonkeyPatch, promoted: int) -> list[dict[str, Any]]:
    """Self-tests that end at once with so many promotions; gives the growing list of their arguments."""
    asked: list[dict[str, Any]] = []

    def run(dataset: Any, champion: Any, base: Any, **arguments: Any) -> PlaceboOutcome:
        asked.append(arguments)
        copies = arguments["copies"]
        counts = {"promote": promoted, "keep": copies - promoted}
        return PlaceboOutcome(copies, promoted, alpha_at(arguments["look"]), arguments["look"], copies // 2, counts)

    monkeypatch.setattr(self_test, "run_placebo", run)
    return asked


def test_a_real_self_test_spends_nothing_and_is_kept(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    told: list[str] = []
    result = placebo(AGENT, 5, home=home, progress=told.append)
    assert told[-1] == "placebo copies 5 of 5"
    assert sum(result.outcome.decisions.values()) == 5 and result.outcome.nominal == alpha_at(1)
    assert Registry(home).looks(AGENT).count == 0 and [e.kind for e in Registry(home).history(AGENT)] == ["version0"]
    kept = kept_placebo(home, home.specification(AGENT))
    assert kept == result == PlaceboResult.from_json(json.loads(json.dumps(result.to_json())))
    assert "of 5 placebo copies would have been promoted" in result.to_text() and "no α was spent" in result.to_text()
    assert result == replace(placebo(AGENT, 5, home=home), created=result.created)


def test_every_report_shows_the_kept_self_test_or_how_to_run_it(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, tuned = swept
    gate(AGENT, home=home)
    assert "Not run" in page(home, tuned) and f"retrainer gate {AGENT} --placebo 200" in page(home, tuned)
    asked = fake(monkeypatch, promoted=1)
    before = page(home, tuned)
    placebo(AGENT, home=home)
    shown = page(home, tuned)
    assert "1 of 200 placebo copies would have been promoted" in shown and "Not run" not in shown
    gates = [re.sub(r"<h3>Placebo</h3>.*?</section>", "", each, flags=re.DOTALL) for each in (before, shown)]
    assert gates[0] == gates[1], "of all else it says what it said"
    assert (asked[0]["copies"], asked[0]["look"], asked[0]["grade"]) == (200, 2, "A"), "as the next gate would judge"
    gate(AGENT, home=home)
    shown = page(home, tuned)
    assert "1 of 200 placebo copies would have been promoted, 0.5 % [0.0, 2.8], nominal 0.76 %; " in shown
    assert "a finalist was tested in 100" in shown
    assert ">passed<" in shown and "Not run" not in shown


def test_a_failed_self_test_forbids_the_gate_until_something_changes(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, tuned = swept
    fake(monkeypatch, promoted=20)
    failed = placebo(AGENT, home=home)
    assert not failed.outcome.passed and "refuses to judge" in failed.to_text()
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("refused", 0, 0.0)
    assert "the self-test failed: 20 of 200" in result.reason and ">failed<" in page(home, tuned)
    with pytest.raises(RegistryError, match="said refused"):
        promote(result.version, home=home)
    # A handful of copies that see nothing undo nothing.
    fake(monkeypatch, promoted=0)
    with pytest.raises(DataError, match="20 cannot undo it"):
        placebo(AGENT, 20, home=home)
    assert gate(AGENT, home=home).decision == "refused"
    # As many do, and so does another declaration, for which nothing was tested.
    home.declare(homes.specification(worst_class=""))
    assert kept_placebo(home, home.specification(AGENT)) is None
    home.declare(homes.specification())
    assert placebo(AGENT, home=home).outcome.passed
    assert gate(AGENT, home=home).decision == "promote"


def test_a_log_on_which_nothing_is_promoted_has_no_error_rate(tmp_path: Any) -> None:
    declared = homes.specification(explore=0.0)
    home = homes.make_home(tmp_path / "home", homes.records(200, declared=declared), explore=0.0)
    with pytest.raises(DataError, match=r"grade C.*no error rate to test"):
        placebo(AGENT, 5, home=home)


def test_a_damaged_self_test_is_an_error(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    (home.runs_path / f"{AGENT}-placebo.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        gate(AGENT, home=home)


def test_the_command_prints_the_share_and_judges_nobody(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = swept
    words = ["gate", AGENT, "--placebo", "40", "--home", str(home.path)]
    few, many = "40 copies are too few to tell whether", "does not keep its error rate"
    for promoted, code, verdict in ((0, 0, few), (1, 0, "120 or more tell"), (9, 6, many)):
        fake(monkeypatch, promoted)
        shown = CliRunner().invoke(retrainer, [*words, "--exit-status"])
        assert verdict in shown.stdout and "The gate keeps" not in shown.stdout
        assert f"{promoted} of 40 placebo copies" in shown.stdout and shown.exit_code == code
    document = json.loads(CliRunner().invoke(retrainer, [*words, "--json"]).stdout)
    fake(monkeypatch, 0)
    assert "The gate keeps its error rate" in CliRunner().invoke(retrainer, [*words, "--placebo", "120"]).stdout
    assert document["outcome"]["promoted"] == 9 and document["outcome"]["passed"] is False
    assert [entry.kind for entry in Registry(home).history(AGENT)] == ["version0"]
    assert CliRunner().invoke(retrainer, [*words[:3], "0"]).exit_code == 2


def found(**changes: Any) -> HistoryTest:
    """A history test's result: that of decisions without a past, changed."""
    alone = built(episodes=5, horizon=1, declared=samples_specification(horizon=1))[0]
    return replace(history_test(alone), **changes)


def test_a_model_that_the_log_contradicts_gets_no_live_test(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model says is worth nothing where the past tells what the observation does not."""
    home, tuned = swept
    Run.open(home, tuned.run).write("result.json", without_overlap(tuned, 0.2).to_json())
    asked: list[int] = []

    def failing(dataset: Any) -> HistoryTest:
        asked.append(dataset.episode_count)
        assert not (dataset.splits == FINAL).any(), "the test reads rewards, and final is not for it"
        return found(p_value=1e-9, passed=False, sentence="the previous action tells the reward")

    monkeypatch.setattr(gating, "history_test", failing)
    result = gate(AGENT, home=home)
    assert (result.decision, result.look) == ("refused", 0) and "the previous action tells the reward" in result.reason
    assert len(asked) == 1
    # Whole-trajectory weights assume no such thing: a finalist of the log itself is not asked.
    Run.open(home, tuned.run).write("result.json", tuned.to_json())
    assert gate(AGENT, home=home).decision == "promote" and len(asked) == 1


def test_marginal_evidence_needs_the_history_test(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = swept
    home.declare(homes.specification(reward_range=None))  # bets need no model, and no history test
    card = replace(open_workspace(AGENT, home).card(), grade="A-M")
    monkeypatch.setattr(Workspace, "card", lambda self: card)
    monkeypatch.setitem(MEANINGS, "A-M", "the gate can prove what the present state decides")
    untold = found(p_value=float("nan"), passed=False, sentence="too few units have a past")
    monkeypatch.setattr(gating, "history_test", lambda dataset: untold)
    result = gate(AGENT, home=home)
    assert (result.decision, result.look) == ("canary", 0) and "too few units have a past" in result.reason
    monkeypatch.setattr(gating, "history_test", lambda dataset: replace(untold, passed=True, exact=True))
    assert gate(AGENT, home=home).decision == "promote"


def test_an_inconclusive_gate_says_what_would_settle_it(swept: tuple[Home, TuneResult], tmp_path: Path) -> None:
    home, tuned = swept
    first = gate(AGENT, home=Home(shutil.copytree(home.path, tmp_path / "copy")))
    assert first.estimate is not None
    home.declare(homes.specification(minimum_gain=first.estimate.value, explore=0.0))  # the log shows .3
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.looks) == ("inconclusive", 1, 1)
    told = re.search(
        r"needs ~([\d,]+) decisions \(.+ at your rate\), or explore=0\.5 on (\w+); "
        r"final split: 1 look spent, fresh after ([\d,]+) new decisions",
        result.reason,
    )
    assert told is not None
    decisions, action, fresh = told.groups()
    assert result.needs.decisions is not None and result.until_look is not None and result.scarce is not None
    assert int(decisions.replace(",", "")) == about(result.needs.decisions) >= result.needs.decisions
    assert int(fresh.replace(",", "")) == about(result.until_look)
    # The rule never says "down", which is right in a third of the states: it is what the finalist steps towards.
    assert "exploration share 30 %" in Page(page(home, tuned)).text
    assert action == result.scarce.action == "down" and result.scarce.frequency < 0.15
    assert "What would settle it" in page(home, tuned) and "of down, which the log has too little of" in page(
        home, tuned
    )
    assert result.to_text().endswith(f"inconclusive: {result.reason}.")
    # What was paid for is not hidden by a refusal that judged nothing.
    shown, run = page(home, tuned), Run.open(home, tuned.run)
    assert gate(AGENT, home=home).decision == "refused"
    assert page(home, tuned) == shown and run.read("gate.json") == result.to_json()
