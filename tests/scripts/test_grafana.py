"""How Grafana's own code is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tooling import grafana
from tooling.checkout import ToolingError


def test_the_lock_file_names_no_registry() -> None:
    locked = json.loads((grafana.LOCKED / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in locked["packages"].items() if name}
    assert len(packages) > 100
    assert all("resolved" not in package for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    asked = json.loads((grafana.LOCKED / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert locked["packages"][""]["dependencies"] == asked
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in asked.items())


def test_an_archive_that_is_another_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "package.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(ToolingError, match=r"@grafana/prometheus@[\d.]+: expected sha512-\S+, got sha512-\S+"):
        grafana._verify(archive)


def test_what_was_fetched_for_another_lock_file_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana, "TOOLS", tmp_path)
    assert grafana.find() is None
    home = grafana._home()
    home.mkdir(parents=True)
    assert grafana.find() is None, "it is not complete"
    (home / "complete").touch()
    found = grafana.find()
    assert found is not None
    assert found.folder == home
    monkeypatch.setattr(grafana, "DATA_SOURCE", "@grafana/prometheus@0.0.0")
    assert grafana.find() is None
