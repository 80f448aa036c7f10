from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.errors import StorageError
from exporter.metrics import FAMILIES, STORAGE_COMMITS, STORAGE_ERRORS, STORAGE_LAG, STORAGE_SIZE, STORAGE_UP
from exporter.storage.database import Database
from exporter.storage.problems import Problem
from exporter.storage.schema import FILE_NAME
from exporter.storage.writer import GATHER, Storage
from exporter.store.validation import Limits
from exporter.web.server import serve
from tests.batches import apply
from tests.clock import FakeClock
from tests.own import own_value
from tests.waiting import wait_for

ZEROS = {"viewer_spike": 0, "chat_velocity": 0, "keyword": 0, "emote_flood": 0}
Open = Callable[..., tuple[SharedStats, Storage]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_store(clock: FakeClock, tmp_path: Path) -> Iterator[Open]:
    """A store and its storage, as after a start; all storages are closed with the test."""
    storages = []

    def start(folder: Path = tmp_path, **options: Any) -> tuple[SharedStats, Storage]:
        store = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"), **options)
        storage = Storage(store, folder, gather=0, retry=0.01, lock_wait=0.05)
        storages.append(storage)
        return store, storage

    yield start
    for storage in storages:
        storage.close()


def kept(store: SharedStats) -> dict[str, Any]:
    """All that is to outlive the store."""
    return {
        "rows": {row.streamer: (row.triggers, row.last_triggers, row.clips) for row in store.rows()},
        "recent": store.recent_triggers,
        "clips_today": store.get_all_stats()["clips_today"],
    }


class TestRestart:
    """The life-cycle table's column "restart, storage", and what a restart does to the other columns."""

    def test_counters_go_on_and_gauges_do_not_come_back(self, open_store: Open, clock: FakeClock) -> None:
        store, storage = open_store()
        store.add_trigger("xQc", "viewer_spike", {"spike": 15000})
        store.add_trigger("xQc", "raid")
        store.increment_clips_today("xQc")
        store.update_viewers("xQc", 45000)
        store.update_velocity("xQc", 12.5)
        store.update_recording_status("xQc", True)
        before, triggered = store.recent_triggers, clock.now
        storage.close()
        clock.pass_by(60)
        store, _ = open_store()
        (row,) = store.rows()
        assert row.triggers == {**ZEROS, "viewer_spike": 1, "raid": 1}
        assert row.last_triggers == {"viewer_spike": triggered, "raid": triggered}
        assert row.clips == 1
        assert (row.viewers, row.velocity, row.recording, row.updated) == (None, None, None, None)
        assert store.recent_triggers == before
        assert store.get_clips_today("xQc") == 1
        store.add_trigger("xQc", "viewer_spike")
        assert store.rows()[0].triggers["viewer_spike"] == 2

    def test_the_last_update_is_absent_until_there_is_one(self, tmp_path: Path) -> None:
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path) as server:
            answer = requests.post(
                server.url + "/api/stats", json={"triggers": [{"streamer": "xQc", "type": "keyword"}]}, timeout=10
            )
            assert answer.status_code == 200
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=tmp_path) as server:
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert 'clipper_triggers_total{streamer="xQc",type="keyword"} 1.0\n' in text
            assert "clipper_last_update_timestamp_seconds{" not in text
            store.update_viewers("xQc", 1)
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert 'clipper_last_update_timestamp_seconds{streamer="xQc"}' in text

    def test_a_streamer_has_stale_after_from_the_restart(self, open_store: Open, clock: FakeClock) -> None:
        store, storage = open_store(stale_after=300)
        store.add_trigger("xQc", "keyword")
        store.add_trigger("shroud", "keyword")
        storage.close()
        clock.pass_by(86400)
        store, storage = open_store(stale_after=300)
        clock.pass_by(299)
        store.update_viewers("xQc", 1)
        assert {row.streamer for row in store.rows()} == {"xQc", "shroud"}
        clock.pass_by(2)
        assert {row.streamer for row in store.rows()} == {"xQc"}
        storage.close()
        assert {row.streamer for row in open_store()[0].rows()} == {"xQc"}

    def test_a_cleared_streamer_stays_cleared_and_its_history_stays(self, open_store: Open) -> None:
        store, storage = open_store()
        store.add_trigger("xQc", "raid")
        store.increment_clips_today("xQc")
        assert storage.flush(20)
        store.clear_streamer_stats("xQc")
        storage.close()
        store, storage = open_store()
        assert store.rows() == []
        assert [entry["type"] for entry in store.recent_triggers] == ["raid"]
        assert store.get_clips_today("xQc") == 1
        store.add_trigger("xQc", "keyword")
        storage.close()
        assert open_store()[0].rows()[0].triggers == {**ZEROS, "keyword": 1}

    def test_reset_all_forgets_on_disk_too(self, open_store: Open) -> None:
        store, storage = open_store()
        store.add_trigger("xQc", "raid")
        store.increment_clips_today("xQc")
        assert storage.flush(20)
        store.reset_all()
        storage.close()
        assert kept(open_store()[0]) == {"rows": {}, "recent": [], "clips_today": {}}

    @pytest.mark.parametrize("away", ["while it is down", "while it runs"])
    def test_clips_today_end_with_their_day(self, open_store: Open, clock: FakeClock, away: str) -> None:
        store, storage = open_store(stale_after=0)
        store.increment_clips_today("xQc")
        if away == "while it is down":
            storage.close()
            clock.pass_by(86400)
            store, storage = open_store(stale_after=0)
        else:
            clock.pass_by(86400)
        assert store.get_clips_today("xQc") == 0
        store.increment_clips_today("shroud")
        storage.close()
        store, _ = open_store(stale_after=0)
        assert store.get_all_stats()["clips_today"] == {"shroud": 1}
        assert store.rows()[0].clips == 1

    def test_ids_are_known_again(self, open_store: Open) -> None:
        body = {"source": "me", "triggers": [{"streamer": "xQc", "type": "keyword", "id": "1"}]}
        store, storage = open_store()
        assert apply(store, body) == (1, 0)
        storage.close()
        store, storage = open_store()
        assert apply(store, body) == (0, 1)
        assert apply(store, {**body, "source": "you"}) == (1, 0)
        storage.close()
        store, storage = open_store()
        assert apply(store, {**body, "source": "you"}) == (0, 1)
        assert store.rows()[0].triggers["keyword"] == 2

    def test_names_of_every_kind_come_back_equal(self, open_store: Open) -> None:
        names = [
            "a\0b",
            'q"uote',
            "back\\slash",
            "new\nline",
            "\u2028\u202eאב",
            "\U0001f3ae",
            "'; DROP TABLE ids; --",
            " ",
        ]
        store, storage = open_store()
        for name in names:
            store.add_trigger(name, name, {name: name})
            store.increment_clips_today(name)
        before = kept(store)
        storage.close()
        store, _ = open_store()
        assert kept(store) == before
        assert [row.streamer for row in store.rows()] == names

    def test_other_declared_types_and_lower_limits_lose_nothing(self, open_store: Open) -> None:
        store, storage = open_store()
        for name in ("xQc", "shroud"):
            store.add_trigger(name, "keyword")
            store.add_trigger(name, "raid")
        storage.close()
        store, storage = open_store(trigger_types=["raid"], limits=Limits(streamers=1, trigger_types=2))
        assert [row.triggers for row in store.rows()] == [{"raid": 1, "keyword": 1}] * 2
        with pytest.raises(ValueError, match=r"streamer: limit reached \(1\)"):
            store.update_viewers("new", 1)
        with pytest.raises(ValueError, match=r"trigger_type: limit reached \(2\)"):
            store.add_trigger("xQc", "new")
        # Nor does a batch, which is refused whole, for what there is already.
        known = [{"streamer": "xQc", "type": kind} for kind in ("raid", "keyword")]
        assert apply(store, {"viewer_counts": {"xQc": 1, "shroud": 2}, "triggers": known}) == (4, 0)
        with pytest.raises(ValueError, match=r"body: too many streamers: 3 "):
            apply(store, {"viewer_counts": {"xQc": 1, "new": 1}})
        with pytest.raises(ValueError, match=r"body: too many trigger types: 3 "):
            apply(store, {"triggers": [{"streamer": "xQc", "type": "new"}]})
        with pytest.raises(ValueError, match=r"body: too many streamers: 2 "):
            apply(store, {"cleared": ["shroud"], "viewer_counts": {"new": 1}})
        assert apply(store, {"cleared": ["shroud", "xQc"], "viewer_counts": {"new": 1}}) == (3, 0)
        for name in ("xQc", "new"):
            store.clear_streamer_stats(name)
        store.add_trigger("new", "new")

    def test_what_was_counted_before_serving_is_added(self, open_store: Open, clock: FakeClock, tmp_path: Path) -> None:
        first, storage = open_store()
        first.add_trigger("xQc", "keyword")
        first.increment_clips_today("xQc")
        storage.close()
        clock.pass_by(10)
        second = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"))
        second.add_trigger("xQc", "keyword")
        second.increment_clips_today("xQc")
        second.update_viewers("xQc", 7)
        version = second.version
        Storage(second, tmp_path).close()
        assert second.follow(version).take().start_again
        assert second.rows()[0].triggers["keyword"] == 2
        assert (second.rows()[0].viewers, second.rows()[0].clips, second.get_clips_today("xQc")) == (7, 2, 2)
        assert len(second.recent_triggers) == 2
        assert kept(open_store()[0]) == kept(second)

    def test_midnight_ends_the_day_and_keeps_the_counters(self, open_store: Open, clock: FakeClock) -> None:
        store, storage = open_store(stale_after=0)
        for _ in range(3):
            store.add_trigger("xQc", "keyword")
        store.increment_clips_today("xQc")
        assert storage.flush(20)
        clock.pass_by(86_400)
        assert store.get_clips_today("xQc") == 0
        storage.close()
        again, _ = open_store()
        assert kept(again) == kept(store)

    def test_serving_twice_counts_once(self, open_store: Open, tmp_path: Path) -> None:
        store, storage = open_store()
        store.add_trigger("xQc", "keyword")
        storage.close()
        store.add_trigger("xQc", "keyword")
        Storage(store, tmp_path).close()
        assert store.rows()[0].triggers["keyword"] == 2
        assert kept(open_store()[0]) == kept(store)


class TestCommits:
    def test_a_change_is_on_disk_by_itself_soon(self, tmp_path: Path) -> None:
        assert GATHER < 0.1
        store = SharedStats.create()
        storage = Storage(store, tmp_path)
        try:
            assert storage.flush(20)
            before = own_value(storage.own, STORAGE_COMMITS)
            store.add_trigger("xQc", "keyword")
            wait_for(lambda: own_value(storage.own, STORAGE_COMMITS) > before)
        finally:
            storage.close()

    def test_many_waiters_share_a_commit(self, open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        store, storage = open_store()
        assert storage.flush(20)
        writing, go_on = threading.Event(), threading.Event()
        write = Database.write

        def slowly(database: Database, *arguments: Any) -> None:
            writing.set()
            assert go_on.wait(20)
            write(database, *arguments)

        monkeypatch.setattr(Database, "write", slowly)
        before = own_value(storage.own, STORAGE_COMMITS)
        store.add_trigger("xQc", "keyword")
        first = storage.committed()
        assert writing.wait(20)
        futures = []
        for _ in range(100):
            store.add_trigger("xQc", "keyword")
            futures.append(storage.committed())
        assert not any(future.done() for future in [first, *futures])
        assert own_value(storage.own, STORAGE_LAG) > 0
        go_on.set()
        for future in [first, *futures]:
            future.result(20)
        assert own_value(storage.own, STORAGE_COMMITS) == before + 2
        assert own_value(storage.own, STORAGE_LAG) == 0

    def test_gauges_alone_are_not_written(self, open_store: Open) -> None:
        store, storage = open_store()
        assert storage.flush(20)
        before = own_value(storage.own, STORAGE_COMMITS)
        for number in range(100):
            store.update_viewers("xQc", number)
        assert storage.flush(20)
        assert own_value(storage.own, STORAGE_COMMITS) == before

    def test_more_events_at_once_than_are_logged_are_kept_all_the_same(self, open_store: Open) -> None:
        store, storage = open_store()
        store.add_trigger("gone", "keyword")
        assert storage.flush(20)
        store.clear_streamer_stats("gone")
        many = [{"streamer": f"s{number % 7}", "type": "keyword", "id": str(number)} for number in range(15_000)]
        apply(store, {"triggers": many})
        storage.close()
        again, _ = open_store()
        assert kept(again) == kept(store)
        assert sum(row.triggers["keyword"] for row in again.rows()) == 15_000
        assert apply(again, {"triggers": many}) == (0, 15_000)

    def test_the_file_does_not_grow_with_time(
        self, open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exporter.storage.database.CAPACITY", 200)
        store, storage = open_store(limits=Limits(streamers=50))
        sizes = []
        for turn in range(30):
            for number in range(20):
                name = f"streamer {turn} {number}"
                trigger = {"streamer": name, "type": "keyword", "id": name, "details": {"x": "y" * 500}}
                apply(store, {"triggers": [trigger], "clips": [{"streamer": name}]})
                assert storage.flush(20)
                store.clear_streamer_stats(name)
            # The log is copied into the database when it has 1000 pages, and begun anew.
            assert own_value(storage.own, STORAGE_SIZE) < 5_000_000
            sizes.append((tmp_path / FILE_NAME).stat().st_size)
        assert max(sizes[20:]) == max(sizes[10:20]) < 200_000
        storage.close()
        with sqlite3.connect(tmp_path / FILE_NAME) as file:
            held = [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("ids", "clips_today")]
        file.close()
        assert held == [200, 50]

    def test_a_commit_that_was_cut_short_never_happened(self, open_store: Open, tmp_path: Path) -> None:
        """Cut the log at any byte, as a loss of power may: what comes back is whole, and of one moment."""
        store, storage = open_store(tmp_path / "power")
        moments = [kept(store)]
        for number in range(12):
            apply(
                store,
                {
                    "triggers": [
                        {"streamer": f"s{number % 3}", "type": "keyword", "id": f"{number} {each}"} for each in range(3)
                    ],
                    "clips": [{"streamer": f"s{number % 4}"}],
                    "cleared": ["s1"] if number % 5 == 4 else [],
                },
            )
            assert storage.flush(20)
            moments.append(kept(store))
        log = (tmp_path / "power" / f"{FILE_NAME}-wal").read_bytes()
        main = (tmp_path / "power" / FILE_NAME).read_bytes()
        storage.close()
        back = []
        for cut in range(0, len(log) + 1, len(log) // 60):
            folder = tmp_path / f"cut {cut}"
            folder.mkdir()
            (folder / FILE_NAME).write_bytes(main)
            (folder / f"{FILE_NAME}-wal").write_bytes(log[:cut])
            again, storage = open_store(folder)
            back.append(moments.index(kept(again)))
            assert len(again.get_all_stats()["recent_triggers"]) == min(20, 3 * back[-1])
            known = {"triggers": [{"streamer": "s0", "type": "raid", "id": f"{n} 2"} for n in range(back[-1])]}
            assert apply(again, known) == (0, back[-1])
            storage.close()
        assert back == sorted(back)
        assert set(back) >= set(range(10))

    def test_a_forked_process_leaves_the_file_alone(self, open_store: Open) -> None:
        store, storage = open_store()
        storage._process = -1  # as a fork sees it: another process than the one that opened the file
        assert not storage.flush(1)
        storage.close()
        assert storage._thread.is_alive()
        storage._process = os.getpid()
        store.add_trigger("xQc", "keyword")
        assert storage.flush(20)

    def test_a_process_that_ends_without_closing_keeps_everything(self, tmp_path: Path, open_store: Open) -> None:
        code = (
            "import sys\n"
            "from exporter import SharedStats\n"
            "from exporter.storage.writer import Storage\n"
            "store = SharedStats.create()\n"
            "storage = Storage(store, sys.argv[1], gather=60)\n"
            "storage.flush()\n"
            "store.add_trigger('xQc', 'keyword')\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert open_store()[0].rows()[0].triggers["keyword"] == 1


def damaged(path: Path) -> None:
    store = SharedStats.create()
    for number in range(2000):
        store.add_trigger(f"streamer {number}", "keyword")
    Storage(store, path.parent).close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE bookmarks (url)")
    file.close()


def newer(path: Path) -> None:
    Storage(SharedStats.create(), path.parent).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 2")
    file.close()


def wrong_content(path: Path) -> None:
    Storage(SharedStats.create(), path.parent).close()
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO recent VALUES (0, 'xQc', 'keyword', 1.0, 'no JSON')")
    file.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE streamers SET streamer = 'shroud'",
        "UPDATE streamers SET clips = 'many'",
        "UPDATE streamers SET clips = -1",
        "UPDATE triggers SET count = 'many'",
        "UPDATE triggers SET count = x'01'",
        "UPDATE triggers SET type = x'ff'",
        "UPDATE triggers SET newest = 'soon'",
        "UPDATE triggers SET newest = 1e300",
        "UPDATE recent SET at = 'soon'",
        "UPDATE recent SET at = 1e300",
        "UPDATE recent SET details = '[]'",
        "UPDATE recent SET streamer = x'ff'",
        "UPDATE clips_today SET clips = 'many'",
        "UPDATE ids SET id = x'ff'",
        "UPDATE about SET value = 'soon' WHERE key = 'day_ends'",
    ],
)
def test_a_value_that_was_never_written_is_damage(tmp_path: Path, open_store: Open, change: str) -> None:
    store, storage = open_store()
    apply(store, {"triggers": [{"streamer": "xQc", "type": "raid", "id": "1"}], "clips": [{"streamer": "xQc"}]})
    storage.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        file.execute(change)
    file.close()
    store, storage = open_store()
    assert own_value(storage.own, STORAGE_ERRORS, Problem.DAMAGED) >= 1
    assert own_value(storage.own, STORAGE_UP) == 0
    assert store.rows() == []
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        file.execute("DELETE FROM streamers")
        file.execute("DELETE FROM triggers")
        file.execute("DELETE FROM recent")
        file.execute("DELETE FROM clips_today")
        file.execute("DELETE FROM ids")
        file.execute("DELETE FROM about")
    file.close()
    wait_for(lambda: own_value(storage.own, STORAGE_UP))  # it is looked at again, and again


def test_a_file_that_is_locked_while_it_is_mended_is_tried_again(tmp_path: Path, open_store: Open) -> None:
    store, storage = open_store()
    store.increment_clips_today("xQc")
    storage.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        file.execute("UPDATE streamers SET clips = 'many'")
    file.close()
    store, storage = open_store()
    file = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, timeout=60)
    file.execute("BEGIN EXCLUSIVE")
    wait_for(lambda: own_value(storage.own, STORAGE_ERRORS, Problem.LOCKED))
    file.execute("UPDATE streamers SET clips = 3")
    file.execute("COMMIT")
    file.close()
    wait_for(lambda: own_value(storage.own, STORAGE_UP))
    assert [row.clips for row in store.rows()] == [3]


BadFile = tuple[Callable[[Path], object], Problem, str]
BAD_FILES: list[BadFile] = [
    (
        damaged,
        Problem.DAMAGED,
        "the file is damaged; restore a backup, or move the file away to start a new one (",
    ),
    (
        wrong_content,
        Problem.DAMAGED,
        "the file is damaged; restore a backup, or move the file away to start a new one (",
    ),
    (
        foreign,
        Problem.FOREIGN,
        "the file is the database of another program; choose another folder",
    ),
    (
        lambda path: path.write_text("Dear diary, this is no database at all. " * 40),
        Problem.FOREIGN,
        "the file is not a database; move it away, or choose another folder (",
    ),
    (
        newer,
        Problem.NEWER,
        (
            "the file has format 2, of a newer clipper-exporter (this one knows up to 1);"
            " run the newer one, or move the file away to start a new one"
        ),
    ),
    (
        Path.mkdir,
        Problem.UNWRITABLE,
        (
            "not writable; allow the exporter's user to write the folder and its files,"
            " and check that the file system is not read-only ("
        ),
    ),
]


class TestProblems:
    @pytest.mark.parametrize("case", BAD_FILES, ids=[str(case[1]) for case in BAD_FILES])
    def test_a_file_that_cannot_be_used_is_told_and_left_alone(
        self, case: BadFile, open_store: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        spoil, trouble, message = case
        path = tmp_path / FILE_NAME
        spoil(path)
        before = path.read_bytes() if path.is_file() else None
        store, storage = open_store()
        assert f"a restart would lose them: storage {path}: {message}" in caplog.text
        assert own_value(storage.own, STORAGE_UP) == 0
        assert own_value(storage.own, STORAGE_ERRORS, trouble) >= 1
        store.add_trigger("xQc", "keyword")
        assert store.rows()[0].triggers["keyword"] == 1
        assert not storage.flush(5)
        with pytest.raises(StorageError) as refusal:
            storage.committed().result(5)
        assert refusal.value.reason == trouble
        assert before is None or path.read_bytes() == before
        # Once it is out of the way, everything counted meanwhile is kept.
        path.rename(tmp_path / "moved away")
        wait_for(lambda: storage.flush(5))
        assert own_value(storage.own, STORAGE_UP) == 1
        storage.close()
        assert kept(open_store()[0]) == kept(store)

    def test_a_backup_put_in_place_is_added_to_what_was_counted_meanwhile(
        self, open_store: Open, tmp_path: Path
    ) -> None:
        store, storage = open_store()
        store.add_trigger("xQc", "keyword")
        storage.close()
        path = tmp_path / FILE_NAME
        backup = path.rename(tmp_path / "backup")
        path.write_text("Dear diary, this is no database at all. " * 40)
        store, storage = open_store()
        store.add_trigger("xQc", "keyword")
        backup.replace(path)
        wait_for(lambda: storage.flush(5))
        assert store.rows()[0].triggers["keyword"] == 2

    def test_two_exporters_on_one_folder_are_refused(self, open_store: Open, tmp_path: Path) -> None:
        store, storage = open_store()
        with pytest.raises(StorageError) as refusal:
            open_store()
        assert refusal.value.reason == Problem.LOCKED
        assert str(refusal.value) == (
            f"storage {tmp_path / FILE_NAME}: another exporter writes here;"
            " give each exporter its own folder (database is locked)"
        )
        store.add_trigger("xQc", "keyword")
        assert storage.flush(20)

    @pytest.mark.parametrize("below", [(), ("a", "b")])
    def test_a_folder_that_is_a_file_is_refused(self, open_store: Open, tmp_path: Path, below: tuple[str, ...]) -> None:
        (tmp_path / "file").touch()
        folder = (tmp_path / "file").joinpath(*below)
        with pytest.raises(StorageError) as refusal:
            open_store(folder)
        assert str(refusal.value) == f"storage {folder}: not a folder: this path, or a part of it, is a file"

    def test_folders_are_made(self, open_store: Open, tmp_path: Path) -> None:
        assert open_store(tmp_path / "a" / "b")[1].flush(20)
        assert (tmp_path / "a" / "b" / FILE_NAME).is_file()

    @pytest.mark.skipif(sys.platform == "win32", reason="where a file in use cannot be removed")
    def test_a_file_that_is_removed_while_in_use_is_noticed(self, open_store: Open, tmp_path: Path) -> None:
        store, storage = open_store()
        assert storage.flush(20)
        aside = (tmp_path / FILE_NAME).rename(tmp_path / "aside")
        store.add_trigger("xQc", "keyword")
        with pytest.raises(StorageError, match="the file was moved or removed while in use; put it back, or restart"):
            storage.committed().result(20)
        aside.rename(tmp_path / FILE_NAME)
        wait_for(lambda: storage.flush(5))

    def test_a_full_disk_costs_nothing_once_there_is_room(
        self, open_store: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        full = threading.Event()
        write = Database.write

        def limited(database: Database, *arguments: Any) -> None:
            pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
            database._connection.execute(f"PRAGMA max_page_count = {pages if full.is_set() else 1 << 30}")
            write(database, *arguments)

        monkeypatch.setattr(Database, "write", limited)
        store, storage = open_store()
        body = {"triggers": [{"streamer": f"s{n}", "type": "keyword", "id": str(n)} for n in range(2000)]}
        assert storage.flush(20)
        full.set()
        assert apply(store, body) == (2000, 0)
        assert not storage.flush(20)
        assert own_value(storage.own, STORAGE_ERRORS, Problem.FULL) >= 1
        assert own_value(storage.own, STORAGE_UP) == 0
        assert "the disk is full; free some space, and the counters of the meantime are stored too" in caplog.text
        assert apply(store, body) == (0, 2000)
        full.clear()
        wait_for(lambda: storage.flush(5))
        assert own_value(storage.own, STORAGE_UP) == 1
        storage.close()
        again, _ = open_store()
        assert kept(again) == kept(store)
        assert apply(again, body) == (0, 2000)

    def test_a_writer_that_fails_leaves_nobody_waiting(self, open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        store, storage = open_store()
        assert storage.flush(20)
        failures: list[threading.ExceptHookArgs] = []
        monkeypatch.setattr(threading, "excepthook", failures.append)
        monkeypatch.setattr(Database, "write", lambda *_: 1 // 0)
        store.add_trigger("xQc", "keyword")
        assert not storage.flush(20)
        wait_for(lambda: not storage._thread.is_alive())
        assert not storage.flush(20)
        assert own_value(storage.own, STORAGE_UP) == 0
        assert [each.exc_type for each in failures] == [ZeroDivisionError]


class TestServing:
    def test_the_metrics_are_there_only_with_a_storage(self, tmp_path: Path) -> None:
        samples = [f"{family.name}" for family in FAMILIES if family.name.startswith("clipper_exporter_storage")]
        assert len(samples) == 5
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert not any(f"\n{name}{end}" in text for name in samples for end in " {")
            assert server.flush(0)
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path) as server:
            assert server.flush(20)
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert all(f"\n{name} " in text or f"\n{name}{{" in text for name in samples)
            assert "\nclipper_exporter_storage_up 1.0\n" in text
            assert '\nclipper_exporter_storage_errors_total{reason="full"} 0.0\n' in text

    def test_a_push_is_answered_when_it_is_on_disk(self, tmp_path: Path) -> None:
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path) as server:
            body = {"triggers": [{"streamer": "xQc", "type": "keyword", "id": "1"}], "clips": [{"streamer": "xQc"}]}
            answer = requests.post(server.url + "/api/stats", json=body, timeout=10)
            assert answer.json()["applied"] == 2
            on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
            assert b"keyword" in on_disk

    @pytest.mark.parametrize(
        "body",
        [
            {"triggers": [{"streamer": "xQc", "type": "keyword"}]},
            {"clips": [{"streamer": "xQc"}]},
            {"cleared": ["xQc"]},
        ],
        ids=["triggers", "clips", "cleared"],
    )
    def test_whatever_outlives_a_restart_is_waited_for(self, tmp_path: Path, body: dict[str, Any]) -> None:
        (tmp_path / FILE_NAME).mkdir()  # so that nothing can be kept
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path) as server:
            assert requests.post(server.url + "/api/stats", json=body, timeout=10).status_code == 503

    def test_a_push_that_cannot_be_kept_is_503_and_not_counted_twice(self, tmp_path: Path) -> None:
        path = tmp_path / FILE_NAME
        path.mkdir()
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=tmp_path) as server:
            body = {"triggers": [{"streamer": "xQc", "type": "keyword", "id": "1"}]}
            for _ in range(3):
                answer = requests.post(server.url + "/api/stats", json=body, timeout=10)
                assert answer.status_code == 503
                assert answer.headers["Retry-After"] == "1"
                assert answer.json()["error"] == (
                    "applied, but not on disk yet: send the batch again with the same event ids"
                )
            gauges = requests.post(server.url + "/api/stats", json={"viewer_counts": {"xQc": 3}}, timeout=10)
            assert gauges.status_code == 200
            text = requests.get(server.url + "/metrics", timeout=10).text
            assert 'clipper_triggers_total{streamer="xQc",type="keyword"} 1.0\n' in text
            assert "\nclipper_exporter_storage_up 0.0\n" in text
            path.rmdir()
            wait_for(lambda: server.flush(5))
            answer = requests.post(server.url + "/api/stats", json=body, timeout=10)
            assert (answer.status_code, answer.json()["applied"], answer.json()["duplicates"]) == (200, 0, 1)

    def test_a_scrape_shows_nothing_that_a_crash_would_take_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=tmp_path) as server:
            assert server.flush(20)
            written: list[int] = []
            write = Database.write

            def noting(database: Database, counted: Any, instance: str) -> None:
                write(database, counted, instance)
                written.append(counted.rows["xQc"].triggers["keyword"])

            monkeypatch.setattr(Database, "write", noting)
            for _ in range(20):
                store.add_trigger("xQc", "keyword")
                text = requests.get(server.url + "/metrics", timeout=10).text
                assert f'clipper_triggers_total{{streamer="xQc",type="keyword"}} {written[-1]}.0\n' in text

    def test_a_refused_folder_frees_the_port(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with serve(0, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
            port = server.port
        with pytest.raises(StorageError):
            serve(port, stats=SharedStats.create(), registry=CollectorRegistry(), storage=tmp_path / "file")
        with serve(port, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
            assert server.port == port

    def test_a_stop_commits_what_is_left(self, tmp_path: Path) -> None:
        store = SharedStats.create()
        with serve(0, stats=store, registry=CollectorRegistry(), storage=tmp_path):
            store.add_trigger("xQc", "keyword")
        with serve(0, stats=(again := SharedStats.create()), registry=CollectorRegistry(), storage=tmp_path):
            assert again.rows()[0].triggers["keyword"] == 1
