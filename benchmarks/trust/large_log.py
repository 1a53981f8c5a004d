"""The evaluation of a log that is mapped from disk, in a process of its own whose memory is measured.

python -m benchmarks.trust.large_log write FOLDER DECISIONS
python -m benchmarks.trust.large_log evaluate FOLDER
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.trust.all_estimators import evaluate_all
from benchmarks.trust.linear_process import LOGGED_SLOPE, log, policies
from envs.columns import load_columns, save_columns
from envs.errors import DataError

HORIZON, FOLDS = 10, 2
SLOPES = np.array([LOGGED_SLOPE, 2.0])


@dataclass(frozen=True, slots=True)
class LargeEvaluation:
    """What the evaluation of a log took.

    Attributes:
        decisions: of the log.
        columns: bytes of its columns on disk.
        peak: bytes of resident memory at the most, mapped columns included.
        asked: estimates that were asked for.
        answered: those that were not refused.
    """

    decisions: int
    columns: int
    peak: int
    asked: int
    answered: int


def measure(decisions: int) -> LargeEvaluation:
    """Write a log of about so many decisions, and value two policies on it by all estimators, linear and in cells.

    Raises:
        DataError: a process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run("write", folder, str(decisions))
        return LargeEvaluation(**json.loads(_run("evaluate", folder)))


def evaluate(folder: Path) -> LargeEvaluation:
    """Value the logging policy and a steeper one on the log in ``folder``."""
    dataset = load_columns(folder / "columns")
    answers = evaluate_all(dataset, policies(dataset, SLOPES), folds=FOLDS, networks=False)
    return LargeEvaluation(
        decisions=len(dataset),
        columns=sum(path.stat().st_size for path in (folder / "columns").iterdir()),
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        asked=answers.asked,
        answered=answers.answered,
    )


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.trust.large_log", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"{arguments[0]} failed: {done.stderr.strip()[-2000:]}", where="benchmarks.trust.large_log")
    return done.stdout


if __name__ == "__main__":
    job, at = sys.argv[1], Path(sys.argv[2])
    if job == "write":
        save_columns(log(int(sys.argv[3]), HORIZON), at / "columns")
    else:
        print(json.dumps(asdict(evaluate(at))))
