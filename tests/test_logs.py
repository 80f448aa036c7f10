from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from exporter import logs
from tests.clock import FakeClock


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_one_kind_of_problem_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    limited = logs.RateLimited(logging.getLogger("test"), every=10, clock=clock)
    for number in range(4):
        limited.warning("a", f"a {number}")
    limited.warning("b", "b 0")
    clock.pass_by(9.9)
    limited.warning("a", "a 4")
    clock.pass_by(0.1)
    limited.warning("a", "a 5")
    clock.pass_by(10)
    limited.warning("a", "a 6")
    assert [record.getMessage() for record in caplog.records] == [
        "a 0",
        "b 0",
        "a 5 (4 more of this kind since the last such line)",
        "a 6",
    ]


def fields(line: str) -> dict[str, str]:
    return {key: json.loads(value) if value.startswith('"') else value for key, value in _pairs(line)}


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    while line:
        key, _, line = line.partition("=")
        if line.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(line)
            yield key, json.dumps(value)
            line = line[end + 1 :]
        else:
            value, _, line = line.partition(" ")
            yield key, value


@pytest.mark.parametrize("style", logs.FORMATS)
def test_a_record_is_one_line_whatever_it_says(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", style)
    message = 'a "quoted" = line\nlevel=error msg=forged \u2028 \x1b[31m \\'
    logging.getLogger("exporter.x").warning("%s", message)
    logging.getLogger("exporter.x").debug("not told")
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.isascii()
    assert "\x1b" not in printed
    told = json.loads(printed) if style == "json" else fields(printed.rstrip("\n"))
    assert told.pop("ts").endswith("+00:00")
    assert told == {"level": "warn", "logger": "exporter.x", "msg": message}


def test_an_exception_stays_on_its_records_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "logfmt")
    try:
        int("x")
    except ValueError:
        logging.getLogger().exception("failed")
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert 'level=error logger=root msg=failed error="Traceback' in printed
