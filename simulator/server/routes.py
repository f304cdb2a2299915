"""Routes: a place, what is accepted there, and who answers."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from simulator.happenings import Json
from simulator.server.desk import Desk
from simulator.server.errors import no_such, nowhere
from simulator.server.lists import PAGING, Cursor, Found, Page, page_of, within
from simulator.server.parameters import NOTHING, SPAN, Hash, Reader
from simulator.server.standing import is_deleted
from simulator.world import World

NOUNS: Final = {
    "checkout.session": "checkout.session",
    "credit_note": "credit note",
    "invoice_payment": "invoice_payment",
    "payment_intent": "payment_intent",
    "payment_method": "PaymentMethod",
    "promotion_code": "promotion code",
    "subscription_item": "subscription item",
    "subscription_schedule": "subscription schedule",
    "webhook_endpoint": "webhook endpoint",
}
"""What Stripe calls a thing when it cannot be found; others by the name of their kind."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood: where, and what it says."""

    desk: Desk
    path: str
    ids: dict[str, str]
    params: Json

    @property
    def world(self) -> World:
        """The world it is about."""
        return self.desk.world

    def thing(self, kind: str, name: str = "id") -> Any:
        """The thing of *kind* that the path names; Refused where there is none, or none any more."""
        thing = self.look(kind, self.ids[name])
        if is_deleted(thing):
            raise no_such(NOUNS.get(kind, kind), self.ids[name])
        return thing

    def look(self, kind: str, thing_id: str, param: str = "id", status: int = 404) -> Any:
        """The thing of *kind* with this id; Refused where there is none."""
        thing = self.world.shelf.get(kind, thing_id)
        if thing is None:
            raise no_such(NOUNS.get(kind, kind), thing_id, param, status)
        return thing


Answer = Callable[[Call], Json | Page | Found]
"""What a call is answered with: one thing's body, or a page of them, in the world's own shape."""


@dataclass(frozen=True, slots=True)
class Route:
    """One place of the API."""

    method: str
    path: str  # /v1/customers/{id}
    accepts: Hash
    answer: Answer


class Routes:
    """All places, and the way to each: a literal step goes before one that any id fits."""

    def __init__(self, routes: Iterable[Route]) -> None:
        ordered = sorted(routes, key=lambda route: route.path.count("{"))
        self._compiled = [(_pattern(route.path), route) for route in ordered]
        places = [(route.method, route.path) for route in ordered]
        assert len(set(places)) == len(places), "every place has one route"

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route for a request, and the ids in its path; Refused where there is none."""
        for pattern, route in self._compiled:
            if route.method == method and (matched := pattern.fullmatch(path)):
                return route, matched.groupdict()
        raise nowhere(method, path)

    def all(self) -> list[Route]:
        """Every route."""
        return [route for _, route in self._compiled]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


# What most kinds of things have in common.


def retrieving(path: str, kind: str) -> Route:
    """GET one thing."""
    return Route("GET", path, NOTHING, lambda call: _body(call.look(kind, call.ids["id"])))


def acting(path: str, kind: str, accepts: Hash, act: Callable[[Any, Json], object], method: str = "POST") -> Route:
    """Do something to the thing that the path names, and show how it stands then."""

    def answer(call: Call) -> Json:
        thing = call.thing(kind)
        act(thing, call.params)
        return _body(thing)

    return Route(method, path, accepts, answer)


Keeps = Callable[[Any], bool]
"""Whether a thing is on a list."""

Filters = dict[str, tuple[Reader, Callable[[Any, Json], bool]]]
"""By parameter: how it is read, and whether a body fits its value."""

CREATED: Final[Filters] = {"created": (SPAN, lambda span, body: within(span, body["created"]))}


def same(name: str, reader: Reader) -> Filters:
    """A filter for the things whose *name* is what was asked for."""
    return {name: (reader, lambda value, body: body[name] == value)}


def listing(path: str, kind: str, filters: Filters, keeps: Keeps = lambda _: True) -> Route:
    """GET the things of one kind, newest first, of those that *keeps* lets be listed at all."""

    def answer(call: Call) -> Page:
        chosen = [(filters[name][1], value) for name, value in call.params.items() if name in filters]

        def is_listed(thing: Any) -> bool:
            return not is_deleted(thing) and keeps(thing) and all(fits(value, thing.body) for fits, value in chosen)

        things, has_more = page_of(
            NOUNS.get(kind, kind),
            call.world.shelf.all(kind),
            is_listed,
            Cursor.of(call.params),
            lambda thing: str(thing.body["id"]),
        )
        return Page([thing.body for thing in things], has_more, call.path)

    accepts = Hash(PAGING | {name: reader for name, (reader, _) in filters.items()})
    return Route("GET", path, accepts, answer)


def _body(thing: Any) -> Json:
    body: Json = thing.body
    return body
