"""Versions in MLflow's registry: a registered model an agent, its alias ``champion`` where the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_engine.deploy.registry import Registry
from ai_engine.tracking.errors import TrackingError
from ai_engine.tracking.mlflow_client import pages
from ai_engine.tracking.mlflow_runs import ARTEFACT_FOLDER, MlflowRuns
from ai_engine.tracking.settings import TrackingSettings
from ai_engine.tracking.tracked_run import TrackedRun, tracked_version

ALIAS = "champion"
HOME, VERSION = "retrainer.home", "retrainer.version"


def write_versions(
    client: Any, model: Any, registry: Registry, agent: str, runs: MlflowRuns, tracked: Sequence[TrackedRun]
) -> tuple[int, bool]:
    """Register the versions that are not there, and move the alias to the champion.

    Returns:
        How many were registered, and whether the alias moved.
    """
    name = model.name
    known = {
        found.tags[VERSION]: str(found.version)
        for found in pages(client.search_model_versions, filter_string=f"name = '{name}'")
        if VERSION in found.tags
    }
    missing = [version for version in registry.versions(agent) if version not in known]
    brought = {entry.version: (run, entry.key) for run in tracked for entry in run.entries if entry.version}
    for version in missing:
        source = runs.of_entry(*brought[version]) if version in brought else None
        source = source or runs.of_version(tracked_version(registry, agent, version))
        made = client.create_model_version(
            name,
            f"{source.info.artifact_uri}/{ARTEFACT_FOLDER}",
            source.info.run_id,
            tags={VERSION: version},
            description=f"{agent}@{version}",
        )
        known[version] = str(made.version)
    champion = known[registry.champion(agent)]
    moved = str(model.aliases.get(ALIAS)) != champion
    if moved:
        client.set_registered_model_alias(name, ALIAS, champion)
    return len(missing), moved


def registered_model(client: Any, settings: TrackingSettings, agent: str) -> Any:
    """The agent's registered model, made where there is none.

    Raises:
        TrackingError: it is another home's, or nobody's of ours.
    """
    name = settings.name(agent)
    found = next(pages(client.search_registered_models, filter_string=f"name = '{name}'"), None)
    if found is None:
        tags = {HOME: settings.home_identity}
        client.create_registered_model(name, tags=tags, description="policies of an agent; champion is in production")
        return client.get_registered_model(name)
    if found.tags.get(HOME) != settings.home_identity:
        raise TrackingError(
            f"the registered model {name} is not of this home",
            where=f"mlflow at {settings.shown_uri}",
            remedy=f'set prefix = "..." in [tracking] of {settings.home.configuration_path}',
        )
    return client.get_registered_model(name)
