"""A play's verdict: what was sent, what became of it, and whether the two agree.  Pure sums, no I/O.

Everything is compared with somebody who knows nothing of us: the journal of who delivered, and the pretend Stripe's own
books, which never saw an event.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import quantiles
from typing import Any, Final

from consumers.reader import Event

Row = Mapping[str, Any]

CHANGED: Final = "billing.subscription.changed.v1"
UNTOLD: Final = frozenset({"kind", "tax_minor", "discount_minor", "invoice_id"})
"""What Stripe need not have said of a payment while nothing was paid: since basil it names no invoice."""

COMPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "subscriptions": (
        *("customer_id", "status", "plan", "price_lookup_key", "billing_interval", "quantity"),
        *("current_period_start", "current_period_end", "trial_end", "cancel_at", "cancel_at_period_end"),
        *("canceled_at", "livemode"),
    ),
    "payments": (
        *("customer_id", "kind", "status", "currency", "amount_minor", "tax_minor", "discount_minor"),
        *("refunded_minor", "disputed_minor", "invoice_id", "payment_intent_id", "charge_id", "failure_code"),
    ),
    "refunds": (*("charge_id", "payment_intent_id", "status", "currency", "amount_minor", "reason", "failure_reason"),),
    "disputes": (
        *("charge_id", "payment_intent_id", "status", "currency", "amount_minor", "withdrawn_minor", "reason"),
    ),
    "invoices": (
        *("customer_id", "subscription_id", "status", "billing_reason", "currency", "total_minor", "tax_minor"),
        *("discount_minor", "amount_due_minor", "amount_paid_minor", "amount_remaining_minor", "attempt_count"),
    ),
    "customers": ("deleted", "livemode", "since"),
}
"""What both sides have an opinion about: the columns of each report beside its key, which is `<kind>_id`."""

SUMS: Final = ("amount_minor", "refunded_minor", "disputed_minor")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both sides have to show, once everything has come to rest."""

    tries: Sequence[Row]  # Of the deliveries, as who delivered has them.
    dropped: int
    books: Mapping[str, Mapping[str, Row]]  # By report and id.
    reports: Mapping[str, Sequence[Row]]
    facts: Sequence[Row]
    emitted: Sequence[Event]


@dataclass(frozen=True, slots=True)
class PlanLine:
    """Subscriptions of one plan and status: as Stripe's books have them, and as we report."""

    plan: str
    status: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One report: how many there are by Stripe's books, how many we have, and how many are not the same."""

    report: str
    expected: int
    found: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Takings:
    """What was paid, given back and disputed in one currency, in minor units: theirs, and ours."""

    currency: str
    expected: tuple[int, int, int]
    found: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The table at the end.  It holds when nothing was lost, nothing counted twice, and all that is compared agrees."""

    sent: int
    accepted: int
    accepted_distinct: int
    dropped: int
    duplicates_dropped: int
    committed: int
    parked: int
    waiting: int
    emitted: int
    re_sent: int
    lost: int
    never_accepted: int
    double_effects: int
    sequence_gaps: int
    last_events_wrong: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    plans: tuple[PlanLine, ...]
    compared: tuple[Compared, ...]
    takings: tuple[Takings, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not agree, one sentence each."""
        found = {
            f"{self.never_accepted} events were never accepted.": self.never_accepted,
            f"{self.lost} accepted events are not in the books.": self.lost,
            f"{self.parked} events wait in parking.": self.parked,
            f"{self.waiting} events wait for their owner.": self.waiting,
            f"{self.double_effects} effects happened twice.": self.double_effects,
            f"{self.sequence_gaps} events are missing between others in the topics.": self.sequence_gaps,
            f"{self.last_events_wrong} subscriptions have a wrong last event.": self.last_events_wrong,
        }
        for one in self.compared:
            found[f"{one.wrong} {one.report} are not as Stripe's books have them."] = one.wrong
        for sums in self.takings:
            found[f"The sums in {sums.currency} are not the same."] = sums.expected != sums.found
        return tuple(sentence for sentence, count in found.items() if count)

    @property
    def holds(self) -> bool:
        """Whether the numbers agree."""
        return not self.problems and self.committed > 0

    def as_json(self) -> dict[str, Any]:
        """The whole verdict for a program."""
        return asdict(self) | {"holds": self.holds, "problems": list(self.problems)}


def judge(evidence: Evidence) -> Verdict:
    """Hold what we have to show against what Stripe's books and its deliveries know."""
    since = _first_accepted(evidence.tries)
    facts = [row for row in evidence.facts if row["source"] == "stripe"]
    outcomes = Counter(row["outcome"] for row in facts)
    p50, p95, p99 = _percentiles(_latencies_ms(since, facts))
    accepted_count = sum(one["accepted"] for one in evidence.tries)
    emitted = {event.id for event in evidence.emitted}
    return Verdict(
        sent=len(evidence.tries),
        accepted=accepted_count,
        accepted_distinct=len(since),
        dropped=evidence.dropped,
        duplicates_dropped=accepted_count - len(since),
        committed=len({row["fact_id"] for row in facts if row["outcome"] not in {"parked", "waiting"}} & set(since)),
        parked=outcomes["parked"],
        waiting=outcomes["waiting"],
        emitted=len(emitted),
        re_sent=len(evidence.emitted) - len(emitted),
        lost=len(since.keys() - {row["fact_id"] for row in facts}),
        never_accepted=len({one["event_id"] for one in evidence.tries} - since.keys()),
        double_effects=len(facts) - len({row["fact_id"] for row in facts}) + _said_twice(evidence.emitted),
        sequence_gaps=_sequence_gaps(evidence.emitted),
        last_events_wrong=_last_events_wrong(evidence),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        plans=_plan_lines(evidence),
        compared=tuple(_compared(evidence, report) for report in COMPARED),
        takings=_takings(evidence),
    )


# How the two sides are brought to one language.


def _shown(report: str, row: Row) -> dict[str, Any]:
    """What is compared of a row of either side; moments are whole seconds."""
    names = COMPARED[report]
    if report == "payments" and row["status"] != "succeeded":
        names = tuple(name for name in names if name not in UNTOLD)
    return {name: _second(row[name]) if isinstance(row[name], datetime) else row[name] for name in names}


def _second(moment: datetime) -> int:
    return int(moment.timestamp())


def _key(report: str) -> str:
    return f"{report.removesuffix('s')}_id"


# What is counted.


def _first_accepted(tries: Iterable[Row]) -> dict[str, float]:
    """When each event had its first 2xx, in wall time."""
    since: dict[str, float] = {}
    for one in tries:
        if one["accepted"]:
            since[one["event_id"]] = min(one["answered_at"], since.get(one["event_id"], one["answered_at"]))
    return since


def _latencies_ms(since: Mapping[str, float], facts: Iterable[Row]) -> list[float]:
    """From the first 2xx, as its sender saw it, to the commit, which may come before the sender reads its answer."""
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


def _said_twice(emitted: Iterable[Event]) -> int:
    """Events that say the same of the same cause, or stand in the same place, under another id.

    The relay sends again after a crash; that keeps the id, and counts as re-sent, never as an effect.  What is said of
    no account has no place.
    """
    by_content: defaultdict[object, set[str]] = defaultdict(set)
    by_place: defaultdict[object, set[str]] = defaultdict(set)
    for event in emitted:
        if event.account_seq is not None:
            by_content[event.key, event.account_seq, event.type, event.subject].add(event.id)
        if event.sequence is not None:
            by_place[event.topic, event.key, event.sequence].add(event.id)
    return sum(len(ids) - 1 for ids in (*by_content.values(), *by_place.values()))


def _sequence_gaps(emitted: Iterable[Event]) -> int:
    """How many events are missing: each account's sequence runs from 1 without a gap, topic by topic.

    What is said of no account, because nobody knows an owner yet, has no place in any.
    """
    seen: defaultdict[object, set[int]] = defaultdict(set)
    for event in emitted:
        if event.sequence is not None:
            seen[event.topic, event.key].add(event.sequence)
    return sum(max(sequences) - len(sequences) for sequences in seen.values())


def _plan_lines(evidence: Evidence) -> tuple[PlanLine, ...]:
    expected = Counter((row["plan"] or "none", row["status"]) for row in evidence.books["subscriptions"].values())
    found = Counter((row["plan"] or "none", row["status"]) for row in evidence.reports["subscriptions"])
    kinds = sorted(expected.keys() | found.keys())
    return tuple(PlanLine(plan, status, expected[plan, status], found[plan, status]) for plan, status in kinds)


def _compared(evidence: Evidence, report: str) -> Compared:
    expected = {of: _shown(report, row) for of, row in evidence.books[report].items()}
    found = {row[_key(report)]: _shown(report, row) for row in evidence.reports[report]}
    wrong = sum(expected.get(of) != found.get(of) for of in expected.keys() | found.keys())
    return Compared(report, len(expected), len(found), wrong)


def _takings(evidence: Evidence) -> tuple[Takings, ...]:
    expected = _sums(evidence.books["payments"].values())
    found = _sums(evidence.reports["payments"])
    return tuple(
        Takings(currency, expected[currency], found[currency]) for currency in sorted(expected.keys() | found.keys())
    )


def _sums(payments: Iterable[Row]) -> defaultdict[str, tuple[int, int, int]]:
    """What was paid, given back and disputed, by currency."""
    sums: defaultdict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for row in payments:
        if row["status"] == "succeeded":
            paid, refunded, disputed = (had + row[name] for had, name in zip(sums[row["currency"]], SUMS, strict=True))
            sums[row["currency"]] = (paid, refunded, disputed)
    return sums


def _last_events_wrong(evidence: Evidence) -> int:
    """Who only reads the topic must come to the same end as who reads the table.

    A sequence counts within one account.  A customer whom the platform names late leaves the account of its own for the
    one it was named by, and is heard of there afterwards: so that account's events are the later ones.
    """
    rows = {row["subscription_id"]: row for row in evidence.reports["subscriptions"]}
    changes = [event for event in evidence.emitted if event.type == CHANGED and event.subject in rows]
    changes.sort(key=lambda event: (event.key == rows[event.subject or ""]["account_id"], event.sequence or 0))
    last = {event.subject: _told(event) for event in changes}
    return sum(last.get(of) != _shown("subscriptions", row) for of, row in rows.items())


def _told(event: Event) -> dict[str, Any]:
    """What an event says, in the words of its report: moments are written in ISO 8601."""
    written = {name: event.data[name] for name in COMPARED["subscriptions"]}
    moments = {name for name in written if name.endswith(("_start", "_end", "_at")) and name != "cancel_at_period_end"}
    return {
        name: _second(datetime.fromisoformat(value)) if name in moments and value is not None else value
        for name, value in written.items()
    }
