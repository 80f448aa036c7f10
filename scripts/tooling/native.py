"""The very configuration that Prometheus has under Docker Compose, made to run natively.

Two things differ outside of Compose: services have no names, and paths are not relative to the container's
``/etc/prometheus``. Both are replaced in a copy that is made at every start, so that there is no second file to keep in
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tooling.checkout import ROOT, ToolingError

CONFIGURATION: Final = ROOT / "prometheus.yml"
EXPORTER: Final = "exporter:9309"
PROMETHEUS: Final = "localhost:9090"
ALERTMANAGER: Final = "alertmanager:9093"


def derive(text: str, folder: Path, addresses: Mapping[str, str | None]) -> str:
    """Return the configuration ``text`` with local ``addresses``, and its rule files found from ``folder``.

    ``addresses`` maps each ``service:port`` of the text to where it is here, or to ``None`` if it does not run here:
    then nothing scrapes it or sends to it. Raises ``ToolingError`` if a target has no address given, if an
    address given is no target, or if the text finds targets in a way other than ``static_configs``.
    """
    document = yaml.safe_load(text)
    if not isinstance(document, dict):
        raise ToolingError("prometheus.yml: expected a mapping at the top")
    replaced: set[str] = set()
    if "scrape_configs" in document:
        document["scrape_configs"] = _local(document["scrape_configs"], addresses, replaced)
    alertmanagers = document.get("alerting", {}).get("alertmanagers")
    if alertmanagers is not None:
        document["alerting"]["alertmanagers"] = _local(alertmanagers, addresses, replaced)
    if unused := sorted(set(addresses) - replaced):
        raise ToolingError(f"prometheus.yml has no target {', '.join(unused)}, for which a local address is given")
    if "rule_files" in document:
        document["rule_files"] = [str(folder / path) for path in document["rule_files"]]
    result: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return result


def _local(
    configurations: list[dict[str, Any]], addresses: Mapping[str, str | None], replaced: set[str]
) -> list[dict[str, Any]]:
    """Return the scrape or alertmanager ``configurations`` with local targets, without those that have none left."""
    kept = []
    for configuration in configurations:
        named = configuration.get("job_name", "alertmanagers")
        if foreign := [key for key in configuration if key.endswith(("_sd_configs", "_file"))]:
            raise ToolingError(f"prometheus.yml: {named}: {foreign[0]} has no native form; use static_configs")
        groups = []
        for group in configuration.get("static_configs", []):
            targets = [_address(target, named, addresses) for target in group["targets"]]
            replaced.update(group["targets"])
            if here := [target for target in targets if target is not None]:
                groups.append({**group, "targets": here})
        if groups:
            kept.append({**configuration, "static_configs": groups})
    return kept


def _address(target: str, named: str, addresses: Mapping[str, str | None]) -> str | None:
    if target not in addresses:
        raise ToolingError(f"prometheus.yml: {named}: no local address is given for the target {target!r}")
    return addresses[target]
