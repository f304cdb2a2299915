"""The demo's verdict: what was sent, what became of it, and whether the two agree.  Pure sums, no I/O.

Everything is compared with somebody who knows nothing of us: the sender's journal, the pretend Stripe's own books, and
an oracle that folds the accepted events by itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import quantiles
from typing import Any, Final

from consumers.reader import Event
from simulator.books import Books
from simulator.delivery import Journal
from simulator.oracle import Snapshot
from simulator.states import SubscriptionState

Row = Mapping[str, Any]

CHANGED: Final = "billing.subscription.changed.v1"
MOMENTS: Final = ("current_period_start", "current_period_end", "trial_end", "cancel_at", "canceled_at")
COMPARED: Final = (
    "customer_id",
    "status",
    "plan",
    "price_lookup_key",
    "billing_interval",
    "quantity",
    "cancel_at_period_end",
    *MOMENTS,
    "livemode",
)
"""The columns of the reports that the story has an opinion about."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both sides have to show, once everything has come to rest."""

    journal: Journal
    books: Books
    oracle: Mapping[str, Sequence[Snapshot]]  # Of the accepted events only.
    facts: Sequence[Row]
    subscriptions: Sequence[Row]
    history: Sequence[Row]
    emitted: Sequence[Event]


@dataclass(frozen=True, slots=True)
class PlanLine:
    """Subscriptions of one plan and status: as the story expects, and as we report."""

    plan: str
    status: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The table at the end.  It holds when nothing was lost, nothing counted twice, and all that is compared agrees."""

    sent: int
    accepted: int
    accepted_distinct: int
    duplicates_dropped: int
    committed: int
    parked: int
    emitted: int
    re_sent: int
    lost: int
    double_effects: int
    sequence_gaps: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    plans: tuple[PlanLine, ...]
    subscriptions_expected: int
    subscriptions_found: int
    subscriptions_wrong: int
    versions_expected: int
    versions_found: int
    histories_wrong: int
    last_events_wrong: int
    never_accepted: int

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not agree, one sentence each."""
        found = {
            f"{self.never_accepted} events were never accepted.": self.never_accepted,
            f"{self.lost} accepted events are not in the books.": self.lost,
            f"{self.parked} events wait in parking.": self.parked,
            f"{self.double_effects} effects happened twice.": self.double_effects,
            f"{self.sequence_gaps} events are missing between others in the topic.": self.sequence_gaps,
            f"{self.subscriptions_wrong} subscriptions are not as the story has them.": self.subscriptions_wrong,
            f"{self.histories_wrong} histories are not as the oracle has them.": self.histories_wrong,
            f"{self.last_events_wrong} subscriptions have a wrong last event.": self.last_events_wrong,
        }
        return tuple(sentence for sentence, count in found.items() if count)

    @property
    def holds(self) -> bool:
        """Whether the numbers agree."""
        return not self.problems and self.committed > 0

    def as_json(self) -> dict[str, Any]:
        """The whole verdict for a program."""
        return asdict(self) | {"holds": self.holds, "problems": list(self.problems)}


def judge(evidence: Evidence) -> Verdict:
    """Hold what we have to show against what the story, its sender and the oracle know."""
    journal, states = evidence.journal, evidence.books.states
    accepted = journal.first_accepted.keys()
    facts = [row for row in evidence.facts if row["source"] == "stripe"]
    p50, p95, p99 = _percentiles(_latencies_ms(journal, facts))
    return Verdict(
        sent=len(journal.tries),
        accepted=journal.accepted_count,
        accepted_distinct=len(accepted),
        duplicates_dropped=journal.accepted_count - len(accepted),
        committed=len({row["fact_id"] for row in facts if row["outcome"] != "parked"}),
        parked=sum(row["outcome"] == "parked" for row in facts),
        emitted=len({event.id for event in evidence.emitted}),
        re_sent=len(evidence.emitted) - len({event.id for event in evidence.emitted}),
        lost=len(accepted - {row["fact_id"] for row in facts}),
        double_effects=_double_effects(evidence, facts),
        sequence_gaps=_sequence_gaps(evidence.emitted),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        plans=_plan_lines(evidence),
        subscriptions_expected=len(states),
        subscriptions_found=len(evidence.subscriptions),
        subscriptions_wrong=_subscriptions_wrong(states, evidence.subscriptions),
        versions_expected=sum(map(len, evidence.oracle.values())),
        versions_found=len(evidence.history),
        histories_wrong=_histories_wrong(evidence),
        last_events_wrong=_last_events_wrong(evidence),
        never_accepted=len({one.event_id for one in journal.tries} - accepted),
    )


# How the two sides are brought to one language.


def _expected(state: SubscriptionState) -> dict[str, Any]:
    known = asdict(state)
    return {name: known[name] for name in COMPARED}


def _found(row: Row) -> dict[str, Any]:
    return {name: _second(row[name]) if name in MOMENTS else row[name] for name in COMPARED}


def _second(moment: datetime | str | None) -> int | None:
    if moment is None:
        return None
    return int((datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp())


# What is counted.


def _latencies_ms(journal: Journal, facts: Iterable[Row]) -> list[float]:
    """From the first 2xx, as its sender saw it, to the commit, which may come before the sender reads its answer."""
    since = journal.first_accepted
    return [
        max(0.0, (row["committed_at"].timestamp() - since[row["fact_id"]]) * 1000)
        for row in facts
        if row["fact_id"] in since
    ]


def _percentiles(latencies: Sequence[float]) -> tuple[float, float, float]:
    if len(latencies) < 2:  # noqa: PLR2004  Of one value there are no quantiles.
        return (0.0, 0.0, 0.0)
    cuts = quantiles(latencies, n=100, method="inclusive")
    return (cuts[49], cuts[94], cuts[98])


def _double_effects(evidence: Evidence, facts: Sequence[Row]) -> int:
    """Facts with more than one row, one thing said under two ids, and versions that no event made."""
    rows_too_many = len(facts) - len({row["fact_id"] for row in facts})
    versions = Counter(row["subscription_id"] for row in evidence.history)
    versions_too_many = sum(
        max(0, count - len(evidence.oracle.get(subscription_id, ()))) for subscription_id, count in versions.items()
    )
    return rows_too_many + _said_twice(evidence.emitted) + versions_too_many


def _said_twice(emitted: Iterable[Event]) -> int:
    """Events that say the same of the same cause, or stand in the same place, under another id.

    The relay sends again after a crash; that keeps the id, and counts as re-sent, never as an effect.
    """
    by_content: defaultdict[object, set[str]] = defaultdict(set)
    by_place: defaultdict[object, set[str]] = defaultdict(set)
    for event in emitted:
        by_content[event.key, event.account_seq, event.type, event.subject].add(event.id)
        by_place[event.key, event.sequence].add(event.id)
    return sum(len(ids) - 1 for ids in (*by_content.values(), *by_place.values()))


def _sequence_gaps(emitted: Iterable[Event]) -> int:
    """How many events are missing: each account's sequence runs from 1 without a gap."""
    seen: defaultdict[str, set[int]] = defaultdict(set)
    for event in emitted:
        seen[event.key].add(event.sequence or 0)
    return sum(max(sequences) - len(sequences) for sequences in seen.values())


def _plan_lines(evidence: Evidence) -> tuple[PlanLine, ...]:
    expected = evidence.books.counts()
    found = Counter((row["plan"] or "none", row["status"]) for row in evidence.subscriptions)
    kinds = sorted(expected.keys() | found.keys())
    return tuple(PlanLine(plan, status, expected[plan, status], found[plan, status]) for plan, status in kinds)


def _subscriptions_wrong(states: Mapping[str, SubscriptionState], rows: Iterable[Row]) -> int:
    expected = {subscription_id: _expected(state) for subscription_id, state in states.items()}
    found = {row["subscription_id"]: _found(row) for row in rows}
    return sum(expected.get(name) != found.get(name) for name in expected.keys() | found.keys())


def _histories_wrong(evidence: Evidence) -> int:
    expected = {name: [_expected(one.after) for one in line] for name, line in evidence.oracle.items()}
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(evidence.history, key=lambda row: int(row["version"])):
        found[row["subscription_id"]].append(_found(row))
    return sum(expected.get(name) != found.get(name) for name in expected.keys() | found.keys())


def _last_events_wrong(evidence: Evidence) -> int:
    """Who only reads the topic must come to the same end as who reads the table.

    A sequence counts within one account.  A customer whom the platform names late leaves the account of its own for the
    one it was named by, and is heard of there afterwards: so that account's events are the later ones.
    """
    owners = {row["subscription_id"]: row["account_id"] for row in evidence.subscriptions}
    changes = [event for event in evidence.emitted if event.type == CHANGED and event.subject is not None]
    changes.sort(key=lambda event: (event.key == owners.get(event.subject or ""), event.sequence or 0))
    last = {event.subject: event for event in changes}
    return sum(
        name not in last or _found(last[name].data) != _expected(state) for name, state in evidence.books.states.items()
    )
