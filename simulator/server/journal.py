"""The journal: every request and what was answered.  Never a key, a card's number or a client's secret."""

import re
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from simulator.happenings import Json

ENTRIES_MAX: Final = 10_000

_SECRET_NAMES: Final = frozenset({"number", "cvc", "secret", "client_secret", "source", "token"})
_BLANK: Final = "[secret]"
_CARD_NUMBER: Final = re.compile(r"\b\d{13,19}\b")


@dataclass(slots=True)
class Entry:
    """One request, and its answer once there is one."""

    request_id: str
    at: int  # The world's second.
    method: str
    path: str
    params: Json = field(default_factory=dict)
    idempotency_key: str | None = None
    stripe_version: str | None = None
    status: int | None = None  # None while there is no answer, or when there never was one.
    answer: Json | None = None  # What was shown, by kind and id.
    error: Json | None = None
    replayed: bool = False
    fault: str | None = None

    def shown(self) -> Json:
        """The entry as one reads it."""
        return asdict(self)


@dataclass(slots=True)
class Journal:
    """The newest entries, in the order in which the requests came."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=ENTRIES_MAX))

    def open(self, entry: Entry) -> Entry:
        """Begin an entry."""
        self.entries.append(entry)
        return entry

    def shown(self) -> list[Json]:
        """All entries as one reads them."""
        return [entry.shown() for entry in self.entries]


def without_secrets(told: Any) -> Any:
    """What was told, with the secrets in it blanked."""
    if isinstance(told, dict):
        return {name: _BLANK if name in _SECRET_NAMES else without_secrets(value) for name, value in told.items()}
    if isinstance(told, list):
        return [without_secrets(one) for one in told]
    return _CARD_NUMBER.sub(_BLANK, told) if isinstance(told, str) else told


def summary(answer: Json) -> Json:
    """What was answered, by kind and id; of a list, how many."""
    if isinstance(answer.get("data"), list):
        return {"object": answer.get("object", "list"), "count": len(answer["data"])}
    return {name: answer[name] for name in ("object", "id", "deleted") if name in answer}
