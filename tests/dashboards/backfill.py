"""What a Prometheus would hold had it scraped in the past: expositions written as blocks of its storage."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

INSTANCE: Final = "exporter:9309"


class Backfill:
    """Collects expositions in the file ``samples``, as scraped from ``instance``, and makes blocks of them."""

    def __init__(self, samples: Path, instance: str = INSTANCE) -> None:
        self._path = samples
        self._output = samples.open("w", encoding="utf-8")
        self._labels = f'job="clipper-exporter",instance="{instance}"'

    def scrape(self, exposition: str, moment: float) -> None:
        """Add the samples of ``exposition`` as scraped at ``moment``, and ``up``."""
        # Not splitlines(): names may hold characters that it takes for the end of a line.
        for line in f"up 1\n{exposition}".split("\n"):
            if line and not line.startswith("#"):
                brace, space = line.find("{"), line.find(" ")
                labelled = 0 < brace < space
                name, rest = (
                    (line[:brace], f",{line[brace + 1 :]}") if labelled else (line[:space], f"}}{line[space:]}")
                )
                self._output.write(f"{name}{{{self._labels}{rest} {moment:.3f}\n")

    def record(self, name: str, values: dict[str, float], moment: float) -> None:
        """Add what a rule would have recorded at ``moment``, by streamer."""
        for streamer, value in values.items():
            escaped = streamer.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            self._output.write(f'{name}{{streamer="{escaped}"}} {value} {moment:.3f}\n')

    def make_blocks(self, promtool: Path, storage: Path) -> None:
        """Write the blocks into the folder ``storage``, which a Prometheus then starts on."""
        self._output.write("# EOF\n")
        self._output.close()
        command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(self._path), str(storage)]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        self._path.unlink()
