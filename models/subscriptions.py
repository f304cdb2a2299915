"""What a subscription is now and has been, whatever order the facts come in.

Every fact carries the whole subscription, so the present is simply the last fact: the question is which one is last.
Stripe does not keep order, and its `created` has one-second resolution, so neither `<` nor `<=` on it is right.  The
order of ours, from the strongest reason to the weakest:

1. **end**: a snapshot of an ended subscription comes after every living one.  Ends are final.
2. **created**: the second in which Stripe made the event.
3. **rank**: within a second `created` comes first and `deleted` last.
4. **chain**: the rest of one second is put in the order in which each fact's `previous_attributes` fit the fact before
   it best, starting from the last fact of the second before.
5. **event id**: what even that leaves open is decided by id, the same way everywhere, and counted as ambiguous.

A *line* is the history of one subscription in that order, or the newest part of it that a fact can still move.  A late,
older fact is woven in where it belongs; it amends the history and leaves the present alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import ne
from typing import Final, NamedTuple

from models.base import Decision, Envelope, Model, Moment, Note, Refusal
from models.catalog import Catalog, Offer
from models.events import AlertRaised, Event, Rule, SubscriptionAmended, SubscriptionChanged
from models.stripe_events import Item, Snapshot, SubscriptionSeen

CHAIN_FACTS_MAX: Final = 9
"""So many facts of one second and rank are put in order by their chain; a larger crowd is ordered by event id."""


class Status(StrEnum):
    """Stripe's statuses (https://docs.stripe.com/api/subscriptions/object#subscription_object-status)."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.INCOMPLETE: frozenset({Status.ACTIVE, Status.TRIALING, Status.INCOMPLETE_EXPIRED, Status.CANCELED}),
    Status.INCOMPLETE_EXPIRED: frozenset(),  # The end: the first invoice was never paid.
    Status.TRIALING: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.ACTIVE: frozenset({Status.TRIALING, Status.PAST_DUE, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.PAST_DUE: frozenset({Status.ACTIVE, Status.TRIALING, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.UNPAID: frozenset({Status.ACTIVE, Status.TRIALING, Status.PAST_DUE, Status.CANCELED}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.TRIALING, Status.PAST_DUE, Status.CANCELED}),
    Status.CANCELED: frozenset(),  # The end: Stripe starts a new subscription instead.
}
"""Where each status can go.  We follow Stripe wherever it goes; only the ends are ours to hold."""
assert set(ARROWS) == set(Status), "every status has its arrows, even if none"

ENDS: Final = frozenset(status for status, arrows in ARROWS.items() if not arrows)


class State(Model):
    """A subscription as we show it: what `reports.subscriptions` and our events are made of."""

    customer_id: str
    status: Status
    plan: str | None
    price_lookup_key: str | None
    billing_interval: str | None
    quantity: int | None
    current_period_start: Moment | None
    current_period_end: Moment | None
    trial_end: Moment | None
    cancel_at: Moment | None
    cancel_at_period_end: bool
    canceled_at: Moment | None
    collection_paused: bool
    livemode: bool


Second = tuple[bool, datetime]
"""Whether the subscription has ended, and when: a group in which only rank, chain and id can tell the order."""


@dataclass(frozen=True, slots=True)
class Version:
    """The subscription as one fact showed it, and where that fact stands in the line."""

    fact_id: str
    occurred_at: datetime
    rank: int
    state: State
    before: State | None  # With the previous attributes put back; None when the fact tells no change.
    ordinal: int = 0  # Its place within its second.

    @property
    def ended(self) -> bool:
        """Whether the subscription is over in this version."""
        return self.state.status in ENDS

    @property
    def second(self) -> Second:
        """The group in which only rank, chain and id can tell the order."""
        return (self.ended, self.occurred_at)


Line = tuple[Version, ...]
"""Versions in order.  Of the oldest second in it, all or only the last one may be there: see `books.floors`."""


@dataclass(frozen=True, slots=True)
class Woven:
    """A line with one more fact in it."""

    line: Line
    ambiguous: bool


def second_of(heard: Envelope, seen: SubscriptionSeen) -> Second:
    """The second that one fact's version belongs to, without making the version."""
    return (seen.after.status in ENDS, heard.occurred_at)


def version_of(heard: Envelope, seen: SubscriptionSeen, catalog: Catalog) -> Version:
    """What one fact makes of the subscription, before anything else is known about it."""
    return Version(
        fact_id=heard.id,
        occurred_at=heard.occurred_at,
        rank=_rank(heard.type),
        state=state_of(seen.after, catalog),
        before=state_of(seen.before, catalog) if seen.before else None,
    )


def decide(line: Line, new: Version, *, subscription_id: str, account_id: str) -> Decision[Line, Event]:
    """Weave *new* into *line* and say what changed by it; a fact that is in it already changes nothing."""
    if any(version.fact_id == new.fact_id for version in line):
        return Decision(line)
    woven = weave(line, new)
    before, after = line[-1] if line else None, woven.line[-1]
    place = next(index for index, version in enumerate(woven.line) if version.fact_id == new.fact_id)
    said: list[Event] = []
    if place < len(woven.line) - 1 and not _seen_beside(woven.line, place):
        said.append(amended(new, subscription_id=subscription_id, account_id=account_id))
    if before is None or before.state != after.state:
        said.append(changed(after, subscription_id=subscription_id, account_id=account_id))
        said.extend(_unknown_price(before, after, subscription_id=subscription_id, account_id=account_id))
    return Decision(
        woven.line,
        tuple(said),
        refusal=_refusal(woven.line, place, before),
        note=Note.AMBIGUOUS_ORDER if woven.ambiguous else None,
    )


def weave(line: Line, new: Version) -> Woven:
    """Put *new* where it belongs, and anew in order every second whose order hangs on it."""
    seconds = [tuple(group) for _, group in groupby(line, key=lambda version: version.second)]
    at = next((index for index, group in enumerate(seconds) if group[0].second >= new.second), len(seconds))
    joins = at < len(seconds) and seconds[at][0].second == new.second
    members = (*seconds[at], new) if joins else (new,)
    rest = seconds[at + 1 :] if joins else seconds[at:]
    done = seconds[:at]
    ordered, ambiguous = _in_order(members, done[-1][-1] if done else None)
    done.append(ordered)
    # The chain of a second starts at the last version of the one before: it may have to be told anew.
    for index, group in enumerate(rest):
        again, _ = _in_order(group, done[-1][-1])
        done.append(again)
        if again[-1].fact_id == group[-1].fact_id:
            done.extend(rest[index + 1 :])
            break
    return Woven(tuple(version for group in done for version in group), ambiguous)


def state_of(seen: Snapshot, catalog: Catalog) -> State:
    """Read a snapshot with the catalog in hand: the plan item is the one whose price is for sale."""
    item, offer = _plan_item(seen.items, catalog)
    return State(
        customer_id=seen.customer_id,
        status=Status(seen.status),
        plan=offer.plan if offer else None,
        price_lookup_key=offer.lookup_key if offer else item.lookup_key if item else None,
        billing_interval=item.interval if item else None,
        quantity=item.quantity if item else None,
        current_period_start=item.period_start if item else None,
        current_period_end=item.period_end if item else None,
        trial_end=seen.trial_end,
        cancel_at=seen.cancel_at,
        cancel_at_period_end=seen.cancel_at_period_end,
        canceled_at=seen.canceled_at,
        collection_paused=seen.collection_paused,
        livemode=seen.livemode,
    )


def changed(version: Version, *, subscription_id: str, account_id: str) -> SubscriptionChanged:
    """The event that says how the subscription is now."""
    return SubscriptionChanged(
        subject=subscription_id, account_id=account_id, as_of=version.occurred_at, **dict(version.state)
    )


def amended(version: Version, *, subscription_id: str, account_id: str) -> SubscriptionAmended:
    """The event that says how the subscription was once."""
    return SubscriptionAmended(
        subject=subscription_id, account_id=account_id, as_of=version.occurred_at, **dict(version.state)
    )


def _rank(fact_type: str) -> int:
    return {"customer.subscription.created": 0, "customer.subscription.deleted": 2}.get(fact_type, 1)


def _plan_item(items: Sequence[Item], catalog: Catalog) -> tuple[Item | None, Offer | None]:
    """The first item that is for sale; else the first one, with no offer."""
    for item in items:
        offer = catalog.offer(
            lookup_key=item.lookup_key, price_id=item.price_id, plan_hint=item.plan_hint, interval=item.interval
        )
        if offer:
            return item, offer
    return (items[0] if items else None), None


def _refusal(line: Line, place: int, before: Version | None) -> Refusal | None:
    new, last = line[place], line[-1]
    if before is None or last.fact_id != before.fact_id:
        return None  # The present is another fact now: this one, or one of its second that it put in another order.
    after_end = last.ended and not new.ended and any(end.ended and end.occurred_at < new.occurred_at for end in line)
    return Refusal.AFTER_END if after_end else Refusal.STALE


def _seen_beside(line: Line, place: int) -> bool:
    """Whether a neighbour shows the same state, so that this version tells nobody anything new."""
    neighbours = (*line[max(place - 1, 0) : place], *line[place + 1 : place + 2])
    return any(neighbour.state == line[place].state for neighbour in neighbours)


def _unknown_price(
    before: Version | None, after: Version, *, subscription_id: str, account_id: str
) -> tuple[AlertRaised, ...]:
    if after.state.plan is not None or (before is not None and before.state.plan is None):
        return ()
    alert = AlertRaised(
        rule=Rule.PRICE_NOT_IN_CATALOG,
        subject=subscription_id,
        account_id=account_id,
        customer_id=after.state.customer_id,
        as_of=after.occurred_at,
        detail="No item of this subscription has a price of the catalog: its plan is unknown until one is listed.",
    )
    return (alert,)


def _in_order(members: Sequence[Version], start: Version | None) -> tuple[Line, bool]:
    """The versions of one second in their order, numbered, and whether only their ids could tell it."""
    ordered: list[Version] = []
    ambiguous = False
    by_rank = sorted(members, key=lambda version: version.rank)
    for _, crowd in groupby(by_rank, key=lambda version: version.rank):
        chain, unsure = _best_chain(tuple(sorted(crowd, key=lambda version: version.fact_id)), start)
        ordered.extend(chain)
        ambiguous |= unsure
        start = ordered[-1]
    return tuple(_numbered(version, ordinal) for ordinal, version in enumerate(ordered)), ambiguous


def _numbered(version: Version, ordinal: int) -> Version:
    return version if version.ordinal == ordinal else replace(version, ordinal=ordinal)


class _Chain(NamedTuple):
    """A way through some of a second's versions: what does not fit on it, and whether another way fits as well."""

    misfits: int
    path: tuple[int, ...]
    unsure: bool = False


def _best_chain(crowd: Line, start: Version | None) -> tuple[Line, bool]:
    """The order in which each version fits the one before it best; ties go to the smaller ids.

    Held and Karp's way through all subsets, here sets of bits: the best chain through a set that ends in a given
    version.  *crowd* comes sorted by id, so that comparing paths by index compares them by id.
    """
    count = len(crowd)
    if count == 1 or count > CHAIN_FACTS_MAX:
        return crowd, count > CHAIN_FACTS_MAX
    links = [[_misfits(previous, version) for version in crowd] for previous in crowd]
    chains = {(1 << last, last): _Chain(_misfits(start, version), (last,)) for last, version in enumerate(crowd)}
    everyone = (1 << count) - 1
    for members in range(1, everyone + 1):  # Every set comes after its subsets.
        for last in range(count):
            others = members & ~(1 << last)
            if others and others != members:
                ends = (chains[others, previous] for previous in range(count) if others >> previous & 1)
                chains[members, last] = _best(crowd, [_extended(chain, last, links) for chain in ends])
    best = _best(crowd, [chains[everyone, last] for last in range(count)])
    return tuple(crowd[index] for index in best.path), best.unsure


def _extended(chain: _Chain, last: int, links: Sequence[Sequence[int]]) -> _Chain:
    return _Chain(chain.misfits + links[chain.path[-1]][last], (*chain.path, last), chain.unsure)


def _best(crowd: Line, chains: Sequence[_Chain]) -> _Chain:
    """The chain with the fewest misfits, unsure if another one has as few and tells another story."""
    first = min(chains)
    tied = [chain for chain in chains if chain.misfits == first.misfits]
    if len(tied) == 1:
        return first
    told = _told(crowd, first)
    return first._replace(unsure=any(chain.unsure or _told(crowd, chain) != told for chain in tied))


def _told(crowd: Line, chain: _Chain) -> list[State]:
    return [crowd[index].state for index in chain.path]


def _misfits(previous: Version | None, version: Version) -> int:
    """How many fields of the version before contradict what this one says was before it.

    A fact that tells no change (a trial's reminder, say) only observes: it fits behind a version that shows the same.
    A `created` fits anywhere, since nothing was before it.
    """
    if previous is None or version.rank == 0:
        return 0
    expected = version.before or version.state
    # Asked of every pair of a crowd; pydantic keeps fields in the order of their declaration.
    return sum(map(ne, vars(previous.state).values(), vars(expected).values()))
