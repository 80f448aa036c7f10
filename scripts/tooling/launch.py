"""The beginning and end of every script: signals, exit status, errors without a traceback."""

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
    """Exit with what ``main`` returns, or with 1 and a message for a ``ToolingError``.

    SIGTERM is treated as Ctrl-C, so that both clean up.
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
        # The reader of the output, such as head, has closed it. Python must not write the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
