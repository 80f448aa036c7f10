"""A client of Prometheus's HTTP API, as far as the demo, tests and benchmarks use it.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import requests

from tooling.processes import local_session

_POLL: Final = 0.05


class QueryError(Exception):
    """Prometheus refused a query, or did not answer it; the text holds the query and the reason."""


class Sample(NamedTuple):
    """One element of an instant vector: ``labels`` without the name, and its evaluation ``time`` (Unix seconds)."""

    labels: Mapping[str, str]
    value: float
    time: float


class Series(NamedTuple):
    """One element of a range matrix: ``points`` of (Unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class PromQL:
    """Queries to the Prometheus at ``url``. Every method raises ``QueryError``."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = local_session()

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Return the instant vector of ``expression``, ``at`` a Unix time or now; a scalar has no labels."""
        data = self.get("query", query=expression, **({} if at is None else {"time": f"{at:.3f}"}))
        rows = [{"metric": {}, "value": data["result"]}] if data["resultType"] == "scalar" else data["result"]
        return [Sample(_labels(row), float(row["value"][1]), float(row["value"][0])) for row in rows]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Return the range matrix of ``expression`` from ``start`` to ``end`` (Unix times), every ``step`` seconds."""
        data = self.get("query_range", query=expression, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{step:g}")
        return [Series(_labels(row), [(float(t), float(v)) for t, v in row["values"]]) for row in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float:
        """Return the value of the one sample of ``expression``; any other number of samples is an error."""
        samples = self.query(expression, at)
        if len(samples) != 1:
            raise QueryError(f"{expression}: {len(samples)} samples instead of one")
        return samples[0].value

    def values(self, expression: str, label: str, at: float | None = None) -> dict[str, float]:
        """Return the samples' values by the value of ``label``, which must differ from sample to sample."""
        samples = self.query(expression, at)
        result = {sample.labels.get(label, ""): sample.value for sample in samples}
        if len(result) != len(samples):
            raise QueryError(f"{expression}: several samples have the same {label}")
        return result

    def wait_for(self, expression: str, accept: Callable[[list[Sample]], bool], deadline: float = 10.0) -> list[Sample]:
        """Query until ``accept`` returns true for the answer, and return that answer.

        Raises ``TimeoutError`` with the last answer after ``deadline`` seconds.
        """
        end = time.monotonic() + deadline
        while not accept(samples := self.query(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression}: not as expected within {deadline:g} s; the last answer: {samples}")
            time.sleep(_POLL)
        return samples

    def get(self, endpoint: str, **arguments: str) -> Any:
        """Return ``data`` of any endpoint of the API, such as ``targets`` or ``rules``."""
        asked = arguments.get("query", endpoint)
        try:
            answer = self._session.get(f"{self.url}/api/v1/{endpoint}", params=arguments, timeout=self._timeout).json()
        except requests.RequestException as error:  # which an answer that is not JSON is too
            raise QueryError(f"{asked}: no answer from {self.url}: {error}") from error
        if answer["status"] != "success":
            raise QueryError(f"{asked}: {answer['errorType']}: {answer['error']}")
        return answer["data"]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in row["metric"].items() if name != "__name__"}
