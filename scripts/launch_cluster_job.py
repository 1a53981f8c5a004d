"""Retrain one agent on a Ray cluster: tune, gate, and promote if the gate says so.

How to run, from a machine that shares the home's folder with the cluster:

    RAY_ADDRESS=ray-head:6379 python -m scripts.launch_cluster_job scaling --home /mnt/home --trials 64

Without ``RAY_ADDRESS`` a local Ray is started for the job. What to expect: the table of variants, the
gate's answer with its reason, and the ledger entry if the champion moved. The exit code is 0 where
the champion moved and 3 where it stayed.
"""

from __future__ import annotations

import argparse
import sys

import ai_engine

STAYED = 3


def main(arguments: list[str] | None = None) -> int:
    """Tune, gate, promote; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("agent")
    parser.add_argument("--home")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(ai_engine.tune(options.agent, home=options.home, trials=options.trials, seed=options.seed).to_text())
    decided = ai_engine.gate(options.agent, home=options.home)
    print(decided.to_text())
    if decided.decision != "promote":
        return STAYED
    print(ai_engine.promote(decided.version, home=options.home).to_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
