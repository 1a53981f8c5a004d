"""Encoders from raw observation rows to states or features: fitted on train, kept as JSON, numpy only.

Discretizers give ``states(rows) -> int64 (N,)`` in ``[0, count)``, -1 for a state never seen;
feature encoders give ``features(rows) -> float64 (N, F)``. All compute each row on its own with
element-wise arithmetic, so a row alone in production is encoded exactly as it was among thousands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.lazy import lazily

if TYPE_CHECKING:
    from envs.encoding.codec import Discretizer, Encoder, FeatureEncoder, encoder_from_json
    from envs.encoding.features import StandardFeatures
    from envs.encoding.kmeans import KMeansStates
    from envs.encoding.states import IntegerStates, QuantileGrid

__all__ = [
    "Discretizer",
    "Encoder",
    "FeatureEncoder",
    "IntegerStates",
    "KMeansStates",
    "QuantileGrid",
    "StandardFeatures",
    "encoder_from_json",
]
_HOMES = {
    "Discretizer": ".codec",
    "Encoder": ".codec",
    "FeatureEncoder": ".codec",
    "encoder_from_json": ".codec",
    "IntegerStates": ".states",
    "QuantileGrid": ".states",
    "KMeansStates": ".kmeans",
    "StandardFeatures": ".features",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
