"""What forks and signal handlers find: a store that is whole, and locks that somebody will release."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, so that a deadlock ends it instead of the tests."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_threads_that_fork_at_once_leave_every_lock_free() -> None:
    done = run("""
        import os, threading
        from exporter import SharedStats

        stores = [SharedStats.create() for _ in range(20)]

        def fork():
            for _ in range(15):
                child = os.fork()
                if not child:
                    for store in stores:
                        store.add_trigger("child", "keyword")
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0

        def write():
            while not ended:
                for store in stores:
                    store.update_viewers("xQc", 1)
                    store.add_trigger("xQc", "keyword")

        ended = []
        writer = threading.Thread(target=write)
        writer.start()
        threads = [threading.Thread(target=fork) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended.append(True)
        writer.join()
        print(all(store.rows() for store in stores))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_closed_pusher_stays_closed_in_a_forked_process() -> None:
    done = run("""
        import os
        import exporter
        from exporter.pusher.pusher import push

        store = exporter.SharedStats.create()
        pusher = push("http://127.0.0.1:9", stats=store)
        pusher.close(0)
        store.update_viewers("xQc", 1)
        child = os.fork()
        if not child:
            os._exit(0 if store.viewer_counts == {"xQc": 1} and pusher._thread is None else 1)
        print(os.waitpid(child, 0)[1])
    """)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
def test_a_signal_handler_may_report_new_streamers_while_others_are_read() -> None:
    done = run("""
        import signal
        from exporter import SharedStats
        from exporter.scrape.cache import StoreLines

        store = SharedStats.create(stale_after=3600)
        for number in range(5_000):
            store.update_viewers(f"streamer {number}", number)
        lines, cursor, fired = StoreLines(store), store.follow(0), 0

        def report(*_):
            global fired
            fired += 1
            store.update_viewers(f"new {fired}", 1)
            store.add_trigger(f"new {fired}", "keyword")
            if fired < 300:
                signal.setitimer(signal.ITIMER_REAL, 0.001)

        signal.signal(signal.SIGALRM, report)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while fired < 300:
            store.update_viewers("streamer 1", fired)
            cursor.take()
            store.get_all_stats()
            store.rows()
            lines.texts()
        print(sum(row.triggers["keyword"] for row in store.rows()))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "300\n", "")
