"""``compare``: policies side by side on ``select``, and everything that can be said of how they differ."""

from ai_engine.comparing.comparison import compare
from ai_engine.comparing.result import CompareResult

__all__ = ["CompareResult", "compare"]
