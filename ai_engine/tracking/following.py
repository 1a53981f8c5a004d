"""Tracking beside other work: it follows what was done, and whatever fails in it undoes and stops nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ai_engine.deploy.registry import Registry
from ai_engine.tracking.errors import TrackingWarning
from ai_engine.tracking.problems import remember
from ai_engine.tracking.settings import TrackingSettings
from ai_engine.tracking.synchronising import synchronise
from envs.errors import RetrainerError
from envs.home import Home


@contextmanager
def tracked(home: Home, agents: Sequence[str], track: Sequence[str] | None = None) -> Iterator[None]:
    """Track what the block does to agents, once it has done it.

    Raises:
        MissingExtraError: a tracker's library is not installed; the block is not entered.
        SpecificationError, HomeError: what says where to track is wrong; the block is not entered.
    """
    settings = TrackingSettings.of(home, track)
    settings.require_extras()
    yield
    _follow(settings, agents, track)


def follow(home: Home, agent: str, track: Sequence[str] | None = None) -> None:
    """Track what was done to an agent. Where that fails, for whatever reason, it warns once."""
    try:
        settings = TrackingSettings.of(home, track)
        settings.require_extras()
    except RetrainerError as error:
        _warn(str(error), track)
    else:
        _follow(settings, [agent], track)


def _follow(settings: TrackingSettings, agents: Sequence[str], track: Sequence[str] | None) -> None:
    problems = []
    for tracker in settings.trackers:
        problem = ""
        for agent in agents:
            problem = problem or _problem(settings, agent, tracker)  # a server that is down is asked once
            with suppress(OSError):
                remember(settings.home, agent, tracker, problem)
        problems += [problem] if problem else []
    if problems:
        _warn("; ".join(problems), track)


def _problem(settings: TrackingSettings, agent: str, tracker: str) -> str:
    """Why a tracker could not be brought up to date; empty where it could."""
    try:
        registry = Registry(settings.home)
        if agent in registry.agents():
            synchronise(settings, registry, agent, tracker)
    except RetrainerError as error:
        return str(error)
    except Exception as error:  # a tracker must not undo a promotion, nor hide what a sweep found
        return f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        return "interrupted"  # what it follows is done; only tracking is not
    return ""


def _warn(problem: str, track: Sequence[str] | None) -> None:
    again = "retrainer track sync" + (f" --track {','.join(track)}" if track else "")
    text = " ".join(problem.split()).rstrip(".")
    warnings.warn(f"not tracked: {text}; nothing else is affected, {again} repairs it", TrackingWarning, stacklevel=4)
