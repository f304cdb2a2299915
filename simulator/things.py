"""Things: whatever Stripe gives an id and a kind.

The body of a thing is a value: it is replaced and never mutated, so whoever remembers one remembers how the thing
stood.  That is why an event costs nothing but a reference.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Final

from simulator.happenings import Json

if TYPE_CHECKING:
    from simulator.world import World

HIDDEN: Final = "_hidden"
"""What only older API versions show is kept under this key; `shapes` lets nobody see it."""


class Thing:
    """One thing of the world, on its shelf from the first moment."""

    kind: ClassVar[str]

    def __init__(self, world: "World", body: Json) -> None:
        self.world = world
        self.body = body
        world.shelf.put(self)

    @property
    def id(self) -> str:
        """Stripe's id."""
        return str(self.body["id"])

    def become(self, **changes: Any) -> None:
        """Change top-level fields, and tell nobody."""
        self.body = self.body | changes

    def note(self, event_type: str, *, by_request: bool = False, **changes: Any) -> None:
        """Change top-level fields, in one event that tells of no difference: its name says what happened."""
        self.body = self.body | changes
        self.world.record(event_type, self.body, by_request=by_request)

    def tell(self, event_type: str, *, by_request: bool = False, **changes: Any) -> None:
        """Change top-level fields, in one event that shows the difference."""
        before = self.body
        self.body = before | changes
        self.world.record(event_type, self.body, before, by_request=by_request)


def merged_metadata(old: Json, new: Json | None) -> Json:
    """Metadata as Stripe merges it: a key that is set to nothing is gone, and so are all when nothing is sent."""
    if new is None:
        return {}
    return {key: value for key, value in (old | new).items() if value not in (None, "")}


def list_of(data: list[Json], url: str) -> Json:
    """A list inside a thing, whole."""
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}
