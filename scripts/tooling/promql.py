"""A client of Prometheus's HTTP API: as much of it as the demo and the integration tests ask.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import requests

from tooling.processes import local_session

_POLL: Final = 0.05


class QueryError(Exception):
    """Prometheus refused a query, or did not answer it; the text holds the query and the reason."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector: ``labels`` without the name, and its evaluation ``time`` (Unix seconds)."""

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class Series:
    """One element of a range matrix: ``points`` of (Unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class PromQL:
    """Queries against the Prometheus at ``url``."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = local_session()

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Return the instant vector of ``expression``, ``at`` a Unix time or now.

        A scalar comes as one sample without labels. Raises ``QueryError``.
        """
        data = self._get("query", {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"}))
        if data["resultType"] == "scalar":
            moment, value = data["result"]
            return [Sample({}, float(value), float(moment))]
        return [Sample(_labels(row), float(row["value"][1]), float(row["value"][0])) for row in data["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Return the range matrix of ``expression`` from ``start`` to ``end`` (Unix times), every ``step`` seconds.

        Raises ``QueryError``.
        """
        arguments = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        data = self._get("query_range", arguments)
        return [Series(_labels(row), [(float(t), float(v)) for t, v in row["values"]]) for row in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float:
        """Return the value of the one sample of ``expression``; raise ``QueryError`` if there is none, or another."""
        samples = self.query(expression, at)
        if len(samples) != 1:
            raise QueryError(f"{expression}: expected one sample, got {len(samples)}")
        return samples[0].value

    def values(self, expression: str, label: str, at: float | None = None) -> dict[str, float]:
        """Return the instant vector of ``expression`` as a mapping from the value of ``label`` to the sample's value.

        Raises ``QueryError`` if two samples share a value of ``label``: neither would be the answer.
        """
        samples = self.query(expression, at)
        result = {sample.labels.get(label, ""): sample.value for sample in samples}
        if len(result) != len(samples):
            raise QueryError(f"{expression}: several samples have the same {label}")
        return result

    def wait_for(self, expression: str, accept: Callable[[list[Sample]], bool], deadline: float = 10.0) -> list[Sample]:
        """Ask until ``accept`` is true of the answer, and return that answer.

        Raises ``TimeoutError`` with the last answer after ``deadline`` seconds; ``QueryError`` at once.
        """
        end = time.monotonic() + deadline
        while not accept(samples := self.query(expression)):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{expression}: not as expected within {deadline:g} s, the last answer was {samples}"
                )
            time.sleep(_POLL)
        return samples

    def get(self, endpoint: str, **arguments: str) -> Any:
        """Return ``data`` of another endpoint of the API, such as ``targets`` or ``rules``; raise ``QueryError``."""
        return self._get(endpoint, arguments)

    def _get(self, endpoint: str, arguments: Mapping[str, str]) -> Any:
        asked = arguments.get("query", endpoint)
        try:
            answer = self._session.get(f"{self.url}/api/v1/{endpoint}", params=arguments, timeout=self._timeout).json()
        except (requests.RequestException, ValueError) as error:
            raise QueryError(f"{asked}: no answer from {self.url}: {error}") from error
        if answer["status"] != "success":
            raise QueryError(f"{asked}: {answer['errorType']}: {answer['error']}")
        return answer["data"]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in row["metric"].items() if name != "__name__"}
