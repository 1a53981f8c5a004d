"""Range queries to a Prometheus server: one expression at a row of moments."""

from __future__ import annotations

import json
import math
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from envs.errors import DataError
from envs.importing.prometheus_options import PrometheusOptions
from envs.importing.row_building import reason

MAXIMUM_ANSWER = 256 * 2**20
"""Bytes of one answer."""
Series = dict[tuple[str, ...], dict[int, float]]
"""Values by moment (ms), by the values of the deciders' labels."""


class PrometheusClient:
    """Asks one server.

    Args:
        options: where it is, and by which labels series are told apart.
        source: named by errors.
    """

    def __init__(self, options: PrometheusOptions, source: str) -> None:
        self._options = options
        self._source = source

    def values(self, expression: str, start: int, end: int, step: int) -> Series:
        """The expression's value at ``start``, ``start + step``, ... up to ``end`` (ms), where it has one.

        What Prometheus answers at a moment is from samples up to that moment. NaN is no value. A series that has
        none of the labels that tell deciders apart stands under ``()`` and is everybody's.

        Raises:
            DataError: the server cannot be reached, refuses the expression, or has several series for one decider.
        """
        asked = {"query": expression, "start": _seconds(start), "end": _seconds(end), "step": _seconds(step)}
        answer = self._ask("/api/v1/query_range", asked, expression)
        found: Series = {}
        try:
            data = answer["data"]
            if data["resultType"] != "matrix":
                raise self._error(expression, f"is a {data['resultType']}, no range of values", "correct it")
            for series in data["result"]:
                labels = series["metric"]
                own = tuple(str(labels.get(label, "")) for label in self._options.by)
                key = own if any(own) else ()
                if key in found:
                    named = ", ".join(f"{label}={value}" for label, value in zip(self._options.by, key, strict=False))
                    problem = f"has several series{' for ' + named if named else ''}"
                    remedy = "aggregate it, or name the labels that tell deciders apart in by"
                    raise self._error(expression, problem, remedy)
                points = ((round(float(moment) * 1000), float(value)) for moment, value in series["values"])
                found[key] = {moment: value for moment, value in points if not math.isnan(value)}
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise self._error(
                expression, f"was not answered as Prometheus does ({reason(error)})", "check url"
            ) from None
        return found

    def _ask(self, path: str, asked: dict[str, str], expression: str) -> Any:
        request = urllib.request.Request(self._options.url + path, urlencode(asked).encode(), method="POST")
        if self._options.token_variable:
            token = os.environ.get(self._options.token_variable)
            if not token:
                problem = f"the environment has no {self._options.token_variable}"
                raise DataError(problem, where=self._source, remedy="set it to the bearer token")
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=self._options.timeout / 1000) as answer:
                return self._parsed(answer, expression)
        except urllib.error.HTTPError as error:
            with error:
                parsed = self._parsed(error, expression, quiet=True)
            said = parsed.get("error") if isinstance(parsed, dict) else None
            problem = f"was refused ({str(said)[:160]})" if said else f"was refused ({error.code} {error.reason})"
            raise self._error(expression, problem, "correct the expression") from None
        except (OSError, ValueError, HTTPException) as error:
            problem = f"{self._options.url} cannot be reached ({reason(error)})"
            raise DataError(problem, where=self._source, remedy="start the server, or correct url") from None

    def _parsed(self, answer: Any, expression: str, *, quiet: bool = False) -> Any:
        content = answer.read(MAXIMUM_ANSWER + 1)
        if len(content) > MAXIMUM_ANSWER:
            problem = f"has an answer of more than {MAXIMUM_ANSWER // 2**20} MB"
            raise self._error(expression, problem, "aggregate it, or import fewer deciders at once")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            if quiet:
                return None
            raise self._error(expression, f"was not answered as JSON ({reason(error)})", "check url") from None

    def _error(self, expression: str, problem: str, remedy: str) -> DataError:
        return DataError(f"{expression[:120]!r} {problem}", where=self._source, remedy=remedy)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"
