"""Compare versions of one agent on its ``select`` rows.

How to run, after a sweep:

    python -m scripts.compare_variants scaling@rule scaling@champion scaling@3

What to expect: the value of each, its paired difference to the champion with a 95 % interval (or the
reason why the log cannot say), how often it decides as the champion does, and one plain sentence.
"""

from __future__ import annotations

import argparse

import ai_engine


def main(arguments: list[str] | None = None) -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("references", nargs="+", help="NAME@VERSION")
    parser.add_argument("--home")
    options = parser.parse_args(arguments)
    print(ai_engine.compare(*options.references, home=options.home).to_text())


if __name__ == "__main__":
    main()
