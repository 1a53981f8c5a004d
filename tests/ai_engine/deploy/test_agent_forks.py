"""A child forked while threads of its parent decide: it decides too, and waits for nobody whom it does not have."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

from agents import rule, specification

from ai_engine.deploy import Agent
from envs.home import Home
from envs.journal.journal import Journal

CALM = {"load": 0.4, "queue": 3.0}


def test_a_child_waits_for_no_thread_of_its_parent(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    home.declare(specification(horizon=3))
    agent = Agent("scaling", policy=rule, home=home, limits={"up": {"cooldown": 5}})
    locks = [agent._lock, agent._episodes._lock, agent._champion.registry._ledger._lock]
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with locks[0], locks[1], locks[2]:
            held.set()
            forked.wait(30)

    def child() -> None:
        agent.refresh()
        agent.record(agent.decide(CALM, episode_id="e"), reward=1.0, terminated=True)
        agent.close()

    thread = threading.Thread(target=hold)
    process = multiprocessing.get_context("fork").Process(target=child)
    thread.start()
    held.wait(30)
    process.start()
    forked.set()
    thread.join()
    process.join(20)
    hung = process.is_alive()
    process.kill()
    assert not hung and process.exitcode == 0
    assert Journal(home.journal_path).counts() == {"scaling": 1}
