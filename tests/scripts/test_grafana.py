"""How Grafana's own code is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tooling import grafana
from tooling.checkout import ToolingError


def test_an_archive_that_is_another_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "package.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(ToolingError, match=r"@grafana/prometheus@[\d.]+: expected sha512-\S+, got sha512-\S+"):
        grafana._verify(archive)
