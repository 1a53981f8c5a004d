"""The peers run in an environment of their own; arrays go there and come back as npz files."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from envs.errors import DataError

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def run(script: str, arrays: dict[str, np.ndarray], *, limit: float = 3600.0) -> dict[str, np.ndarray]:
    """Run ``benchmarks/peers/SCRIPT.py IN OUT`` in the peers' environment on these arrays; its arrays.

    Raises:
        DataError: there is no such environment, or the script failed: a peer is never left out.
    """
    if not PYTHON.exists():
        raise DataError("the peers' environment is missing", where=str(PYTHON), remedy="make peers")
    path = ROOT / "benchmarks" / "peers" / f"{script}.py"
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, **arrays)  # type: ignore[arg-type]
        done = subprocess.run(
            [str(PYTHON), "-W", "ignore", str(path), str(given), str(found)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            cwd=folder,
        )
        if done.returncode or not found.exists():
            raise DataError(f"{script} failed: {done.stderr.strip()[-2000:]}", where=str(path), remedy="make peers")
        with np.load(found, allow_pickle=False) as read:
            return {name: read[name] for name in read.files}
