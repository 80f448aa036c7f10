"""A clipper for tests, run as a program: writes through RemoteStats, then prints what it wrote as one line of JSON.

``busy URL NAME EVENTS``: that many triggers and half as many clips, of NAME and of a streamer that all share.
``quiet URL NAME``: gauges, once; then it waits for the end of standard input.
``lively URL NAME``: the same, but its velocity is the Unix time, written all the time.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from exporter import RemoteStats

PACE = 0.01  # seconds between two events


def busy(stats: RemoteStats, name: str, events: int) -> None:
    pace = threading.Event()
    for number in range(events):
        stats.update_viewers(name, number)
        stats.update_velocity(name, number / 2)
        stats.update_recording_status(name, number % 2 == 0)
        stats.add_trigger(name, "keyword", {"number": number})
        stats.add_trigger("shared", "raid", {"by": name})
        if number % 2:
            stats.increment_clips_today(name)
        pace.wait(PACE)


def main(how: str, url: str, name: str, events: int = 0) -> None:
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with RemoteStats(url, strict=True, interval=0.05) as stats:
        stats.update_viewers(name, len(name))
        stats.update_velocity(name, 0.5)
        stats.update_recording_status(name, True)
        busy(stats, name, events)
        arrived = stats.flush(60)
        print("ready", flush=True)
        while how != "busy" and not ended.wait(0.02):
            if how == "lively":
                stats.update_velocity(name, time.time())
        written = {
            "arrived": arrived,
            "dropped": dict(stats.dropped),
            "viewers": stats.viewer_counts[name],
            "velocity": stats.chat_velocities[name],
            "recording": stats.recording_status[name],
            "triggers": {row.streamer: dict(row.triggers) for row in stats.rows()},
            "clips": stats.get_clips_today(name),
        }
    print(json.dumps(written), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
