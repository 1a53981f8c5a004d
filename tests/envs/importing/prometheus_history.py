"""A history that a Prometheus server can load, the server itself, and what must be read from it."""

from __future__ import annotations

import bisect
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

ANSWERS = Path(__file__).parents[2] / "data" / "importing" / "prometheus_answers.json"
INSTALL = "the test of Prometheus needs its server: apt-get install prometheus (or put prometheus and promtool in PATH)"
START = 1_767_225_600  # 2026-01-01T00:00:00Z
SECONDS = 2 * 3600
SCRAPE = 15
GAP = range(START + 4800, START + 5700)  # longer than the five minutes that a sample is good for
DEPLOYMENTS = ("api", "web")
OPTIONS: dict[str, Any] = {
    "action": "kube_deployment_spec_replicas",
    "observation": {
        "load": "app_load",
        "requests": "sum by (deployment) (rate(app_requests_total[2m]))",
        "nodes": "count(up)",
    },
    "outcome": {"errors": "sum by (deployment) (increase(app_errors_total[1m]))", "load": "app_load"},
    "outcome_after": "1m",
    "interval": "60s",
    "episode": "30m",
    "by": ["deployment"],
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-01T02:00:00Z",
}


@cache
def samples(name: str, deployment: str) -> list[tuple[int, float]]:
    """(second, value) of one series; a scrape falls on every decision's very moment."""
    found = []
    for second in range(START - 600, START + SECONDS + 600, SCRAPE):
        if second in GAP:
            continue
        tick, own = (second - START) // SCRAPE, 1 + DEPLOYMENTS.index(deployment)
        value = {
            "app_load": float(tick * own % 37),
            "kube_deployment_spec_replicas": float(3 + (tick // 10 * own) % 4 - (tick // 13) % 2),
            "app_requests_total": float((tick + 40) * 30 * own),
            "app_errors_total": float((tick + 40) // 8 * own),
            "up": 1.0,
        }[name]
        found.append((second, value))
    return found


def before(name: str, deployment: str, second: int) -> float | None:
    """The last sample strictly before a moment, not older than five minutes."""
    found = samples(name, deployment)
    place = bisect.bisect_left([moment for moment, _ in found], second) - 1
    return found[place][1] if place >= 0 and second - found[place][0] < 300 else None


def open_metrics() -> str:
    """The history as OpenMetrics text."""
    lines = []
    for name, kind in (
        ("app_load", "gauge"),
        ("kube_deployment_spec_replicas", "gauge"),
        ("app_requests", "counter"),
        ("app_errors", "counter"),
        ("up", "gauge"),
    ):
        lines.append(f"# TYPE {name} {kind}")
        full = f"{name}_total" if kind == "counter" else name
        for deployment in DEPLOYMENTS:
            labels = f'{{deployment="{deployment}"}}'
            lines += [f"{full}{labels} {value} {second}" for second, value in samples(full, deployment)]
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def real_server(folder: Path) -> Iterator[str]:
    """Prometheus itself on a free port with the history in it; its address."""
    assert shutil.which("prometheus") and shutil.which("promtool"), INSTALL
    (folder / "history.txt").write_text(open_metrics())
    (folder / "prometheus.yml").write_text("global: {}\n")
    data = folder / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.txt"), str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=100y",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"{address}/-/ready", timeout=1) as answer:
                    if answer.status == 200:
                        break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def asked(query: dict[str, str]) -> str:
    """A query as a key of the kept answers."""
    return json.dumps({name: query[name] for name in ("query", "start", "end", "step")}, sort_keys=True)


@contextmanager
def replaying_server(answers: dict[str, Any], seen: list[dict[str, str]] | None = None) -> Iterator[str]:
    """A server that gives the answers that a real one gave; its address. What was asked goes to ``seen``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = {name: values[0] for name, values in parse_qs(body).items()}
            if seen is not None:
                seen.append({**query, "authorization": self.headers.get("Authorization", "")})
            status, content = answers.get(asked(query), (404, {"status": "error", "error": f"not kept: {query}"}))
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def ask(address: str, query: dict[str, str]) -> tuple[int, Any]:
    """What a server answers to a range query, with its status."""
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query_range", urlencode(query).encode(), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
