"""The shelf: every thing of a world by kind and id, and each kind in the order in which its things came to be."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Protocol

from simulator.happenings import Json


class Kept(Protocol):
    """Whatever lies on the shelf: it has a body, as Stripe shows it in the newest shape."""

    body: Json


class Shelf:
    """All things of a world."""

    def __init__(self) -> None:
        self._by_kind: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._by_id: dict[str, Any] = {}

    def put(self, thing: Kept) -> None:
        """Keep *thing*, the newest of its kind."""
        kind, thing_id = thing.body["object"], thing.body["id"]
        self._by_kind[kind][thing_id] = thing
        self._by_id[thing_id] = thing

    def remove(self, thing: Kept) -> None:
        """Keep *thing* no longer: whoever asks for it is told that it does not exist."""
        self._by_kind[thing.body["object"]].pop(thing.body["id"], None)
        self._by_id.pop(thing.body["id"], None)

    def get(self, kind: str, thing_id: str) -> Any | None:
        """The thing of *kind* with this id, or None."""
        things = self._by_kind.get(kind)
        return things.get(thing_id) if things else None

    def find(self, thing_id: str) -> Any | None:
        """The thing with this id, of whatever kind, or None."""
        return self._by_id.get(thing_id)

    def all(self, kind: str) -> Iterator[Any]:
        """All things of *kind*, newest first; who stops early has paid for no more."""
        return reversed(self._by_kind.get(kind, {}).values())
