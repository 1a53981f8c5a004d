"""Write ``opentelemetry_spans.jsonl`` and ``opentelemetry_logs.jsonl`` with OpenTelemetry's own SDK and file exporter.

Run: ``pip install opentelemetry-sdk opentelemetry-exporter-otlp-json-file`` (1.45.2 and 0.66b1 here) in an
environment of its own, then ``python make_opentelemetry.py``.
"""

from __future__ import annotations

from pathlib import Path

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, Status, StatusCode

HERE = Path(__file__).parent
START = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


class Counting(IdGenerator):
    """Ids that are the same whenever this is run."""

    def __init__(self) -> None:
        self.count = 0

    def generate_span_id(self) -> int:
        self.count += 1
        return 0xABCD_0000_0000_0000 + self.count

    def generate_trace_id(self) -> int:
        self.count += 1
        return 0xFEED_0000_0000_0000_0000_0000_0000_0000 + self.count


def main() -> None:
    """Four decisions by our attributes, one of them evaluated thrice; two calls of models; spans that are neither."""
    spans, logs = HERE / "opentelemetry_spans.jsonl", HERE / "opentelemetry_logs.jsonl"
    for path in (spans, logs):
        path.unlink(missing_ok=True)
    provider = TracerProvider(resource=Resource({"service.name": "router"}), id_generator=Counting())
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(spans), max_export_batch_size=4))
    tracer = provider.get_tracer("retrainer.example", "1")
    contexts = []
    for index in range(4):
        at = START + index * 60_000_000_000
        attributes = {
            "retrainer.action": ("small", "large")[index % 2],
            "retrainer.propensity": 0.25 if index % 2 else 0.75,
            "retrainer.action_probability.small": 0.75,
            "retrainer.action_probability.large": 0.25,
            "retrainer.allowed_actions": ["small", "large"],
            "retrainer.observation.length": 100 * index,
            "retrainer.observation.load": 0.5 + index,
            "retrainer.observation.premium": index == 1,
            "retrainer.observation.last_scores": [0.5, 0.25 * index],
            "retrainer.outcome.cost": 0.125 * (index + 1),
            "retrainer.policy_version": "rule-1",
            "http.method": "POST",
        }
        span = tracer.start_span("decide", attributes=attributes, start_time=at)
        if index == 0:
            span.add_event(
                "gen_ai.evaluation.result",
                {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5},
                timestamp=at + 1_000_000_000,
            )
        span.set_status(Status(StatusCode.ERROR if index == 3 else StatusCode.OK))
        contexts.append(span.get_span_context())
        span.end(end_time=at + 2_500_000_000)
    for index, model in enumerate(("model-a", "model-b")):
        at = START + (index + 10) * 60_000_000_000
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "example",
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": 256,
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 30 + index,
        }
        span = tracer.start_span(f"chat {model}", attributes=attributes, start_time=at)
        span.end(end_time=at + 500_000_000)
        contexts.append(span.get_span_context())
    evaluating = tracer.start_span(
        "evaluate",
        links=[Link(contexts[0]), Link(contexts[1])],
        attributes={"gen_ai.evaluation.name": "safety", "gen_ai.evaluation.score.label": "pass"},
        start_time=START + 3_600_000_000_000,
    )
    evaluating.end(end_time=START + 3_601_000_000_000)
    provider.shutdown()
    logging = LoggerProvider()
    logging.add_log_record_processor(SimpleLogRecordProcessor(FileLogExporter(logs)))
    logging.get_logger("judge").emit(
        LogRecord(
            timestamp=START + 7_200_000_000_000,
            event_name="gen_ai.evaluation.result",
            context=trace.set_span_in_context(trace.NonRecordingSpan(contexts[2])),
            severity_number=SeverityNumber.INFO,
            attributes={"gen_ai.evaluation.name": "helpfulness", "gen_ai.evaluation.score.value": 4.0},
        )
    )
    logging.shutdown()


if __name__ == "__main__":
    main()
