"""The configuration that Prometheus has under Docker Compose, derived for this machine.

Outside Compose services have no names, and paths are not relative to ``/etc/prometheus``. Both are replaced in a copy
made at every start, so that there is no second file to maintain.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from tooling.checkout import ROOT, ToolingError

CONFIGURATION: Final = ROOT / "prometheus.yml"
EXPORTER: Final = "exporter:9309"
PROMETHEUS: Final = "localhost:9090"
ALERTMANAGER: Final = "alertmanager:9093"


def derive(text: str, folder: Path, addresses: Mapping[str, str | None]) -> str:
    """Return the configuration ``text`` with local ``addresses``, and its rule files relative to ``folder``.

    ``addresses`` maps a ``service:port`` of the text to its local address, or to ``None`` if it does not run here: then
    nothing scrapes it or sends to it. Other targets stay. Raises ``ToolingError`` if the text is no configuration.
    """
    try:
        document = yaml.safe_load(text)
        alertmanagers = document.get("alerting", {}).get("alertmanagers", [])
        for configuration in [*document.get("scrape_configs", []), *alertmanagers]:
            for group in configuration.get("static_configs", []):
                local = (addresses.get(target, target) for target in group["targets"])
                group["targets"] = [target for target in local if target is not None]
        document["rule_files"] = [str(folder / path) for path in document.get("rule_files", [])]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ToolingError(f"prometheus.yml is not a configuration of Prometheus: {error}") from error
    derived: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return derived
