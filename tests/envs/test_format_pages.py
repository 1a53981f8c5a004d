"""The manual's pages on formats: what they show works, and the limits that they state are those in force."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from envs.errors import RetrainerError
from envs.home import Home
from envs.importing import episode_state, hdf5, prometheus_client, reader_rllib
from envs.importing.importer import import_files
from envs.importing.prometheus_options import POINTS
from envs.importing.readers import FORMATS, MAXIMUM_ROW
from envs.importing.span_presets import PRESETS
from envs.values import MAXIMUM_DEPTH
from tests.envs.importing.import_reading import good, read, records
from tests.envs.importing.prometheus_history import ANSWERS, replaying_server

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_options_of_prometheus(tmp_path: Path) -> None:
    path = tmp_path / "scaling.toml"
    with replaying_server(json.loads(ANSWERS.read_text())) as address:
        path.write_text(block("prometheus.md", "toml").replace("http://prometheus:9090", address))
        decisions = records(good(read(path, "prometheus")))
    assert len(decisions) > 180 and set(decisions[0].observation) == {"load", "requests", "nodes"}
    assert f"{POINTS:,} points" in (DOCS / "prometheus.md").read_text()


def test_the_example_of_a_declaration_can_be_used(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    home.configuration_path.write_text(block("chain.md", "toml"))
    declared = home.specification("scaling")
    assert declared.horizon == 12 and declared.observation.names == ("utilisation", "queue")


def test_the_mapping_of_continuous_actions(tmp_path: Path) -> None:
    """Without it, as the page says, the rows are refused."""
    home, log = Home.create(tmp_path), DOCS.parent / "tests" / "data" / "importing" / "d3rlpy_continuous.h5"
    with pytest.raises(RetrainerError, match="action: is an object of numbers"):
        import_files(home, "cartpole", [log], format_name="d3rlpy")
    with home.configuration_path.open("a") as file:
        file.write("\n" + block("formats.md", "toml"))
    assert import_files(home, "cartpole", [log], format_name="d3rlpy").added == 12
    assert home.specification("cartpole").actions == (0, 1)


def test_the_attributes_of_a_span(tmp_path: Path) -> None:
    """The page's code with a tracer that keeps what it is given, and its span as OTLP-JSON."""
    kept: dict[str, Any] = {}

    @contextmanager
    def start(name: str) -> Any:
        yield SimpleNamespace(set_attributes=kept.update)

    agent = SimpleNamespace(decide=lambda observation: SimpleNamespace(action="large", propensity=0.25))
    code = block("opentelemetry.md", "python")
    exec(
        compile(code, "opentelemetry.md", "exec"),
        {"tracer": SimpleNamespace(start_as_current_span=start), "agent": agent},
    )
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "startTimeUnixNano": "1767225600000000000",
        "endTimeUnixNano": "1767225601000000000",
        "attributes": [{"key": name, "value": {kinds[type(value)]: value}} for name, value in kept.items()],
    }
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    (decision,) = records(good(read(path, "opentelemetry")))
    assert decision.observation == {"length": 300, "load": 0.5} and decision.propensity == 0.25
    assert decision.outcome == {"cost": 0.25, "execution_time": 1.0}
    page = (DOCS / "opentelemetry.md").read_text()
    for name, preset in PRESETS.items():
        assert f"`{name}`" in page and f"`{preset.action}`" in page
        assert all(f"`{attribute}{'*' * attribute.endswith('.')}`" in page for attribute in preset.observation)


def test_formats_and_limits_are_those_in_force() -> None:
    page = (DOCS / "formats.md").read_text()
    assert all(f"`{name}`" in page for name in FORMATS if name not in ("jsonl", "csv", "parquet"))
    limits = page[page.index("## Limits") :]
    for limit in (
        f"| {MAXIMUM_ROW // 2**20} MB |",
        f"| {MAXIMUM_DEPTH} levels |",
        f"| {episode_state.MAXIMUM_VALUES:,} |",
        f"| {hdf5.MAXIMUM_CHUNK // 2**20} MB |",
        f"| {hdf5.MAXIMUM_LEAVES:,} |",
        f"| {reader_rllib.MAXIMUM_GROUP // 2**30} GB |",
        f"| {prometheus_client.MAXIMUM_ANSWER // 2**20} MB |",
    ):
        assert limit in limits
