"""What tests of several algorithms share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of this test's own: a new one at a free port, with a temporary directory of its own."""
    import ray

    scratch = tempfile.mkdtemp(prefix="ray-")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100_000_000,
        _temp_dir=scratch,
    )
    yield
    ray.shutdown()
    shutil.rmtree(scratch, ignore_errors=True)
