from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tooling.checkout import ToolingError
from tooling.commands import run


def test_shows_what_it_is_asked_to_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([sys.executable, "-c", "print('Collecting a'); print('noise')"], tmp_path, echo=("Collecting",))
    assert capsys.readouterr().out == "  Collecting a\n"


def test_a_failure_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ToolingError, match=r"(?s)failed with status 4:\n  why it failed$"):
        run([sys.executable, "-c", "print('why it failed'); raise SystemExit(4)"], tmp_path)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolingError, match="cannot run no-such-command: No such file or directory"):
        run(["no-such-command"], tmp_path)


def test_temporary_files_go_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import tempfile; print('file', tempfile.mkdtemp())"
    run([sys.executable, "-c", code], tmp_path, echo=("file",))
    left = Path(capsys.readouterr().out.split()[1])
    assert left.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []
