"""Names that a mapping reads and that no row has: a misspelt one would leave its field out of every row, unseen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from envs.errors import SpecificationError
from envs.importing.mapping import GATHERING, names_read
from envs.importing.mapping_expression import MappingExpression, is_present
from envs.outcome import SAYING

SIMILAR = 0.8
NEAREST = 0.6  # of a name that is there, to be what was meant
SHOWN = 12
MAXIMUM_NAMES = 1000  # that are kept of the rows, to find out what was meant


class MappedNames:
    """Looks for the names that a declared mapping reads, over all rows of an import.

    A name of an expression has to be in some row, as a name that stands for one of our fields alone has to where the
    rows have one that is nearly the same. Others may be absent: gathered fields may be optional.

    Args:
        mapping: as :func:`~envs.importing.mapping.checked_mapping` gives it.
        where: where it is declared.
    """

    def __init__(self, mapping: Mapping[str, Any], where: str) -> None:
        self._mapping, self._where = mapping, where
        self._separate = "decision_id" in mapping  # outcomes come in rows of their own, perhaps another day
        self._decision_names = {"decision_id", *names_read(mapping.get("decision_id", "decision_id"))}
        self._unmet = {name for source in mapping.values() for name in names_read(source)}
        self._there: set[str] = set()
        self._shapes: set[tuple[str, ...]] = set()
        self._met = {"decisions": False, "outcomes": False}

    @property
    def state(self) -> dict[str, Any]:
        """What was found out so far, as JSON."""
        return {"unmet": sorted(self._unmet), "there": sorted(self._there), "met": self._met}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """From where :attr:`state` was; from the beginning where it is empty."""
        if state:
            self._unmet, self._there, self._met = set(state["unmet"]), set(state["there"]), dict(state["met"])

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row as it stands in its source."""
        if not self._unmet:
            return
        self._met["outcomes" if any(is_present(row, name) for name in self._decision_names) else "decisions"] = True
        self._unmet = {name for name in self._unmet if name not in row and not is_present(row, name)}
        shape = tuple(row)
        if shape not in self._shapes and len(self._there) < MAXIMUM_NAMES:
            self._shapes.add(shape)
            self.add_columns(row)
            for name, value in row.items():
                if isinstance(value, Mapping):
                    self.add_columns(f"{name}.{inner}" for inner in value)

    def add_columns(self, names: Iterable[str]) -> None:
        """Names that a source has, also where its rows have no value for them."""
        self._there.update(names)
        self._unmet -= self._there

    def refuse(self) -> None:
        """Refuse the mapping when all rows were looked at, if a name that it reads is in none of them.

        Raises:
            SpecificationError: names the field, the name, and what was probably meant.
        """
        if not any(self._met.values()):
            return  # no row could be read
        for place, source in self._asked():
            if place in self._there:  # the rows are of another source, which has our own names
                continue
            for name in names_read(source):
                if name in self._unmet:
                    self._refuse(place, name, source)

    def _asked(self) -> Iterator[tuple[str, Any]]:
        """The sources that rows of the kinds that were met are to have, each with the field it is for."""
        for ours, source in self._mapping.items():
            later = ours in SAYING
            asked = self._met["outcomes" if later and self._separate else "decisions"]
            if ours == "decision_id" or not asked:
                continue
            if isinstance(source, Mapping):
                yield from ((f"{ours}.{name}", part) for name, part in source.items())
            else:
                yield ours, source

    def _refuse(self, place: str, name: str, source: Any) -> None:
        computed, gathered = isinstance(source, MappingExpression), place.partition(".")[0] in GATHERING
        cutoff = NEAREST if computed else SIMILAR
        near = [] if gathered and not computed else difflib.get_close_matches(name, sorted(self._there), 1, cutoff)
        if not near and not computed:
            return
        meant = f", {near[0]!r} is" if near else ""
        there = sorted(self._there)
        known = ", ".join(there[:SHOWN]) + (", …" if len(there) > SHOWN else "")
        remedy = "correct the name" if near else f"correct the name, the rows have {known}"
        if not near and place.partition(".")[0] in SAYING and not self._separate:
            remedy += '; where outcomes come in rows of their own, write decision_id = "THEIR_NAME"'
        raise SpecificationError(
            f"mapping.{place}: {name!r} is not a field of any row{meant}", where=self._where, remedy=remedy
        )
