"""What a foreign name says: which of our fields it stands for, and whether it was known before acting."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

SIMILAR = 0.78
SYNONYMS: dict[str, tuple[str, ...]] = {
    "event_id": ("id", "uuid", "event", "request_id", "decision_id", "impression_id", "log_id"),
    "agent": ("agent_name", "agent_id"),
    "tenant": ("tenant_id", "customer", "customer_id", "account", "account_id", "organisation", "organization"),
    "episode_id": (
        "episode",
        "trajectory",
        "trajectory_id",
        "traj_id",
        "session",
        "session_id",
        "incident_id",
        "eps_id",
    ),
    "step": ("t", "time_step", "timestep", "step_id", "turn", "step_index"),
    "timestamp": ("time", "ts", "datetime", "created_at", "event_time", "logged_at"),
    "observation": ("obs", "state", "context", "features", "s", "x", "input", "input_data", "feature_vector"),
    "action": ("act", "a", "action_type", "action_id", "decision", "item_id", "chosen_action", "treatment"),
    "propensity": ("prob", "probability", "pscore", "propensity_score", "action_prob", "action_probability", "p"),
    "action_probabilities": ("probs", "probabilities", "action_probs", "action_dist", "distribution"),
    "executed_action": ("applied_action", "actual_action"),
    "reward": ("r", "rewards", "click", "score", "payoff", "utility"),
    "outcome": ("output", "output_data"),
    "next_observation": ("next_obs", "next_state", "new_obs", "s_next", "s2", "next_context", "new_state"),
    "terminated": ("done", "terminal", "is_terminal", "terminals", "dones", "is_done"),
    "truncated": ("timeout", "timeouts", "is_truncated", "truncation", "time_limit_reached"),
    "allowed_actions": ("available_actions", "legal_actions", "valid_actions"),
    "policy_version": ("policy", "model_version", "behavior_policy", "behaviour_policy", "policy_id"),
    "experiment_arm": ("arm", "variant", "experiment", "experiment_group"),
    "metadata": ("meta", "info", "extra", "tags"),
}
NEVER = ("confidence", "explanation")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nothing of these says anything by itself: they stand beside a word that does.
QUALIFIERS = _words(
    "action actual amount code did flag has id incurred is kind label measured message msg name net observed"
    " request status task text time total type value was"
    " s sec secs second seconds ms us ns minutes hours usd eur dollars cents"
)
CHOICES = _words("chosen executed logged performed proposed recommended requested selected taken")
# Known only after acting, whatever stands beside them.
AFTERWARDS = _words(
    "after afterwards final outcome outcomes result results resulting reward rewards succeeded success successful"
)
# Known only after acting where no other word says more: a unit_cost, an error_rate or a video_duration is known before.
AFTERWARDS_ALONE = _words(
    "click clicked completion conversion converted cost costs downtime dropped duration dwell elapsed error errors"
    " exception execution exit failed failure latency loss payoff penalty processing profit recovered recovery regret"
    " resolution resolved response return returncode revenue runtime traceback"
)
# What was, or usually is, is known before acting.
EARLIER = _words(
    "average avg before estimated expected historical history lag last mean median past predicted prev previous prior"
    " rate ratio recent rolling"
)


def similarity(ours: str, theirs: str) -> float:
    """How well a foreign name fits one of our fields, from 0 to 1; good enough from :data:`SIMILAR` on."""
    simple = _simple(theirs)
    if simple in NEVER:
        return 0.0
    if simple == ours:
        return 1.0
    if simple in SYNONYMS.get(ours, ()):
        return 0.99 - 0.01 * SYNONYMS[ours].index(simple)
    words = set(simple.split("_"))
    if ours in ("action", "reward") and ours in words and words <= {ours} | QUALIFIERS | CHOICES:
        return SIMILAR
    return 0.9 * difflib.SequenceMatcher(None, ours, simple).ratio()


@lru_cache(maxsize=1024)  # the same few names come with every row
def may_be_moment(theirs: str) -> bool:
    """Whether a foreign name may stand for the timestamp."""
    return similarity("timestamp", theirs) >= SIMILAR


def place_of(theirs: str) -> str:
    """Where a foreign field belongs that stands for none of ours.

    Returns:
        ``outcome`` where it can be known only after acting, ``metadata`` where it names the action or may not be
        learned from, ``next_observation`` where it says what came next, else ``observation``.
    """
    simple = _simple(theirs)
    words = set(simple.split("_"))
    if simple in NEVER:
        return "metadata"
    if simple.startswith("next_"):
        return "next_observation"
    if words & EARLIER and not words & {"after", "afterwards"}:
        return "observation"
    if words & AFTERWARDS or (words & AFTERWARDS_ALONE and words <= AFTERWARDS_ALONE | QUALIFIERS):
        return "outcome"
    if simple in ("http_status", "status_code"):
        return "outcome"
    return "metadata" if words & {"action", "decision"} else "observation"


def following_of(theirs: str) -> str:
    """Of a field that says what came next, the name of the one that says what was before: ``load`` of ``next_load``."""
    return re.sub(r"(?i)^next[^a-z0-9]*", "", theirs)


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
