"""The code of scripts/demo, scripts/prometheus, scripts/test and scripts/check.

This file must parse on any Python: it refuses old ones.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (pip's check comes later)
    sys.exit("clipper-exporter needs Python 3.11 or newer; {} is {}.{}".format(sys.executable, *sys.version_info[:2]))
