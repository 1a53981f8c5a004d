"""A variant: an algorithm, its hyperparameters and the size of the step towards what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from envs.errors import SpecificationError

Value = str | int | float | bool | None | tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class VariantSpecification:
    """One point of the search space.

    Attributes:
        algorithm: registry name.
        hyperparameters: attributes of the algorithm's configuration that differ from its defaults.
        step: η in (0, 1]: the variant is (1 - η) champion + η what the algorithm learned.
        seeds: seeds that the algorithm is trained with.
    """

    algorithm: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    step: float = 1.0
    seeds: tuple[int, ...] = (0,)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two variants the same."""
        return (self.algorithm, tuple(sorted(self.hyperparameters.items(), key=str)), self.step, self.seeds)

    def to_json(self) -> dict[str, object]:
        """The JSON form that runs and reports keep."""
        return {
            "algorithm": self.algorithm,
            "hyperparameters": {
                name: list(v) if isinstance(v, tuple) else v for name, v in self.hyperparameters.items()
            },
            "step": self.step,
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> VariantSpecification:
        """The inverse of :meth:`to_json`."""
        raw = data["hyperparameters"]
        assert isinstance(raw, Mapping)
        return cls(
            algorithm=str(data["algorithm"]),
            hyperparameters={name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()},
            step=float(data["step"]),  # type: ignore[arg-type]
            seeds=tuple(data["seeds"]),  # type: ignore[arg-type]
        )


def check_step(step: object, where: str) -> None:
    """Check that a step size is one.

    Raises:
        SpecificationError: it is no number in (0, 1].
    """
    if not isinstance(step, int | float) or isinstance(step, bool) or not 0.0 < step <= 1.0:
        raise SpecificationError(f"a step of {step!r}", where=where, remedy="give numbers in (0, 1]")
