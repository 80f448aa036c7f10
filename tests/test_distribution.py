from __future__ import annotations

import pytest

from tests import distribution
from tooling.checkout import ROOT


def test_the_files_named_are_there() -> None:
    missing = {name for name in distribution.APART | distribution.SHARED if not (ROOT / name).is_file()}
    assert missing == set()
    assert (ROOT / distribution.DASHBOARDS).is_dir()


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/test_cli.py::test_help", "tests/test_cli.py"),
        ("tests/web/test_app.py::TestIt::test_a[tests/x::y]", "tests/web/test_app.py"),
        ("tests/integration/test_demo.py::test_a_signal[2]", "tests/integration/test_demo.py::test_a_signal[2]"),
        ("tests/integration/test_replay.py::test_every_sample", "shared_prometheus"),
        ("tests/dashboards/test_tables.py::test_around_each_trigger[6 hours]", "day of 6 hours"),
        ("tests/dashboards/test_tables.py::test_around_each_trigger[24 hours]", "day of 24 hours"),
        ("tests/dashboards/test_annotations.py::test_every[24 hours-24 hours]", "day of 24 hours"),
        ("tests/dashboards/test_annotations.py::test_every[6 hours-24 hours]", "day of 6 hours"),
        ("tests/dashboards/test_tables.py::test_firing_alerts", "minute"),
    ],
)
def test_a_group_is_a_file_or_what_shares_a_fixture(test: str, group: str) -> None:
    assert distribution.group(test) == group
