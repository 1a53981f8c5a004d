"""Packages whose names are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    ".".join(file.parent.relative_to(ROOT).parts)
    for folder in ("envs", "algorithms", "tune_configs", "ai_engine")
    for file in (ROOT / folder).rglob("__init__.py")
    if "lazily(" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_no_other(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_a_package_alone_loads_none_of_its_modules() -> None:
    code = "import sys, envs.card, envs.encoding\nassert not {'envs.card.card', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
