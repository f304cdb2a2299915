"""Moments as the second API writes them: ISO 8601, where the first counts seconds."""

from datetime import UTC, datetime
from typing import Final

from simulator.clock import epoch
from simulator.refusals import Refused
from simulator.server.forms import Raw
from simulator.server.parameters import Hash, either, text, whole


def moment(param: str, raw: Raw) -> int:
    """The second of a moment that is written in ISO 8601."""
    written = text(param, raw)
    try:
        read = datetime.fromisoformat(written)
    except ValueError as error:
        raise Refused(f"Invalid timestamp: {written}", param=param) from error
    return epoch(read if read.tzinfo else read.replace(tzinfo=UTC))


def written(moment_seconds: int) -> str:
    """A second in ISO 8601."""
    return datetime.fromtimestamp(moment_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# Whole seconds are taken as well: the place of a next page has them.
SPAN_ISO: Final = Hash(dict.fromkeys(("gt", "gte", "lt", "lte"), either(whole, moment)))
