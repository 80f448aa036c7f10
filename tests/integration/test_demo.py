"""The demo as people run it, except that its environment is the one the tests run in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tooling.checkout import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for stray processes in /proc, which is Linux's"),
]

RUN = "import sys; from pathlib import Path; from tooling.demo import run; from tooling.launch import launch; "


# A Prometheus that loses one streamer.
LOSSY = """#!{python}
import os, pathlib, sys, yaml
file = next(pathlib.Path(argument.partition("=")[2]) for argument in sys.argv if argument.startswith("--config.file="))
configuration = yaml.safe_load(file.read_text())
drop = {{"source_labels": ["streamer"], "regex": "asmr-night", "action": "drop"}}
configuration["scrape_configs"][0]["metric_relabel_configs"] = [drop]
file.write_text(yaml.safe_dump(configuration))
os.execv({program!r}, sys.argv)
"""


@contextmanager
def demo(
    tmp_path: Path, prometheus: Path | None, seconds: float | None, alertmanager: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run the demo; its output goes to ``tmp_path/output``, its temporary files to ``tmp_path/tmp``."""
    programs = ["None" if program is None else f"Path({str(program)!r})" for program in (prometheus, alertmanager)]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "TMPDIR": str(temporary)}
    with (tmp_path / "output").open("w") as output:
        command = [sys.executable, "-c", f"{RUN}launch(lambda: run({programs[0]}, {seconds}, {programs[1]}))"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for_output(tmp_path: Path, pattern: str, process: subprocess.Popen[str], deadline: float = 60.0) -> str:
    end = time.monotonic() + deadline
    while not re.search(pattern, text := (tmp_path / "output").read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < end, text
        time.sleep(0.05)
    return text


def left_behind(tmp_path: Path) -> list[str]:
    """Return the stray files of the demo, and the commands of processes that still use its folder or its ports."""
    urls = re.findall(r"http://(127\.0\.0\.1:\d+)/", (tmp_path / "output").read_text())
    traces = [str(tmp_path / "tmp"), *urls]
    commands = [command for _, command in _commands() if any(trace in command for trace in traces)]
    return commands + [str(file) for file in (tmp_path / "tmp").iterdir()]


def _commands() -> Iterator[tuple[int, str]]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            yield int(file.parent.name), file.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def test_ends_by_itself_when_prometheus_answers_right(tmp_path: Path, prometheus_program: Path) -> None:
    with demo(tmp_path, prometheus_program, seconds=6) as process:
        status = process.wait(120)
    output = (tmp_path / "output").read_text()
    assert status == 0, output
    last_table = output[output.rindex("streamer ") :]
    assert re.search(r"^asmr-night +[\d,]+ ", last_table, re.MULTILINE), output
    assert "right: PromQL agrees with /api/stats: 12 streamers" in last_table
    assert left_behind(tmp_path) == []


def test_alertmanager_runs_with_it(tmp_path: Path, prometheus_program: Path, alertmanager_program: Path) -> None:
    with demo(tmp_path, prometheus_program, seconds=6, alertmanager=alertmanager_program) as process:
        output = wait_for_output(tmp_path, r"waiting for alertmanager .* there after[^$]*\nalerts: none fires", process)
        assert any("alertmanager.yml" in trace for trace in left_behind(tmp_path)), output
        assert process.wait(120) == 0
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, prometheus_program: Path, number: signal.Signals) -> None:
    with demo(tmp_path, prometheus_program, seconds=None) as process:
        wait_for_output(tmp_path, r"exporter http://127.0.0.1:\d+/  Prometheus http://", process)
        assert len(left_behind(tmp_path)) >= 3
        process.send_signal(number)
        assert process.wait(20) == 0
    assert left_behind(tmp_path) == []


def test_without_prometheus_the_exporter_is_the_source(tmp_path: Path) -> None:
    with demo(tmp_path, None, seconds=1) as process:
        status = process.wait(60)
    output = (tmp_path / "output").read_text()
    assert "read from the exporter's /api/stats, without Prometheus" in output
    assert re.search(r"^asmr-night +[\d,]+ ", output, re.MULTILINE), output
    assert output.endswith("ended without Prometheus\n")
    assert status == 1
    assert left_behind(tmp_path) == []


def test_a_streamer_that_prometheus_lacks_is_not_right(tmp_path: Path, prometheus_program: Path) -> None:
    lossy = tmp_path / "prometheus"
    lossy.write_text(LOSSY.format(python=sys.executable, program=str(prometheus_program)))
    lossy.chmod(0o755)
    with demo(tmp_path, lossy, seconds=3) as process:
        status = process.wait(120)
    output = (tmp_path / "output").read_text()
    assert status == 1, output
    assert output.endswith("not right: PromQL and /api/stats differ: 'asmr-night' is missing (1 such)\n")
    assert left_behind(tmp_path) == []


def test_an_exporter_that_dies_ends_the_demo(tmp_path: Path, prometheus_program: Path) -> None:
    with demo(tmp_path, prometheus_program, seconds=None) as process:
        output = wait_for_output(tmp_path, r"exporter http://(127.0.0.1:\d+)/  Prometheus http://", process)
        address = re.findall(r"exporter http://(127.0.0.1:\d+)/", output)[0]
        [pid] = [pid for pid, command in _commands() if f"demo --web.listen-address={address}" in command]
        os.kill(pid, signal.SIGKILL)
        assert process.wait(20) == 1
    assert "clipper-exporter ended with status -9; its last lines:\n" in (tmp_path / "output").read_text()
    assert left_behind(tmp_path) == []


def test_a_server_that_does_not_start_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with demo(tmp_path, Path(sys.executable), seconds=5) as process:
        status = process.wait(60)
    output = (tmp_path / "output").read_text()
    assert status == 1
    assert re.search(r"prometheus ended with status 2; its last lines:\n(.*\n)*  unknown option --config", output), (
        output
    )
    assert left_behind(tmp_path) == []
