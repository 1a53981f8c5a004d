"""``tune``: same seed, same result; ``final`` unread; one retraining at a time; too small a log says why."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from ai_engine import learning
from ai_engine.locking import retraining_lock
from ai_engine.runs import FINISHED, Run, list_runs
from ai_engine.tune_result import TuneResult
from algorithms.policy import Policy
from envs.columns import load_columns
from envs.dataset import FINAL
from envs.errors import BusyError, DataError, SpecificationError
from envs.home import Home
from envs.record import DecisionRecord
from envs.splits import split_of
from tests import homes
from tests.ai_engine.sweeping import component, tuned, versions
from tune_configs.spaces import search_space
from tune_configs.trial_plan import TrialPlan


def test_a_sweep_answers_every_question(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    wanted = {"schema_version", "agent", "run", "grade", "variants", "finalists", "recommended", "evidence"}
    assert wanted <= set(document)
    assert len(document["variants"]) == homes.TRIALS
    for variant in document["variants"]:
        assert {"version", "algorithm", "hyperparameters", "seeds", "step", "estimate", "artefact"} <= set(variant)
        estimate = {"value", "lower", "upper", "confidence", "estimator", "effective_sample_size", "evidence"}
        assert estimate <= set(variant["estimate"])
        policy = Policy.from_bytes((home.path / variant["artefact"]).read_bytes())
        assert policy.agent == homes.AGENT
    assert document["grade"] == "A"
    assert document["champion"] == f"{homes.AGENT}@0"
    assert document["recommended"] in {variant["version"] for variant in document["variants"]}
    assert document["finalists"]
    gaining = {v.version: v.gain for v in result.variants}
    assert all(gaining[name].usable and gaining[name].value > 0 for name in result.finalists)
    # A step towards the right actions is among what the log proves.
    assert result.finalists and gaining[result.finalists[0]].lower > 0
    assert set(versions(home)) == {"0", *(name.partition("@")[2] for name in {*result.finalists, result.recommended})}
    assert Run.open(home, result.run).status == FINISHED
    last = result.to_text().splitlines()[-1]
    assert result.recommended in last and result.finalists[0] in last


def test_a_sweep_through_ray_is_the_sweep_in_this_process(home: Home, swept_home: tuple[Path, TuneResult]) -> None:
    told: list[str] = []
    again = tuned(home, progress=told.append)
    assert homes.comparable(again.to_json()) == homes.comparable(swept_home[1].to_json())
    assert component(home, again.recommended) == component(Home(swept_home[0]), swept_home[1].recommended)
    assert told[-1].startswith(f"variants {homes.TRIALS} of {homes.TRIALS}, best ")
    assert not (Run.open(home, again.run).path / "tune").exists()


def test_the_result_survives_json(swept_home: tuple[Path, TuneResult]) -> None:
    _, result = swept_home
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    back = TuneResult.from_json(document)
    assert back.to_json() == result.to_json()
    assert back.to_text() == result.to_text()
    assert any(variant["gain"]["value"] is None for variant in document["variants"]), "no refused figure to try"


def test_another_seed_draws_other_variants(home: Home, without_ray: list[int]) -> None:
    space = search_space(homes.specification())
    count = len(space.portfolio) + 1
    first = list(itertools.islice(space.variants(0), count))[-1]
    result = tuned(home, seed=5, trials=count)
    last = result.variants[-2 if result.variants[-1].index >= count else -1]
    assert all(variant.seeds == (5,) for variant in result.variants)
    assert (dict(last.hyperparameters), last.step) != (dict(first.hyperparameters), first.step)


def other_final(rows: list[DecisionRecord]) -> list[DecisionRecord]:
    """The same log with the worst reward for what is right, and the best for what is wrong, in every final episode."""
    changed = []
    for record in rows:
        if split_of(homes.KEY, "default", str(record.episode_id)) == FINAL:
            good = record.action == homes.ACTIONS[homes.right(int(record.observation))]
            record = replace(record, outcome={"gain": -0.5 if good else 1.5})
        changed.append(record)
    return changed


def test_final_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_ray: list[int]) -> None:
    seen: list[set[int]] = []
    run_sweeps = learning.run_sweeps

    def watched(plans: list[TrialPlan], **arguments: Any) -> Any:
        seen.extend(set(load_columns(plan.dataset).splits.tolist()) for plan in plans)
        return run_sweeps(plans, **arguments)

    monkeypatch.setattr(learning, "run_sweeps", watched)
    rows = homes.records()
    poisoned = other_final(rows)
    assert sum(a != b for a, b in zip(rows, poisoned, strict=True)) > 1000
    clean, dirty = homes.make_home(tmp_path / "clean", rows), homes.make_home(tmp_path / "dirty", poisoned)
    first, second = tuned(clean), tuned(dirty)
    assert first.grade == second.grade  # the card may speak of final, the variants may not
    assert homes.comparable(first.to_json()) == homes.comparable(second.to_json())
    assert first.recommended not in first.finalists, "the recommendation was not trained once more"
    for reference in {first.recommended, *first.finalists}:
        assert component(clean, reference) == component(dirty, reference)
    assert seen == [{0, 1}, {0, 1}]
    # Learning from all rows is what reads it, and nothing else of the result changes.
    refitted = [tuned(home, refit_all=True) for home in (clean, dirty)]
    assert component(clean, refitted[0].recommended) != component(dirty, refitted[1].recommended)


def test_a_second_retraining_at_once_is_refused_in_one_line(home: Home, without_ray: list[int]) -> None:
    with retraining_lock(home, homes.AGENT), pytest.raises(BusyError) as raised:
        tuned(home)
    assert "\n" not in str(raised.value)
    assert f"agent {homes.AGENT}: is being retrained by process" in str(raised.value)
    assert list_runs(home) == []
    # Held by another process, and free as soon as that is gone.
    hold = (
        "import sys; from ai_engine.locking import retraining_lock; from envs.home import Home\n"
        f"with retraining_lock(Home(sys.argv[1]), {homes.AGENT!r}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        # What holds it is no run that could be stopped.
        with pytest.raises(BusyError, match=f"process {other.pid}; wait until it is done$"):
            ai_engine.train(homes.AGENT, algorithm="tabular_q", home=home)
        other.kill()
    tuned(home, trials=1)


def test_a_log_too_small_says_why(tmp_path: Path, without_ray: list[int]) -> None:
    home = homes.make_home(tmp_path / "home", homes.records(12))
    with pytest.raises(DataError) as raised:
        tuned(home)
    message = str(raised.value)
    assert "12 independent units" in message and "at least 40" in message
    assert "\n" not in message
    assert list_runs(home) == []
    assert without_ray == []


def test_a_log_without_a_select_episode_says_so(tmp_path: Path, without_ray: list[int]) -> None:
    train = [r for r in homes.records(200) if split_of(homes.KEY, "default", str(r.episode_id)) != 1]
    home = homes.make_home(tmp_path / "home", train)
    with pytest.raises(DataError, match="leave none for select"):
        tuned(home)
    assert list_runs(home) == []


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_are_refused(home: Home, trials: int) -> None:
    with pytest.raises(DataError, match="at least one"):
        tuned(home, trials=trials)


def test_progress_is_one_line_a_trial(home: Home, without_ray: list[int]) -> None:
    told: list[str] = []
    tuned(home, progress=told.append)
    assert len(told) >= homes.TRIALS
    assert all("\n" not in line for line in told)
    assert told[-1].startswith(f"variants {homes.TRIALS} of {homes.TRIALS}, best ")


@pytest.mark.full
@pytest.mark.parametrize("budget", [60.0])
def test_a_minute_is_a_minute(home: Home, budget: float) -> None:
    import time

    started = time.monotonic()
    learning.tune(homes.AGENT, home=home, time_budget=budget)
    assert time.monotonic() - started <= 1.2 * budget


def test_several_agents_share_one_sweep_and_fail_apart(
    tmp_path: Path, swept_home: tuple[Path, TuneResult], without_ray: list[int]
) -> None:
    home = homes.make_home(tmp_path / "home")
    few = homes.specification(name="few")
    home.declare(few)
    homes.write(home, homes.records(2, seed=9, declared=few))
    found = learning.tune_all([homes.AGENT, "few", "nobody"], trials=homes.TRIALS, home=home)
    assert list(found) == [homes.AGENT, "few", "nobody"]
    alone, small, unknown = found.values()
    assert isinstance(alone, TuneResult)
    assert homes.comparable(alone.to_json()) == homes.comparable(swept_home[1].to_json())
    assert isinstance(small, DataError)
    assert isinstance(unknown, SpecificationError) and "nobody" in str(unknown)
    assert [run.agent for run in list_runs(home)] == [homes.AGENT]
