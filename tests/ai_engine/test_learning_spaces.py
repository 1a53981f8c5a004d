"""``tune`` in a space of one's own: which variants are tried, how they are ranked and what of one is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_engine import learning
from ai_engine.runs import FINISHED, Run, list_runs
from ai_engine.tune_result import TuneResult
from envs.errors import SpecificationError
from envs.home import Home
from tests.ai_engine.sweeping import component, tuned
from tune_configs.judge import Judge


def test_only_the_named_algorithms_are_tried(home: Home, without_ray: list[int]) -> None:
    result = tuned(home, trials=3, algorithms=("behavior_cloning",))
    assert {variant.algorithm for variant in result.variants} == {"behavior_cloning"}
    with pytest.raises(
        SpecificationError, match="'sarsa' is not tried for this agent; use behavior_cloning, tabular_q"
    ):
        tuned(home, algorithms=("sarsa",))
    assert all(run.status == FINISHED for run in list_runs(home))


SPACE = """
from tune_configs import Choice, SearchSpace, Space, Uniform

SPACE = SearchSpace(
    spaces=[
        Space(
            "tabular_q",
            {"discretizer": Choice(("integer",)), "anchored": Choice((True,)), "pessimism": Uniform(0.0, 2.0)},
            steps=(0.1, 0.2),
        )
    ]
)
"""


def test_a_space_of_ones_own_is_searched_and_kept_with_the_run(
    home: Home, tmp_path: Path, without_ray: list[int]
) -> None:
    (tmp_path / "mine.py").write_text(SPACE)
    result = tuned(home, space=tmp_path / "mine.py", trials=3, tags={"team": "payments"})
    assert {(variant.algorithm, variant.step) for variant in result.variants} <= {
        ("tabular_q", 0.1),
        ("tabular_q", 0.2),
    }
    assert len({variant.hyperparameters["pessimism"] for variant in result.variants}) == 3
    run = Run.open(home, result.run)
    (tmp_path / "mine.py").write_text("SPACE = None")  # the run no longer needs it
    kept = run.record["request"]["space"]["spaces"][0]["domains"]["pessimism"]
    assert kept == {"kind": "uniform", "low": 0.0, "high": 2.0}
    assert run.tags == {"team": "payments"}
    assert len(learning.runs_resume(result.run, home=home, add=1).variants) == 4


def test_several_seeds_are_one_variant_whose_mean_ranks_it(home: Home, without_ray: list[int]) -> None:
    (tmp := home.path / "mine.py").write_text(
        "from tune_configs import SearchSpace, VariantSpecification\n"
        "SETTINGS = {'model': 'network', 'hidden': (4,), 'updates_per_iteration': 1, 'temperature': 0.0}\n"
        "SPACE = SearchSpace([VariantSpecification('behavior_cloning', SETTINGS, step) for step in (0.05, 0.1)])\n"
    )
    result = tuned(home, space=tmp, trials=2, seeds=3, seed=5)
    for variant in result.variants:
        assert variant.seeds == (5, 6, 7) and len(variant.seed_metrics) == 3
        assert variant.gain.lower == sorted(variant.seed_metrics)[1]
        best = next(each for each in variant.checkpoints if each.iteration == variant.iteration)
        assert best.metric == pytest.approx(sum(variant.seed_metrics) / 3)
    assert "mean bound of 3 seeds" in result.to_text()


def test_an_end_that_only_the_models_praise_is_recommended_beside_the_proven_middle(
    home: Home, monkeypatch: pytest.MonkeyPatch, without_ray: list[int]
) -> None:
    (mine := home.path / "mine.py").write_text(
        "from tune_configs import SearchSpace, VariantSpecification\n"
        "SETTINGS = {'hidden': (4,), 'learning_rate': 0.03}\n"
        "SPACE = SearchSpace([VariantSpecification('behavior_cloning', SETTINGS, 0.5)])\n"
    )
    judge, bounds = Judge.judged, iter((0.1, 0.3, None))

    def judged(self: Judge, found: Any) -> Any:
        judgement, lower = judge(self, found), next(bounds)
        if lower is None:
            return replace(judgement, gain=replace(judgement.gain, refused="no overlap"), model_gain=0.9)
        return replace(judgement, gain=replace(judgement.gain, refused="", value=1.0, lower=lower))

    monkeypatch.setattr(Judge, "judged", judged)
    result = tuned(home, space=mine, trials=1)
    best, last = result.variants
    assert [each.iteration for each in (best, last)] == [4, 12]
    assert (result.recommended, result.evidence) == (last.version, "model")
    assert result.finalists == (best.version,)
    assert component(home, best.version) != component(home, last.version)
    assert (last.model_gain, best.gain.lower) == (0.9, 0.3)
    assert [round(each.metric, 6) for each in best.checkpoints] == [0.1, 0.3, -6.0]
    assert (best.iterations, last.iterations) == ("4 (last 12: model +0.9)", "12 (best 4: +0.3)")
    assert best.iterations in result.to_text()
    why = f"The log does not reach {last.version}: the models' word for it (smallest +0.9, mean less its error "
    assert why in result.to_text().splitlines()[-1]
    assert "does not reach" not in replace(result, evidence="log").to_text()
    unreached = replace(best, gain=replace(best.gain, refused="no overlap"))
    assert "does not reach" not in replace(result, variants=(unreached, last)).to_text()
    again = TuneResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert again.to_json() == result.to_json()
