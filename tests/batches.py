"""Batches as a ``POST /api/stats`` brings them."""

from __future__ import annotations

import json
from typing import Any

from exporter import SharedStats
from exporter.store.store import Applied


def apply(store: SharedStats, data: Any) -> Applied:
    """Apply what a body holds, or the body itself."""
    return store.apply(store.read(data if isinstance(data, bytes) else json.dumps(data).encode()))
