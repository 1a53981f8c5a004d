"""Search variants for one agent and print what the log says about each.

How to run, in a home with a log (``retrainer import scaling FILE``):

    python -m scripts.tune_hyperparameters scaling --trials 16 --time-budget 240

What to expect: a table of variants with the paired gain over the champion, its 95 % interval and the
overlap with the log; the finalists that the gate may prove; one recommendation with its evidence.
"""

from __future__ import annotations

import argparse

import ai_engine


def main(arguments: list[str] | None = None) -> None:
    """Tune one agent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("agent")
    parser.add_argument("--home")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--time-budget", type=float, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    result = ai_engine.tune(
        options.agent,
        home=options.home,
        trials=options.trials,
        time_budget=options.time_budget,
        seed=options.seed,
        progress=print,
    )
    print(result.to_text())


if __name__ == "__main__":
    main()
