"""Write ``vowpal_wabbit.dsjson`` in the layout of VW's decision service, and let VW itself read it.

Run: ``pip install vowpalwabbit==9.11.9`` in an environment of its own, then ``python make_vowpal_wabbit.py``. VW
reads dsjson and does not write it; the numbers are drawn here.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from vowpalwabbit import pyvw

PATH = Path(__file__).parent / "vowpal_wabbit.dsjson"
DRINKS = ("Cappuccino", "Cold brew", "Latte")


def line(draw: random.Random, index: int) -> dict[str, object]:
    """One decision: the greedy drink gets 0.8, the others what is left."""
    order = draw.sample(range(3), 3)  # order[0] is the action taken, as VW swaps it to the front
    chances = [0.1, 0.1, 0.1]
    chances[draw.randrange(3)] = 0.8
    cost = -1.0 if draw.random() < 0.3 else 0.0
    event = f"event-{index}"
    return {
        "_label_cost": cost,
        "_label_probability": chances[0],
        "_label_Action": order[0] + 1,
        "_labelIndex": order[0],
        "o": [{"v": -cost, "EventId": event, "ActionTaken": False}],
        "Timestamp": f"2026-01-01T00:00:{index:02}.1234567Z",
        "Version": "1",
        "EventId": event,
        "a": [place + 1 for place in order],
        "c": {
            "FromUrl": [{"weather": draw.choice(["Sunny", "Rainy"]), "name": draw.choice(["Ann", "Bob"])}],
            "User": {"_age": draw.randrange(20, 60), "visits": draw.random()},
            "_multi": [{"_tag": name, "j": [{"type": "hot" if name != "Cold brew" else "cold"}]} for name in DRINKS],
        },
        "p": chances,
        "pdrop": 0.5,
        "VWState": {"m": "model-1"},
    }


def main() -> None:
    """Twelve decisions, which VW must count and learn from."""
    draw = random.Random(4)
    lines = [json.dumps(line(draw, index)) for index in range(12)]
    PATH.write_text("\n".join(lines) + "\n")
    workspace = pyvw.Workspace(f"--dsjson --cb_explore_adf -d {PATH} --quiet --no_stdin")
    workspace.run_parser()
    # Dropped events weigh 1 / (1 - pdrop).
    assert workspace.get_weighted_examples() == 12 / (1 - 0.5), workspace.get_weighted_examples()
    best = min(json.loads(text)["_label_cost"] for text in lines)
    assert best == -1.0
    workspace.finish()


if __name__ == "__main__":
    main()
