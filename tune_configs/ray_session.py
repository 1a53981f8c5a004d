"""A quiet Ray for one command: the cluster of ``RAY_ADDRESS``, or a local one of its own."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

OBJECT_STORE_BYTES = 256 * 1024 * 1024


def silence() -> None:
    """Keep Ray from writing to the terminal and from sending usage statistics; before Ray is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    # Ray's default of 15 starves the trials beside any other load, and no time budget could be kept.
    os.environ.setdefault("RAY_worker_niceness", "0")
    for name in ("ray", "ray.rllib", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def ray_session(cpus: int | None = None) -> Iterator[int]:
    """Ray for the duration of the block; yields the number of CPUs that trials may share.

    A Ray that the caller has already started is used and left running; a local one gets its own
    ports and temporary directory, both gone afterwards.
    """
    silence()
    import ray

    if ray.is_initialized():
        yield int(ray.cluster_resources().get("CPU", 1))
        return
    address = os.environ.get("RAY_ADDRESS")
    directory = "" if address else tempfile.mkdtemp(prefix="rt-")
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
        else:
            ray.init(
                num_cpus=cpus or os.cpu_count() or 1,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=directory,
            )
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
