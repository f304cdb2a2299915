"""A Faust worker that stops in time: SIGTERM in its first second hung three times in thirty-five without this."""

import signal
import threading
from functools import partial
from typing import Any

import faust

from streams.ending import End


class TimelyWorker(faust.Worker):
    """Stops as Faust does; where that takes longer than *stop_seconds_max*, the process ends all the same."""

    def __init__(self, *services: Any, stop_seconds_max: float, end: End, **options: Any) -> None:
        super().__init__(*services, **options)
        self._stop_seconds_max = stop_seconds_max
        self._end = end
        self.spinner = None  # It would write control characters to a log.

    def install_signal_handlers(self) -> None:
        """Install Faust's handlers, with a timer armed before each; `on_before_shutdown` would come too late for it."""
        super().install_signal_handlers()
        self.loop.add_signal_handler(signal.SIGTERM, partial(self._in_time, self._on_sigterm))
        self.loop.add_signal_handler(signal.SIGINT, partial(self._in_time, self._on_sigint))

    def _in_time(self, stop: Any) -> None:
        """A thread keeps the time: the loop may be what hangs."""
        timer = threading.Timer(self._stop_seconds_max, self._end, [f"no stop within {self._stop_seconds_max} s"])
        timer.daemon = True
        timer.start()
        stop()
