"""Simulators with known truth: they write demo logs and judge the result; training never sees them."""
