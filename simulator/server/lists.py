"""Lists, page by page: newest first, from after one thing or from before another."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.errors import no_such
from simulator.server.forms import Raw
from simulator.server.parameters import Reader, text, whole

Listed = TypeVar("Listed")

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 100


def limit(param: str, raw: Raw) -> int:
    """How many a page may have."""
    asked = whole(param, raw)
    if not 1 <= asked <= LIMIT_MAX:
        raise Refused(
            f"Invalid limit: must be between 1 and {LIMIT_MAX}", code="parameter_invalid_integer", param=param
        )
    return asked


PAGING: Final[dict[str, Reader]] = {"limit": limit, "starting_after": text, "ending_before": text}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    data: list[Json]
    has_more: bool
    url: str

    def shown(self) -> Json:
        """The list as Stripe shows it."""
        return {"object": "list", "data": self.data, "has_more": self.has_more, "url": self.url}


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what a search found."""

    data: list[Json]
    next_page: str | None
    url: str

    def shown(self) -> Json:
        """The result as Stripe shows it."""
        return {
            "object": "search_result",
            "data": self.data,
            "has_more": self.next_page is not None,
            "next_page": self.next_page,
            "url": self.url,
        }


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which part of a list is asked for."""

    count_max: int = LIMIT_DEFAULT
    starting_after: str | None = None
    ending_before: str | None = None

    @classmethod
    def of(cls, params: Json) -> "Cursor":
        """The cursor that a request's parameters name; Refused where they name two."""
        after, before = params.get("starting_after"), params.get("ending_before")
        if after and before:
            raise Refused("You may pass only one of these parameters: starting_after, ending_before.")
        return cls(params.get("limit", LIMIT_DEFAULT), after, before)


def page_of(
    noun: str,
    things: Iterable[Listed],
    keeps: Callable[[Listed], bool],
    cursor: Cursor,
    id_of: Callable[[Listed], str],
) -> tuple[list[Listed], bool]:
    """The part of *things* at the cursor, of those that are kept, and whether there is more beyond it.

    The cursor may be a thing that is not on the list any more.
    """
    if cursor.ending_before:
        return _before(noun, things, keeps, cursor, id_of)
    rest = iter(things)
    if cursor.starting_after and not any(id_of(thing) == cursor.starting_after for thing in rest):
        raise no_such(noun, cursor.starting_after, "starting_after", 400)
    kept = list(islice((thing for thing in rest if keeps(thing)), cursor.count_max + 1))
    return kept[: cursor.count_max], len(kept) > cursor.count_max


def _before(
    noun: str,
    things: Iterable[Listed],
    keeps: Callable[[Listed], bool],
    cursor: Cursor,
    id_of: Callable[[Listed], str],
) -> tuple[list[Listed], bool]:
    nearest: deque[Listed] = deque(maxlen=cursor.count_max)
    count = 0
    for thing in things:
        if id_of(thing) == cursor.ending_before:
            return list(nearest), count > cursor.count_max
        if keeps(thing):
            nearest.append(thing)
            count += 1
    raise no_such(noun, cursor.ending_before or "", "ending_before", 400)


def within(span: int | Json, moment: int) -> bool:
    """Whether *moment* is in a span as Stripe's filters give it: a second, or bounds."""
    if isinstance(span, int):
        return moment == span
    bounds: dict[str, int] = span
    return (
        moment > bounds.get("gt", moment - 1)
        and moment >= bounds.get("gte", moment)
        and moment < bounds.get("lt", moment + 1)
        and moment <= bounds.get("lte", moment)
    )
