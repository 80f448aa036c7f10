"""How every script begins and ends: signals, exit status, and errors without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from tooling.checkout import ToolingError

INTERRUPTED: Final = 130  # what a shell reports for a command that Ctrl-C ended


def launch(main: Callable[[], int]) -> NoReturn:
    """Exit with what ``main`` returns; 1 and a message for a ``ToolingError``.

    SIGTERM is treated as Ctrl-C, so that cleaning up happens for both.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = main()
    except ToolingError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output, such as head, has had enough. Python must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
