"""Exporters that are killed, disks that are full, folders that cannot be written: with real processes and disks."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.storage.schema import FILE_NAME
from exporter.storage.writer import Storage
from exporter.web.server import serve
from tests.waiting import wait_for
from tooling.checkout import ROOT

pytestmark = pytest.mark.integration

CLIPPER = """
import sys
from exporter import SharedStats
from exporter.storage.writer import Storage
store = SharedStats.create()
storage = Storage(store, sys.argv[1])
count = sum(row.triggers["keyword"] for row in store.rows())
print(count, flush=True)
while True:
    for number in range(10):
        store.add_trigger(f"streamer {number}", "keyword")
    if storage.flush():
        count += 10
        print(count, flush=True)
"""


def test_kills_lose_nothing_and_count_nothing_twice(prometheus_program: Path) -> None:
    """The benchmark ends with status 0 only if every trigger was counted once, by the exporter and by PromQL."""
    assert prometheus_program.exists()
    command = [sys.executable, "-W", "error", "-m", "benchmarks", "crash", "--kills=5", "--seed=3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
    assert int(found["posted"]) > 1000
    assert float(found["increase"]) >= int(found["posted"]), "Prometheus saw it as well"


def test_what_was_flushed_outlives_a_kill_of_the_clipper_itself(tmp_path: Path) -> None:
    moments = random.Random(5)
    flushed = 0
    for _ in range(8):
        clipper = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLIPPER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert clipper.stdout is not None
        restored = int(clipper.stdout.readline())
        # Ten more may have been on their way to the disk.
        assert flushed <= restored <= flushed + 10
        killer = threading.Timer(moments.uniform(0.0, 0.3), clipper.kill)
        killer.start()
        flushed = int(([str(restored), *clipper.stdout.read().split()])[-1])
        clipper.wait(20)
        clipper.stdout.close()
        killer.join()
    assert flushed > 100


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A disk of its own in memory; skips where this process may not mount one."""
    folder = Path(tempfile.mkdtemp())
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"cannot mount a disk here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk_is_told_and_served_through(tmp_path: Path) -> None:
    with small_disk("512k") as disk:
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=disk) as server:
            store.add_trigger("xQc", "keyword")
            assert server.flush(20)
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space left"):
                filler.write_bytes(b"\0" * 1024 * 1024)
            body = {"triggers": [{"streamer": f"s{n}", "type": "keyword", "id": str(n)} for n in range(500)]}
            answer = requests.post(server.url + "/api/stats", json=body, timeout=10)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert "\nclipper_exporter_storage_up 0.0\n" in text
            assert '\nclipper_exporter_storage_errors_total{reason="full"} 0.0\n' not in text
            assert 'clipper_triggers_total{streamer="s7",type="keyword"} 1.0\n' in text
            filler.unlink()
            wait_for(lambda: server.flush(5))
            answer = requests.post(server.url + "/api/stats", json=body, timeout=10)
            assert (answer.status_code, answer.json()["duplicates"]) == (200, 500)
            (tmp_path / FILE_NAME).write_bytes((disk / FILE_NAME).read_bytes())
            (tmp_path / f"{FILE_NAME}-wal").write_bytes((disk / f"{FILE_NAME}-wal").read_bytes())
    again = SharedStats.create()
    Storage(again, tmp_path).close()
    assert sum(row.triggers["keyword"] for row in again.rows()) == 501


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_read_only_disk_is_told_and_served_through(caplog: pytest.LogCaptureFixture) -> None:
    with small_disk("1m") as disk:
        first = SharedStats.create()
        first.add_trigger("xQc", "keyword")
        Storage(first, disk).close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=disk) as server:
            assert "not writable; allow the exporter's user to write the folder" in caplog.text
            store.add_trigger("xQc", "keyword")
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert 'clipper_triggers_total{streamer="xQc",type="keyword"} 1.0\n' in text
            assert "\nclipper_exporter_storage_up 0.0\n" in text
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            wait_for(lambda: server.flush(5))
            assert store.rows()[0].triggers["keyword"] == 2


def test_two_exporters_on_one_folder_end_the_second(tmp_path: Path) -> None:
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path) as server:
        assert server.flush(20)
        command = ["serve", "--web.listen-address=127.0.0.1:0", f"--storage.path={tmp_path}"]
        second = subprocess.run(
            [sys.executable, "-W", "error", "-m", "exporter", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert "another exporter writes here; give each exporter its own folder" in second.stderr
        assert "Traceback" not in second.stderr
        assert server.flush(20)
