"""What Ray Tune does with our strategies: weak trials end early and count, a population changes and says how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ai_engine.workspace import open_workspace
from algorithms.policy import Policy
from envs.columns import save_columns
from envs.errors import SpecificationError
from envs.home import Home
from tests import homes
from tune_configs.domains import Choice, LogUniform
from tune_configs.ray_session import ray_session
from tune_configs.resources import ResourceError
from tune_configs.search_space import SearchSpace, Space
from tune_configs.strategy import CHECKPOINTS, SCHEDULERS, SEARCHES, Strategy
from tune_configs.sweep import SweepError, SweepResult, run_sweeps
from tune_configs.tree_search import ROUND
from tune_configs.trial_plan import TrialPlan
from tune_configs.variant import Value, VariantSpecification

CLONE: dict[str, Value] = {"model": "network", "hidden": (8,), "temperature": 0.0}
GOOD = VariantSpecification("behavior_cloning", {**CLONE, "learning_rate": 0.03})
SLOW = VariantSpecification("behavior_cloning", {**CLONE, "learning_rate": 1e-6, "updates_per_iteration": 1})
DQN: dict[str, Value] = {"hidden": (4,), "updates_per_iteration": 2, "batch_size": 16}


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[None]:
    """One Ray for the sweeps of this file; they use it and leave it running."""
    with ray_session(2):
        yield


@pytest.fixture
def plan(home: Home) -> TrialPlan:
    """A plan on the small log, its variants still to be named."""
    workspace = open_workspace(homes.AGENT, home)
    folder = home.runs_path / "sweep"
    folder.mkdir()
    (folder / "champion.json").write_bytes(workspace.champion().to_bytes())
    save_columns(workspace.dataset.split("train", "select"), folder / "dataset")
    return TrialPlan(folder, folder / "dataset", folder / "champion.json", ())


def swept(plan: TrialPlan, **arguments: Any) -> SweepResult:
    (outcome,) = run_sweeps([plan], **arguments)
    assert isinstance(outcome, SweepResult), outcome
    return outcome


def test_halving_ends_the_weak_early_and_what_was_judged_of_them_counts(plan: TrialPlan) -> None:
    # The good ones come first; of those that follow each is worse than two thirds of what has been there.
    variants = (GOOD, replace(GOOD, step=0.5), SLOW, replace(SLOW, seeds=(1,)))
    found = swept(replace(plan, variants=variants, strategy=Strategy(scheduler="asha")))
    assert [trial.index for trial in found.trials] == [0, 1, 2, 3]
    assert [trial.last.iteration for trial in found.trials] == [12, 12, 1, 1]
    assert found.skipped == ()
    for trial in found.trials:
        policy = Policy.from_bytes(plan.artefact_path(trial.index).read_bytes())
        assert policy.provenance.evaluation["gain"]["lower"] == (trial.gain.lower if trial.gain.usable else None)


def test_a_population_changes_its_worst_and_every_change_is_in_use(plan: TrialPlan) -> None:
    weak, strong = ({**DQN, "learning_rate": rate, "conservative_weight": 0.1} for rate in (1e-5, 0.01))
    variants = tuple(
        VariantSpecification("dqn", settings, step) for settings, step in ((weak, 0.5), (strong, 0.1), (strong, 0.05))
    )
    found = swept(replace(plan, variants=variants, strategy=Strategy(scheduler="pbt")))
    assert [trial.index for trial in found.trials] == [0, 1, 2]
    changed = 0
    for trial in found.trials:
        assert [each.iteration for each in trial.checkpoints] == list(CHECKPOINTS["pbt"])
        for before, after in zip(trial.checkpoints, trial.checkpoints[1:], strict=False):
            changed += before.variant != after.variant
        for each in trial.checkpoints:
            asked = each.variant.hyperparameters
            # Read from the optimizer and the learner, not from the configuration.
            for name in ("learning_rate", "conservative_weight"):
                assert each.hyperparameters[name] == asked[name]
        policy = Policy.from_bytes(plan.artefact_path(trial.index).read_bytes())
        rate = trial.variant.hyperparameters["learning_rate"]
        assert policy.provenance.hyperparameters["learning_rate"] == rate
    assert changed > 0
    initial = {variant.hyperparameters["learning_rate"] for variant in variants}
    used = {each.variant.hyperparameters["learning_rate"] for trial in found.trials for each in trial.checkpoints}
    assert used - initial, "no learning rate was ever changed"


@pytest.mark.full
def test_the_same_seed_gives_the_same_population(plan: TrialPlan) -> None:
    variants = tuple(
        VariantSpecification("behavior_cloning", {**CLONE, "learning_rate": rate, "updates_per_iteration": 1}, step)
        for rate in (1e-4, 1e-2)
        for step in (0.1, 0.5)
    )
    found = []
    for name in ("one", "two"):
        folder = plan.directory.parent / name
        folder.mkdir()
        trials = swept(replace(plan, directory=folder, variants=variants, strategy=Strategy(scheduler="pbt"))).trials
        found.append([[(each.variant, each.metric) for each in trial.checkpoints] for trial in trials])
    assert found[0] == found[1]


@pytest.mark.full
@pytest.mark.parametrize("failing", [0, 2], ids=["before the others wait", "while the others wait"])
def test_a_population_does_not_wait_for_a_member_that_failed(plan: TrialPlan, failing: int) -> None:
    broken = VariantSpecification("behavior_cloning", {**CLONE, "learning_rate": 1e300})
    variants = [GOOD, replace(GOOD, step=0.5)]
    variants.insert(failing, broken)
    (outcome,) = run_sweeps([replace(plan, variants=tuple(variants), strategy=Strategy(scheduler="pbt"))])
    assert isinstance(outcome, SweepError)
    assert f"1 of 3 trials failed: variant {failing}" in str(outcome)
    done = replace(plan, variants=tuple(variants))
    assert done.missing() == [failing]


@pytest.mark.full
def test_a_tree_search_goes_on_where_it_was_interrupted(plan: TrialPlan) -> None:
    domains = {
        "learning_rate": LogUniform(1e-4, 0.1),
        **{name: Choice((value,)) for name, value in CLONE.items()},
        "updates_per_iteration": Choice((2,)),
    }
    space = SearchSpace((), (Space("behavior_cloning", domains),))
    searching = replace(plan, variants=(GOOD,), strategy=Strategy("tpe"), space=space, trials=1 + 2 * ROUND)
    whole = swept(searching)
    assert [trial.index for trial in whole.trials] == list(range(1 + 2 * ROUND))
    assert len({trial.variant.key for trial in whole.trials}) == len(whole.trials)
    *others, best = sorted(whole.trials, key=lambda trial: trial.score)
    for trial in others[:3]:  # as if it had been killed there
        plan.result_path(trial.index).unlink()
    bests: list[float] = []
    again = swept(searching, progress=lambda done, count, best: bests.append(best))
    assert bests[0] == best.score, "what is kept counts"
    assert [trial.variant for trial in again.trials] == [trial.variant for trial in whole.trials]
    assert [trial.best.metric for trial in again.trials] == [trial.best.metric for trial in whole.trials]


@pytest.mark.parametrize("resources", [{"CPU": 3.0}, {"wheel": 1.0}])
def test_what_no_trial_can_ever_have_is_refused_at_once(plan: TrialPlan, resources: dict[str, float]) -> None:
    impossible = replace(plan, variants=(GOOD,), strategy=Strategy(resources=resources))
    with pytest.raises(ResourceError, match=next(iter(resources))):
        run_sweeps([impossible])
    assert not plan.result_path(0).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"search": "grid"}, "search: 'grid' is unknown; use one of random, tpe"),
        ({"scheduler": "hyperband"}, "scheduler: 'hyperband' is unknown"),
        ({"search": "tpe", "scheduler": "pbt"}, "a population does not go with tpe"),
        ({"resources": {"CPU": 0.0}}, "resources: CPU is 0.0"),
    ],
)
def test_a_wrong_strategy_is_one_line(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        Strategy(**arguments)


def test_every_strategy_is_judged_from_the_first_iteration_on() -> None:
    assert set(CHECKPOINTS) == set(SCHEDULERS)
    assert all(iterations[0] == 1 and iterations[-1] == 12 for iterations in CHECKPOINTS.values())
    for search in SEARCHES:
        assert Strategy.from_json(Strategy(search, resources={"GPU": 1.0}).to_json()).resources == {"CPU": 1, "GPU": 1}
