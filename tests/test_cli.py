from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import exporter
from exporter.settings.settings import options
from exporter.web.server import serve


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
        timeout=60,
    )


class Running:
    """A ``clipper-exporter`` under way: ``url`` is where it said that it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line)
            if "listens on " in line:
                self.url = line.split("listens on ")[1].strip().rstrip('"}')
                break
        assert self.url, "".join(self.lines)
        self._rest = threading.Thread(target=lambda: self.lines.extend(process.stderr or ()))
        self._rest.start()

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(5)  # what the design allows
        self._rest.join(5)
        return status


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", *arguments, "--web.listen-address=127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"clipper-exporter {exporter.__version__}\n")


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_help_names_every_flag_with_its_variable_and_default(command: str) -> None:
    done = run(command, "--help", COLUMNS="200")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    for option in options().values():
        told = f"{option.flag} {option.metavar}"
        if option.part == "demo" and command == "serve":
            assert told not in text
        else:
            assert told in text
            assert f"{option.help} Default: {option.default or 'none'}. ({option.variable})" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (
            ("serve", "--web.listen-adress=:1"),
            "unrecognized arguments: --web.listen-adress=:1: did you mean --web.listen-address?",
        ),
        (("serve", "--web.listen"), "unrecognized arguments: --web.listen"),
        (("serve", "--demo.seed=1"), "unrecognized arguments: --demo.seed=1"),
    ],
)
def test_arguments_that_are_none_end_it_with_2(arguments: tuple[str, ...], told: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "demo", "health"])
def test_a_flag_that_there_is_not_is_told_with_the_usage_of_its_command(command: str) -> None:
    done = run(command, "--bogus")
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: clipper-exporter {command} [")
    assert done.stderr.endswith(f"clipper-exporter {command}: error: unrecognized arguments: --bogus\n")


@pytest.mark.parametrize("arguments", [("--web.listen-address=:9400", "serve"), ("--log.level", "debug", "serve")])
def test_a_flag_before_the_command_is_told_where_it_belongs(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    flag = arguments[0].partition("=")[0]
    assert f"{flag} comes before the command: write clipper-exporter COMMAND {flag}=..." in done.stderr


def test_a_mistake_in_a_variable_is_one_line() -> None:
    done = run("serve", CLIPPER_EXPORTER_LIMIT_STREAMERS="abc")
    assert done.returncode == 2
    told = "CLIPPER_EXPORTER_LIMIT_STREAMERS: 'abc' is not a whole number of at least 1"
    assert done.stderr == f"clipper-exporter: {told}\n"


def test_a_web_configuration_that_cannot_be_used_ends_it_with_2(tmp_path: Path) -> None:
    done = run("serve", f"--web.config.file={tmp_path / 'web.yml'}", "--web.listen-address=127.0.0.1:0")
    assert done.returncode == 2
    told = f"clipper-exporter: {tmp_path / 'web.yml'}: cannot be read (No such file or directory)"
    assert done.stderr == f"{told}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_terminal_is_told_where_to_look(command: str) -> None:
    import pty  # noqa: PLC0415 - not on Windows

    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "exporter", command, "--web.listen-address=127.0.0.1:0"]
    with (
        subprocess.Popen(arguments, stderr=theirs) as process,
        os.fdopen(ours, encoding="utf-8", newline="") as terminal,
    ):
        os.close(theirs)
        try:
            line = next(line for line in terminal if line.startswith("Open "))
            url = line.split()[1]
            assert line == f"Open {url} in a browser. Ctrl-C ends it.\r\n"
            assert requests.get(url, timeout=10).headers["Content-Type"].startswith("text/html")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0


def test_every_mistake_is_told_at_once() -> None:
    done = run("serve", "--log.level=loud", "--limit.streamers=0", CLIPPER_EXPORTER_WEB_TELEMETRY_PATH="metrics")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("clipper-exporter: ")]
    assert [line.split(": ")[1] for line in lines] == [
        "CLIPPER_EXPORTER_WEB_TELEMETRY_PATH",
        "--limit.streamers",
        "--log.level",
    ]
    assert "Traceback" not in done.stderr


def test_a_port_in_use_ends_it_with_1_and_one_line() -> None:
    with serve(0) as first:
        done = run("serve", f"--web.listen-address=127.0.0.1:{first.port}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert (
        f'msg="cannot listen on 127.0.0.1:{first.port}: another program listens there; choose another port'
        ' (--web.listen-address, or port of serve()), or 0 for a free one"\n'
    ) in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_signal_stops_it_with_0(command: str, number: signal.Signals) -> None:
    with running(command) as exporter_:
        assert requests.get(exporter_.url + "/-/ready", timeout=10).status_code == 200
        assert exporter_.stop(number) == 0
    assert any(f"stopping on {number.name}" in line for line in exporter_.lines)


def test_a_signal_stops_it_while_clients_stay_connected() -> None:
    with running("serve") as exporter_, requests.Session() as session:
        session.get(exporter_.url + "/metrics", timeout=10)
        assert exporter_.stop(signal.SIGTERM) == 0


def test_the_demo_plays_twelve_streamers() -> None:
    with running("demo") as exporter_:
        deadline = time.monotonic() + 30
        while len(requests.get(exporter_.url + "/api/stats", timeout=10).json()["viewer_counts"]) < 12:
            assert time.monotonic() < deadline
            time.sleep(0.1)  # between looks at a condition that the loop waits for
        assert exporter_.stop(signal.SIGTERM) == 0


def test_the_demo_goes_on_at_a_limit() -> None:
    with running("demo", "--limit.streamers=5") as exporter_:
        deadline = time.monotonic() + 30
        while 'updates_rejected_total{reason="too_many_streamers"} 0.0' in (
            text := requests.get(exporter_.url + "/metrics", timeout=10).text
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)  # between looks at a condition that the loop waits for
        assert "clipper_exporter_streamers 5.0\n" in text
        assert len(requests.get(exporter_.url + "/api/stats", timeout=10).json()["viewer_counts"]) <= 5
        assert exporter_.stop(signal.SIGTERM) == 0


def test_json_logs_and_an_unknown_variable() -> None:
    with running("serve", "--log.format=json", CLIPPER_EXPORTER_LOGLEVEL="debug") as exporter_:
        assert exporter_.stop(signal.SIGTERM) == 0
    records = [json.loads(line) for line in exporter_.lines]
    told = "CLIPPER_EXPORTER_LOGLEVEL: did you mean CLIPPER_EXPORTER_LOG_LEVEL?"
    assert records[0]["msg"] == f"unknown environment variable {told}"
    assert {record["level"] for record in records} == {"warn", "info"}


def test_counters_go_on_from_where_they_were(tmp_path: Path) -> None:
    body = {"triggers": [{"streamer": "xQc", "type": "keyword"}]}
    for count in range(1, 4):
        with running("serve", f"--storage.path={tmp_path / 'kept'}") as exporter_:
            requests.post(exporter_.url + "/api/stats", json=body, timeout=10).raise_for_status()
            text = requests.get(exporter_.url + "/metrics", timeout=10).text
            assert f'clipper_triggers_total{{streamer="xQc",type="keyword"}} {count}.0\n' in text
            assert exporter_.stop(signal.SIGTERM) == 0


def test_a_storage_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("serve", "--web.listen-address=127.0.0.1:0", f"--storage.path={tmp_path / 'file'}")
    assert done.returncode == 1
    assert f"storage {tmp_path / 'file'}: not a folder: this path, or a part of it, is a file" in done.stderr
    assert "Traceback" not in done.stderr
