"""The whole chain for four simulated agents, with the truth beside every estimate.

How to run:

    python -m scripts.demo --quick

What to expect, for each agent: 5,000 decisions of an exploring rule, three variants, the gate's answer, a
table with the true values that only a testbed can know, and the path of the report page. Without ``--quick``:
20,000 decisions and eight variants. Run it again in the same home and it retrains the champions.
"""

from __future__ import annotations

import argparse

import ai_engine


def main(arguments: list[str] | None = None) -> None:
    """Run one demo."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--agents", nargs="+", help="such as scaling self-healing; all four by default")
    options = parser.parse_args(arguments)
    result = ai_engine.demo(
        home=options.home, seed=options.seed, quick=options.quick, agents=options.agents, progress=print
    )
    print(result.to_text())


if __name__ == "__main__":
    main()
