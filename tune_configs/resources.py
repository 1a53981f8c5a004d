"""Whether what a sweep asks for can ever be had: Ray itself would wait for it without a word."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.errors import RetrainerError

SMALLEST_DISK = 256 * 2**20
"""Bytes that must be free besides what the run's data take again."""


class ResourceError(RetrainerError):
    """A trial asks for more than there is anywhere."""


def check_resources(request: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> None:
    """Refuse a request that no node could ever meet, whatever else runs on it.

    Args:
        request: what one trial takes.
        nodes: what each node of the cluster has in all.

    Raises:
        ResourceError: names the resource, what is asked for and the most that a node has.
    """
    if any(_fits(request, node) for node in nodes):
        return
    for name, amount in request.items():
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if amount > most:
            raise ResourceError(
                f"each trial asks for {amount:g} {name}, and no node has more than {most:g}",
                where="resources",
                remedy="ask for less, or add a node that has it",
            )
    asked = ", ".join(f"{amount:g} {name}" for name, amount in request.items())
    raise ResourceError(
        f"each trial asks for {asked} together, and no node has all of it",
        where="resources",
        remedy="ask for less, or add such a node",
    )


def check_disk(folder: Path) -> None:
    """Refuse to begin on a disk that the run will fill.

    Args:
        folder: the run's, with the data in it.

    Raises:
        ResourceError: says what is free and what is needed.
    """
    needed = SMALLEST_DISK + sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"the disk has {_mega(free)} MB left, the run needs about {_mega(needed)} MB",
            where=str(folder),
            remedy="make room, or move the home",
        )


def cluster_nodes() -> list[dict[str, float]]:
    """What each living node of the Ray that this process is connected to has in all."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [{name: float(amount) for name, amount in node["Resources"].items()} for node in nodes if node["Alive"]]


def _fits(request: Mapping[str, float], node: Mapping[str, float]) -> bool:
    return all(amount <= node.get(name, 0.0) for name, amount in request.items())


def _mega(count: int) -> str:
    return f"{count / 2**20:,.0f}"
