"""RemoteStats as whole processes use it: by the environment, at their exit, and over forks."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter import RemoteStats, SharedStats
from exporter.settings.settings import unknown_variables
from exporter.web.server import Server, serve
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse"
WRITE = "from exporter import shared_stats as s; s.update_viewers('xQc', 5); s.add_trigger('xQc', 'raid');"


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def server(store: SharedStats) -> Iterator[Server]:
    with serve(0, stats=store, registry=CollectorRegistry(), push_token=TOKEN) as server:
        yield server


def run_python(code: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *(["-c", code] if isinstance(code, str) else [str(code)])],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


def run_clipper(code: str | Path, server: Server, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_python(code, **({"CLIPPER_EXPORTER_URL": server.url, "CLIPPER_EXPORTER_TOKEN": TOKEN} | environment))


def test_the_environment_makes_the_shared_store_remote_and_the_exit_flushes_it(
    server: Server, store: SharedStats
) -> None:
    done = run_clipper(f"{WRITE} print(type(s).__name__, type(s)() is s, s.viewer_counts)", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "RemoteStats True {'xQc': 5}\n", "")
    [row] = store.rows()
    assert (row.viewers, row.triggers["raid"]) == (5, 1)


def test_the_exit_of_a_clipper_that_failed_flushes_as_well(server: Server, store: SharedStats) -> None:
    done = run_clipper(f"{WRITE} raise ZeroDivisionError", server)
    assert done.returncode == 1
    assert store.rows()[0].triggers["raid"] == 1


def test_the_exit_does_not_wait_long_for_an_exporter_that_is_away() -> None:
    done = run_python(
        "from exporter import RemoteStats; s = RemoteStats('http://127.0.0.1:9', exit_timeout=0.2);"
        " s.add_trigger('xQc', 'raid')"
    )
    assert done.returncode == 0
    assert "1 triggers, clips and clears were not delivered, and are dropped" in done.stderr


def test_the_token_may_be_in_a_file(server: Server, store: SharedStats, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    done = run_clipper(WRITE, server, CLIPPER_EXPORTER_TOKEN="", CLIPPER_EXPORTER_TOKEN_FILE=str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert store.viewer_counts == {"xQc": 5}


def test_a_wrong_token_is_told_and_does_not_print(server: Server, store: SharedStats) -> None:
    done = run_clipper(f"{WRITE} s.flush(0.2); s.close(0)", server, CLIPPER_EXPORTER_TOKEN="wrong-battery")
    assert done.returncode == 0
    assert (
        "status 401 (missing or wrong push token: send the header Authorization: Bearer <token>; POST /api/stats)"
        in done.stderr
    )
    assert "wrong-battery" not in done.stderr
    assert store.rows() == []


@pytest.mark.parametrize(
    ("environment", "mistake"),
    [
        (
            {"CLIPPER_EXPORTER_URL": "me:secret@localhost:9309"},
            "CLIPPER_EXPORTER_URL: expected an address such as http://127.0.0.1:9309, got '***@localhost:9309'",
        ),
        (
            {"CLIPPER_EXPORTER_TOKEN": "not one word"},
            "CLIPPER_EXPORTER_TOKEN: expected one word of ASCII characters",
        ),
        (
            {"CLIPPER_EXPORTER_TOKEN": "", "CLIPPER_EXPORTER_TOKEN_FILE": "/no/such/file"},
            "CLIPPER_EXPORTER_TOKEN_FILE: /no/such/file cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_mistake_in_the_environment_is_told_and_the_store_is_a_local_one(
    server: Server, environment: dict[str, str], mistake: str
) -> None:
    done = run_clipper(f"{WRITE} print(type(s).__name__, s.viewer_counts)", server, **environment)
    assert (done.returncode, done.stdout) == (0, "SharedStats {'xQc': 5}\n")
    assert done.stderr == f"nothing is pushed to an exporter: {mistake}\n"


def test_the_options_of_the_environment_hold(server: Server) -> None:
    code = "from exporter import shared_stats as s; s.update_viewers('a', 1); s.update_viewers('b', 1);"
    done = run_clipper(f"{code} print(s.viewer_counts)", server, CLIPPER_EXPORTER_LIMIT_STREAMERS="1")
    assert done.stdout == "{'a': 1}\n"
    assert "update refused: streamer: limit reached (1)" in done.stderr
    done = run_clipper(WRITE + " s.update_viewers('xQc', -1)", server, CLIPPER_EXPORTER_STRICT="1")
    assert done.returncode == 1
    assert "InvalidUpdate: viewers: expected a finite number of at least 0, got -1" in done.stderr


@pytest.mark.parametrize(("variable", "kept"), [({}, 0.0), ({"CLIPPER_EXPORTER_STATS_STALE_AFTER": "90s"}, 90.0)])
def test_a_stream_ends_with_its_process_unless_the_environment_says_otherwise(
    server: Server, variable: dict[str, str], kept: float
) -> None:
    done = run_clipper("from exporter import shared_stats as s; print(s._state._stale_after)", server, **variable)
    assert float(done.stdout) == kept


def test_importing_loads_an_http_client_only_if_the_environment_asks_for_one(server: Server) -> None:
    code = (
        "import sys, threading; from exporter import shared_stats;"
        " print('requests' in sys.modules, threading.active_count())"
    )
    assert run_python(code).stdout == "False 1\n"
    assert run_clipper(code, server).stdout == "True 1\n"


def test_the_variables_are_known() -> None:
    names = {"CLIPPER_EXPORTER_URL", "CLIPPER_EXPORTER_TOKEN", "CLIPPER_EXPORTER_TOKEN_FILE"}
    assert unknown_variables(dict.fromkeys([*names, "CLIPPER_EXPORTER_URI"], "x")) == ["CLIPPER_EXPORTER_URI"]


FORKED = """
import os, sys
from exporter import shared_stats as s
s.update_viewers("parent", 1)
s.add_trigger("parent", "raid")
child = os.fork()
if child == 0:
    assert s.viewer_counts == {}, s.viewer_counts
    s.update_viewers("child", 2)
    s.add_trigger("child", "raid")
    arrived = s.flush(15)
    os._exit(0 if arrived else 1)
_, status = os.waitpid(child, 0)
s.add_trigger("parent", "raid")
sys.exit(os.waitstatus_to_exitcode(status))
"""

MULTIPROCESSING = """
import multiprocessing
from exporter import shared_stats as s

def work(number):
    s.update_viewers(f"child {number}", number)
    s.add_trigger("shared", "raid")

if __name__ == "__main__":
    multiprocessing.set_start_method("METHOD")
    s.add_trigger("shared", "raid")
    children = [multiprocessing.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert not any(child.exitcode for child in children)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")
def test_a_forked_process_pushes_what_it_writes_and_nothing_of_its_parents(server: Server, store: SharedStats) -> None:
    done = run_clipper(FORKED, server)
    assert (done.returncode, done.stderr) == (0, "")
    assert store.viewer_counts == {"parent": 1, "child": 2}
    assert {row.streamer: row.triggers["raid"] for row in store.rows()} == {"parent": 2, "child": 1}


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_of_multiprocessing_flush_at_their_end(
    server: Server, store: SharedStats, method: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING.replace("METHOD", method), encoding="ascii")
    done = run_clipper(program, server)
    assert (done.returncode, done.stderr) == (0, "")
    assert store.viewer_counts == {"child 0": 0, "child 1": 1, "child 2": 2}
    assert {row.streamer: row.triggers.get("raid", 0) for row in store.rows()}["shared"] == 4


def test_serving_a_remote_store_serves_what_this_process_wrote(server: Server, store: SharedStats) -> None:
    store.update_viewers("of another process", 1)
    with (
        RemoteStats(server.url, TOKEN) as remote,
        serve(0, stats=remote, registry=CollectorRegistry()) as own,
    ):
        remote.update_viewers("xQc", 5)
        text = requests.get(f"{own.url}/metrics", timeout=10).text
        assert 'clipper_viewers{streamer="xQc"} 5.0\n' in text
        assert "of another process" not in text
        # What is pushed to it is pushed on.
        body = {"viewer_counts": {"shroud": 7}, "clips": [{"streamer": "shroud", "id": "1"}]}
        assert requests.post(f"{own.url}/api/stats", json=body, timeout=10).json()["applied"] == 2
        wait_for(lambda: store.viewer_counts == {"of another process": 1, "xQc": 5, "shroud": 7})
        assert remote.flush(15)
        assert store.get_clips_today("shroud") == 1
