"""The corpus: events as Stripe sends them since basil, never the same twice, for next to nothing.

The lives of a few hundred people are told once by the simulator and rendered as the bytes that go over the wire.  In
every id of theirs a part is the MARK; a generation is the same lives with its own eight characters in the MARK's place,
which is one `bytes.replace` an event.  Prices and products are nobody's, and stay, but in the events that tell of them:
a product that is made again and again would be no product of Stripe's.

A mix is all of it or, with the sizes that a door is measured by, the events of subscriptions alone.  `sizes` says what
is in one.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from pydantic import TypeAdapter

from bench.trial import Mix
from simulator import shapes
from simulator.happenings import Happening
from simulator.story import tell

SEED: Final = 20_26
STORY_SUBSCRIBERS: Final = 200
BYTES_MIN: Final = 5_000
BYTES_MAX: Final = 9_000

MARK: Final = b"GENERATE"
_PREFIXES: Final = (
    b"bpc bps ch cn cnli cs_test cus di du evt ii il in inpay issfr li pi pm promo py pyr re req seti si sub sub_sched"
    b" txn upcoming_in"
)
_IDS: Final = re.compile(rb"\b((?:%b)_)[A-Za-z0-9]{8}(?=[A-Za-z0-9]{6})|\b(acct-)(?=\d)" % b"|".join(_PREFIXES.split()))
SUBSCRIPTION_TYPES: Final = "customer.subscription."
_CATALOG_TYPES: Final = ("product.", "price.")
_CATALOG_IDS: Final = re.compile(rb"\b(prod_|price_)(?=[A-Za-z0-9])")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

_CREATED: Final = 1_111_111_111  # Stand-ins in the template of `about`, found nowhere else in it.
_QUANTITY: Final = 222_222_222
_QUANTITY_BEFORE: Final = 333_333_333
SEATS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event: what it is known by, and its bytes."""

    fact_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the corpus is made of."""

    events: int
    bytes_min: int
    bytes_p50: int
    bytes_p90: int
    bytes_max: int
    types: dict[str, int]


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives as they are told once, marked: telling them takes seconds, so whoever makes many loads keeps them."""

    events: list[tuple[str, str]]  # The id of each and its text, in the order in which they happened.
    types: dict[str, int]
    known: str  # The event about somebody who is known by a number.

    def write(self, path: Path) -> None:
        """All of it in *path*."""
        path.write_bytes(TypeAdapter(type(self)).dump_json(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        return TypeAdapter(cls).validate_json(path.read_bytes())


@cache
def lives(mix: Mix, subscribers: int = STORY_SUBSCRIBERS) -> Lives:
    """The lives of so many people, as far as *mix* tells them."""
    told = tell(SEED, subscribers).happenings
    happenings = [one for one in told if mix is Mix.EVERYTHING or _fits(one)]
    return Lives(
        events=[_event(one) for one in happenings],
        types=dict(Counter(one.type for one in happenings).most_common()),
        known=_template([one for one in told if _fits(one)]).decode(),
    )


class Corpus:
    """Events without end.  Generations count on from *first_generation*: who takes another never meets the same id.

    So many *tracks* are told in turn, each at another place of its lives: what comes within a moment is of as many
    people as live at once, and of every season.
    """

    def __init__(self, first_generation: int, told: Lives, tracks: int = 1) -> None:
        self._generation = first_generation
        self._tracks = tracks
        self._told = told
        self._marked = [(fact_id.encode(), body.encode()) for fact_id, body in self._told.events]
        self._known = self._told.known.encode()

    def fresh(self) -> Iterator[Event]:
        """The lives of ever new people, each in the order in which they happened."""
        begins = (len(self._marked) * track // self._tracks for track in range(self._tracks))
        for turn in zip(*(self._track(begin) for begin in begins), strict=True):
            yield from turn

    def _track(self, begin: int) -> Iterator[Event]:
        """One generation after the other; of the first, what is left from *begin* on."""
        while True:
            mark = self._next_mark()
            for fact_id, body in self._marked[begin:]:
                yield Event(fact_id.replace(MARK, mark).decode(), body.replace(MARK, mark))
            begin = 0

    def about(self, subscribers: Iterable[int], created: int) -> Iterator[Event]:
        """One event for each of *subscribers*, people known by their numbers: it changes the seats of `sub_…<number>`.

        It happened in the second *created*; another second says another number of seats.
        """
        mark = self._next_mark()
        turned = _dated(self._known, created).replace(MARK, mark)
        for number in subscribers:
            fact_id, customer, subscription = known_ids(number, mark)
            body = turned.replace(b"evt_KNOWN", fact_id).replace(b"cus_KNOWN", customer)
            yield Event(fact_id.decode(), body.replace(b"sub_KNOWN", subscription))

    def sizes(self) -> Sizes:
        """What a generation is made of."""
        lengths = sorted(len(body) for _, body in self._marked)
        return Sizes(
            events=len(lengths),
            bytes_min=lengths[0],
            bytes_p50=lengths[len(lengths) // 2],
            bytes_p90=lengths[len(lengths) * 9 // 10],
            bytes_max=lengths[-1],
            types=self._told.types,
        )

    def _next_mark(self) -> bytes:
        mark = generation_mark(self._generation)
        self._generation += 1
        return mark


def generation_mark(generation: int) -> bytes:
    """Eight characters that stand for *generation*, in base 36."""
    figures = []
    for _ in MARK:
        generation, figure = divmod(generation, len(_DIGITS))
        figures.append(_DIGITS[figure])
    if generation:
        raise ValueError("a generation has eight figures of base 36")
    return "".join(reversed(figures)).encode()


def known_ids(number: int, mark: bytes) -> tuple[bytes, bytes, bytes]:
    """The ids of an event of generation *mark*, of the customer and of the subscription known by *number*."""
    return b"evt_%b%016d" % (mark, number), b"cus_%014d" % number, b"sub_%024d" % number


def _fits(happening: Happening) -> bool:
    return happening.type.startswith(SUBSCRIPTION_TYPES) and BYTES_MIN <= len(_body(happening)) <= BYTES_MAX


def _body(happening: Happening) -> bytes:
    return shapes.wire(shapes.render(happening, shapes.BASIL))


def _event(happening: Happening) -> tuple[str, str]:
    """Its id and its text."""
    text = _marked(_body(happening))
    if happening.type.startswith(_CATALOG_TYPES):
        text = _CATALOG_IDS.sub(rb"\1" + MARK, text)
    return _marked(happening.event_id.encode()).decode(), text.decode()


def _marked(text: bytes) -> bytes:
    assert MARK not in text, "the mark is ours alone"
    return _IDS.sub(lambda found: (found[1] or found[2]) + MARK, text)


def _template(happenings: list[Happening]) -> bytes:
    """A change of seats in the middle of a subscription of one item, with its names and numbers left open."""
    events = (shapes.render(one, shapes.BASIL) for one in happenings if one.type == "customer.subscription.updated")
    event = next(event for event in events if _changes_seats_alone(event))
    shown, before = event["data"]["object"], event["data"]["previous_attributes"]
    customer, subscription = shown["customer"], shown["id"]
    event |= {"id": "evt_KNOWN", "created": _CREATED}
    shown["metadata"] = {}
    shown["items"]["data"][0]["quantity"] = _QUANTITY
    before["items"]["data"][0]["quantity"] = _QUANTITY_BEFORE
    text = json.dumps(event, indent=2, ensure_ascii=False).encode()
    known = text.replace(customer.encode(), b"cus_KNOWN").replace(subscription.encode(), b"sub_KNOWN")
    return _marked(known)


def _changes_seats_alone(event: dict[str, Any]) -> bool:
    after, previous = event["data"]["object"], event["data"]["previous_attributes"]
    if set(previous) != {"items"} or len(after["items"]["data"]) != 1 or after["status"] != "active":
        return False
    was = previous["items"]["data"][0]
    return bool(was | {"quantity": None} == after["items"]["data"][0] | {"quantity": None})


def _dated(template: bytes, created: int) -> bytes:
    seats = created % SEATS_MAX + 1
    told = {_CREATED: created, _QUANTITY: seats, _QUANTITY_BEFORE: seats - 1}
    for stand_in, value in told.items():
        template = template.replace(b"%d" % stand_in, b"%d" % value)
    return template
