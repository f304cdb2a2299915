"""How a process of ours ends when going on would be wrong: at once, with nothing acknowledged that is not committed.

An exception that leaves an agent acknowledges its event, and an orderly stop waits for acknowledgements: both would
lose facts here.  So nothing is unwound.  Whoever supervises the process starts it anew.
"""

import logging
import os
from collections.abc import Callable
from typing import Final, NoReturn

from runtime.logs import get_logger

EXIT_STATUS: Final = 70  # EX_SOFTWARE: neither a clean stop (0) nor bad settings (2).

End = Callable[[str], None]
"""Ends the process for a reason.  Tests pass one that returns; then whoever called it must still do no more work."""

log = get_logger(__name__)


def end_process(reason: str) -> NoReturn:
    """End this process now, offsets unmoved; the last line of its log says why."""
    log.critical("process ends", reason=reason)
    logging.shutdown()
    os._exit(EXIT_STATUS)
