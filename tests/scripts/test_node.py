"""How packages of npm are fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tooling import node
from tooling.node import GRAFANA, SOCKETIO_CLIENT, Packages

ALL = pytest.mark.parametrize("packages", [GRAFANA, SOCKETIO_CLIENT], ids=lambda packages: packages.name)


@ALL
def test_a_lock_file_names_no_registry(packages: Packages) -> None:
    locked = json.loads((packages.locked / "package-lock.json").read_text(encoding="utf-8"))
    found = {name: package for name, package in locked["packages"].items() if name}
    assert found
    assert all("resolved" not in package for package in found.values())
    assert all(package["integrity"].startswith("sha512-") for package in found.values())
    asked = json.loads((packages.locked / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert locked["packages"][""]["dependencies"] == asked
    assert all(found[f"node_modules/{name}"]["version"] == version for name, version in asked.items())


@ALL
def test_what_was_fetched_for_another_lock_file_is_not_found(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "TOOLS", tmp_path / "tools")
    assert packages.find() is None
    packages.home.mkdir(parents=True)
    assert packages.find() is None, "it is not complete"
    (packages.home / "complete").touch()
    found = packages.find()
    assert found is not None
    assert found.folder == packages.home
    changed = Path(shutil.copytree(packages.locked, tmp_path / "locked"), "package-lock.json")
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert packages._replace(locked=changed.parent).find() is None
