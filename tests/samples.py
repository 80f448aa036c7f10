"""The samples that a Prometheus holds, as they were scraped or recorded."""

from __future__ import annotations

from tooling.promql import PromQL


def samples(prometheus: PromQL, selector: str, start: float, end: float) -> dict[float, float]:
    """Return the samples of one series from ``start`` to ``end`` (Unix times): values by times, oldest first."""
    query = f"{selector}[{(end - start) * 1000:.0f}ms]"
    [series] = prometheus.get("query", query=query, time=f"{end:.3f}")["result"]
    return {float(moment): float(value) for moment, value in series["values"]}
