"""One JSON object a line on stderr; on a terminal, the same for human eyes.

Three promises.  No secret: what looks like one is masked in the finished line, wherever it came from.  No contents in
tracebacks: local variables and the words of exceptions are where bodies and keys lie.  No flood: an outage makes
Kafka's clients write thousands of equal lines, of which a few pass, with the number of those that did not.
"""

import logging
import re
import sys
from collections.abc import Callable
from typing import Final

import structlog

from runtime import clock, tracebacks

NOISY: Final = ("aiokafka", "faust", "mode", "opentelemetry")
NOISY_LINES_MAX: Final = 5
NOISY_WINDOW_SECONDS: Final = 60.0
NOISY_TEMPLATES_MAX: Final = 1_000

_SECRETS: Final = re.compile(
    r"(whsec_|[bsrp]k_(?:live|test)_|_secret_)[A-Za-z0-9+/=_-]+"  # Secrets and API keys, Stripe's and ours.
    r'|(://[^:/@\s]*:)[^@\s"]+(?=@)'  # The password in a URL.
)


def configure(process: str) -> None:
    """Send everything that this process logs, libraries included, to stderr; each line names *process*."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_enrich(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masking(foreign_pre_chain=_enrich(), processors=_render(pretty=sys.stderr.isatty())))
    handler.addFilter(RateLimit(NOISY, clock.monotonic))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and its fields: `log.info("refused", reason=reason)`."""
    return structlog.stdlib.get_logger(name)


def mask(line: str) -> str:
    """The *line* with everything that looks like a secret blotted out."""
    return _SECRETS.sub(lambda found: (found[1] or found[2]) + "***", line)


class RateLimit(logging.Filter):
    """Of the loggers named, lets a few lines a minute of each template pass, and says how many it held back."""

    def __init__(self, names: tuple[str, ...], monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._prefixes = names
        self._monotonic = monotonic
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # (logger, template) -> (window's start, lines)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may be written."""
        if record.name.partition(".")[0] not in self._prefixes:
            return True
        template, now = (record.name, str(record.msg)), self._monotonic()
        started, lines = self._seen.get(template, (now, 0))
        if now - started >= NOISY_WINDOW_SECONDS:
            record.held_back = max(0, lines - NOISY_LINES_MAX)
            started, lines = now, 0
        self._remember(template, (started, lines + 1))
        return lines < NOISY_LINES_MAX

    def _remember(self, template: tuple[str, str], seen: tuple[float, int]) -> None:
        if len(self._seen) >= NOISY_TEMPLATES_MAX:
            self._seen.clear()  # Templates with data in them would fill memory; a few lines more are cheaper.
        self._seen[template] = seen


class _Masking(structlog.stdlib.ProcessorFormatter):
    """Masks the finished line: the last place that every word has to pass."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def _enrich() -> list[structlog.types.Processor]:
    """What every line says besides its event, ours and the libraries' alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=("held_back",)),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _render(*, pretty: bool) -> list[structlog.types.Processor]:
    # A pretty traceback would show local variables; what `tracebacks` made of it is only printed.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.ExceptionRenderer(tracebacks.render),
        console if pretty else structlog.processors.JSONRenderer(),
    ]
