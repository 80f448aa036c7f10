from __future__ import annotations

import sys

import pytest

from tooling.checkout import ToolingError, run


def test_the_output_is_returned_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([sys.executable, "-c", "print('one'); print('two')"]) == ["one", "two"]
    assert capfd.readouterr() == ("", "")


def test_a_failure_is_quoted() -> None:
    with pytest.raises(ToolingError, match=r"(?s)failed with status 4:\n  why it failed$"):
        run([sys.executable, "-c", "print('why it failed'); raise SystemExit(4)"])


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ToolingError, match="cannot run no-such-command: No such file or directory"):
        run(["no-such-command"])
