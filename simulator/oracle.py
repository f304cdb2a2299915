"""The oracle: what anybody could know of the subscriptions from a set of events, whatever order they came in.

A pure fold that shares no code with those it judges.  Snapshots are put in order by: an end after everything else;
then `created`; then created < others < deleted; then the permutation whose `previous_attributes` chain mismatches
least; then the smallest sequence of event ids.  The chain of a second starts from the last snapshot before it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from simulator.happenings import Json
from simulator.states import SubscriptionState

SUBSCRIPTION_EVENT: Final = "customer.subscription."
ENDS: Final = ("canceled", "incomplete_expired")
PLANS: Final = {
    "free_monthly": "free",
    "mid_monthly": "mid",
    "mid_yearly": "mid",
    "high_monthly": "high",
    "high_yearly": "high",
}
BRUTE_FORCE_MAX: Final = 6
"""Up to 720 permutations are simply tried; above that the search is over sets instead of sequences."""


class Told(Protocol):
    """What is known of an object at one time."""

    def differences(self, other: Any, /) -> int:
        """In how many ways another time was different."""


class Link(Protocol):
    """A link of a chain: how something stood before, as far as is told, and after."""

    @property
    def before(self) -> Told | None:
        """Before; None for what begins."""

    @property
    def after(self) -> Told:
        """After."""


LinkT = TypeVar("LinkT", bound=Link)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One event about one subscription: how it stood before, as far as the event tells, and after."""

    event_id: str
    type: str
    created: int
    before: SubscriptionState | None  # None for the first one: nothing was before it, so it fits anywhere.
    after: SubscriptionState

    @property
    def place(self) -> tuple[bool, int, int]:
        """Where it belongs, as far as it can be said without its neighbours."""
        kind = self.type.removeprefix(SUBSCRIPTION_EVENT)
        return (self.after.status in ENDS, self.created, {"created": 0, "deleted": 2}.get(kind, 1))


def fold(events: Iterable[Json]) -> dict[str, tuple[Snapshot, ...]]:
    """Per subscription all its snapshots in their one order; the last one is how it stands."""
    by_subscription: defaultdict[str, dict[str, Snapshot]] = defaultdict(dict)
    for event in events:
        if event["type"].startswith(SUBSCRIPTION_EVENT):
            # Of two events with one id the first counts.
            by_subscription[event["data"]["object"]["id"]].setdefault(event["id"], snapshot_of(event))
    return {subscription_id: in_order(known.values()) for subscription_id, known in by_subscription.items()}


def final_states(events: Iterable[Json]) -> dict[str, SubscriptionState]:
    """How each subscription stands."""
    return {subscription_id: history[-1].after for subscription_id, history in fold(events).items()}


def snapshot_of(event: Json) -> Snapshot:
    """What one event says, in whichever API version it says it."""
    after = event["data"]["object"]
    # An event that tells of no change only observes: its state was the same before.
    before = put_back(after, event["data"].get("previous_attributes") or {})
    begins = event["type"] == f"{SUBSCRIPTION_EVENT}created"
    return Snapshot(
        event_id=event["id"],
        type=event["type"],
        created=event["created"],
        before=None if begins else read_subscription(before),
        after=read_subscription(after),
    )


def put_back(after: Json, previous: Json) -> Json:
    """The object as it was before: hashes are merged, everything else is replaced."""
    before = deepcopy(after)
    for key, old in previous.items():
        new = before.get(key)
        before[key] = put_back(new, old) if isinstance(old, dict) and isinstance(new, dict) else deepcopy(old)
    return before


def read_subscription(body: Json) -> SubscriptionState:
    """The visible state of a subscription, in any shape."""
    items = body["items"]["data"]
    item: Json = next((item for item in items if item["price"]["lookup_key"] in PLANS), {})
    price = item.get("price") or {}
    period = body if "current_period_start" in body else (item or items[0])
    return SubscriptionState(
        subscription_id=body["id"],
        customer_id=body["customer"],
        status=body["status"],
        plan=PLANS.get(price.get("lookup_key", "")),
        price_lookup_key=price.get("lookup_key"),
        billing_interval=(price.get("recurring") or {}).get("interval"),
        quantity=item.get("quantity"),
        current_period_start=period.get("current_period_start"),
        current_period_end=period.get("current_period_end"),
        trial_end=body["trial_end"],
        cancel_at=body["cancel_at"],
        cancel_at_period_end=body["cancel_at_period_end"],
        canceled_at=body["canceled_at"],
        collection_paused=body["pause_collection"] is not None,
        livemode=body["livemode"],
    )


def in_order(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """The one order of these snapshots of one subscription."""
    ordered: list[Snapshot] = []
    for _, tied in itertools.groupby(sorted(snapshots, key=lambda one: one.place), key=lambda one: one.place):
        start = ordered[-1] if ordered else None
        ordered.extend(best_chain(start, sorted(tied, key=lambda one: one.event_id)))
    return tuple(ordered)


def best_chain(start: LinkT | None, tied: Sequence[LinkT]) -> Sequence[LinkT]:
    """The permutation of *tied* (given in the order of their ids) that fits best after *start*."""
    if len(tied) <= BRUTE_FORCE_MAX:
        # Permutations come in the order of ids and `min` keeps the first: the smallest ids win a tie.
        return min(itertools.permutations(tied), key=lambda chain: chain_cost(start, chain))
    return _best_chain_of_many(start, tied)


def chain_cost(start: Link | None, chain: Sequence[Link]) -> int:
    """How many visible fields do not fit, over all links of the chain."""
    links: Iterable[tuple[Link, Link]] = itertools.pairwise([start, *chain] if start else chain)
    return sum(_link_cost(earlier, later) for earlier, later in links)


def _link_cost(earlier: Link, later: Link) -> int:
    return earlier.after.differences(later.before) if later.before else 0


def _best_chain_of_many(start: LinkT | None, tied: Sequence[LinkT]) -> Sequence[LinkT]:
    """Held and Karp's way: the cheapest completion of every set of what is left, and then the smallest ids along it.

    `cheapest[left][last]` is what it costs to put the snapshots of the bit set `left` behind number `last`.
    """
    count, everything = len(tied), (1 << len(tied)) - 1
    links = [[_link_cost(one, other) for other in tied] for one in tied]
    firsts = [_link_cost(start, other) if start else 0 for other in tied]
    cheapest = [[0] * count for _ in range(everything + 1)]
    for left in range(1, everything):
        members = _members(left, count)
        for last in range(count):
            cheapest[left][last] = min(links[last][k] + cheapest[left ^ (1 << k)][k] for k in members)

    chain, left, costs = [], everything, firsts
    while left:
        # `min` keeps the first, and numbers follow the ids.
        k = min(_members(left, count), key=lambda k: costs[k] + cheapest[left ^ (1 << k)][k])
        chain.append(tied[k])
        left, costs = left ^ (1 << k), links[k]
    return chain


def _members(bits: int, count: int) -> list[int]:
    return [k for k in range(count) if bits >> k & 1]
