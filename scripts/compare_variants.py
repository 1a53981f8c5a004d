"""Compare versions of one agent on its ``select`` rows.

How to run, after a sweep:

    python -m scripts.compare_variants scaling@rule scaling@3 --html comparison.html

What to expect: the value of each by every estimator, its paired difference to the champion (or to
``--against``) with an interval or the reason why the log cannot say, where in state space they disagree
and for whom it pays, and one plain sentence. ``--reward "-cost"`` values all of it under another reward.
"""

from __future__ import annotations

import argparse

import ai_engine


def main(arguments: list[str] | None = None) -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("references", nargs="+", help="NAME@VERSION, a file, or module:function")
    parser.add_argument("--against", help="the reference of all differences; the champion by default")
    parser.add_argument("--reward", help="another reward expression over outcome")
    parser.add_argument("--html", help="a file for the page")
    parser.add_argument("--home")
    options = parser.parse_args(arguments)
    result = ai_engine.compare(
        *options.references, against=options.against, reward=options.reward, html=options.html, home=options.home
    )
    print(result.to_text())


if __name__ == "__main__":
    main()
