"""What scripts/demo, scripts/prometheus, scripts/test and scripts/check are made of.

This file must parse on any Python: it is where an old one is turned away.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (this is what holds people to it)
    sys.exit("clipper-exporter needs Python 3.11 or newer; {} is {}.{}".format(sys.executable, *sys.version_info[:2]))
