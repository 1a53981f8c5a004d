"""The wheel in an environment of its own: what an agent in production downloads, and what it can do with it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGEST_DOWNLOAD = 60 * 1024 * 1024
ACT = """
import sys
from ai_engine.deploy import Agent, load_policy
from ai_engine.continuous_learning import LearningPipeline
agent = Agent("scaling", policy=lambda seen: "hold", actions=["hold", "up"], explore=0.5, home=sys.argv[1], seed=1)
decision = agent.decide({"utilisation": 0.5}, episode_id="e")
agent.record(decision, reward=-1.0, terminated=True)
agent.close()
policy = load_policy(sys.argv[1] + "/models/retrained/scaling_model.json", base=lambda seen: "hold")
assert policy.act({"utilisation": 0.5}).probabilities == {"hold": 0.75, "up": 0.25}
assert not {"ray", "torch", "pyarrow", "deltalake", "scipy", "gymnasium"} & set(sys.modules)
"""


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.mark.full
def test_the_base_install_is_small_and_acts(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)
    wheel = next((tmp_path / "dist").glob("*.whl"))
    run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", tmp_path / "downloads", wheel)
    assert sum(file.stat().st_size for file in (tmp_path / "downloads").iterdir()) <= LARGEST_DOWNLOAD
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", tmp_path / "downloads", wheel)
    home = tmp_path / "home"
    run(environment / "bin" / "retrainer", "init", "--home", home)
    run(python, "-c", ACT, home, cwd=tmp_path)
    assert "scaling@0" in run(environment / "bin" / "retrainer", "status", "--home", home)
    refused = subprocess.run(
        [environment / "bin" / "retrainer", "tune", "scaling", "--home", home], capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert 'pip install "retrainer[train]"' in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
