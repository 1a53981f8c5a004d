"""Which attributes of an OpenTelemetry span make a decision: versioned presets, and what a user changes in one.

A preset never changes once it is published; a better one gets the next version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from envs.errors import DataError

DEFAULT = "retrainer.decision.v1"


@dataclass(frozen=True, slots=True)
class SpanPreset:
    """Where the fields of a record stand. A name that ends with a dot is a prefix, cut off from what it finds.

    Attributes:
        action: the attribute with the action; a span without it is no decision.
        observation: attributes that were known before acting.
        outcome: attributes that were known at the span's end.
        metadata: attributes that are kept and not learned from.
        fields: the attribute of each further field of the record.
        probabilities: the prefix of attributes with the probability of each action.
    """

    action: str
    observation: tuple[str, ...]
    outcome: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    probabilities: str = ""


_OWN = (
    "agent",
    "tenant",
    "episode_id",
    "step",
    "allowed_actions",
    "propensity",
    "executed_action",
    "reward",
    "terminated",
    "truncated",
    "policy_version",
    "experiment_arm",
    "mode",
)
PRESETS: Mapping[str, SpanPreset] = {
    DEFAULT: SpanPreset(
        action="retrainer.action",
        observation=("retrainer.observation.",),
        outcome=("retrainer.outcome.",),
        metadata=("retrainer.metadata.",),
        fields={name: f"retrainer.{name}" for name in _OWN},
        probabilities="retrainer.action_probability.",
    ),
    # Which model answers: the semantic conventions for generative AI as of opentelemetry-semconv 0.66.
    "gen_ai.model_choice.v1": SpanPreset(
        action="gen_ai.request.model",
        observation=("gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.request.max_tokens", "gen_ai.output.type"),
        outcome=("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.time_to_first_chunk"),
        metadata=("gen_ai.provider.name", "gen_ai.response.model", "gen_ai.response.id", "gen_ai.conversation.id"),
        fields={"propensity": "retrainer.propensity", "policy_version": "retrainer.policy_version"},
        probabilities="retrainer.action_probability.",
    ),
}
LISTS = ("observation", "outcome", "metadata")
OPTIONS = ("preset", "action", *LISTS, "fields", "probabilities")


def chosen_preset(options: Mapping[str, Any], source: str) -> SpanPreset:
    """The preset that the options name, with what they change in it.

    Args:
        options: ``preset`` by name; ``action``, ``probabilities`` (texts), ``observation``, ``outcome``,
            ``metadata`` (lists of texts, or one text with commas) and ``fields`` (an object of texts), each in
            the preset's place.
        source: named by an error.

    Raises:
        DataError: there is no such preset, or an option is of the wrong kind.
    """
    name = options.get("preset", DEFAULT)
    if name not in PRESETS:
        raise DataError(f"preset = {name!r} is not known", where=source, remedy=f"known are {', '.join(PRESETS)}")
    changes: dict[str, Any] = {}
    for option in ("action", "probabilities"):
        if option in options:
            if not isinstance(options[option], str) or not options[option]:
                raise DataError(f"{option} names no attribute", where=source, remedy=f'write {option} = "app.name"')
            changes[option] = options[option]
    for option in LISTS:
        if option in options:
            given = options[option]
            given = given.split(",") if isinstance(given, str) else given  # as --option writes it
            if not _texts(given):
                raise DataError(f"{option} is no list of attributes", where=source, remedy='write ["app.name", ...]')
            changes[option] = tuple(given)
    if "fields" in options:
        given = options["fields"]
        if not isinstance(given, Mapping) or not _texts(list(given.values())) or not set(given) <= set(_OWN):
            remedy = f'write {{ propensity = "app.name" }}, for {", ".join(_OWN)}'
            raise DataError("fields is no object of attributes", where=source, remedy=remedy)
        changes["fields"] = {**PRESETS[name].fields, **given}
    return replace(PRESETS[name], **changes)


def _texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value)
