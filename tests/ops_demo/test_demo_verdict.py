"""The verdict is the one judge of the demo, so every way of being wrong must turn it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.reader import Event
from ops.demo_verdict import CHANGED, MOMENTS, Evidence, judge
from simulator import oracle, shapes
from simulator.books import books_of
from simulator.delivery import Journal, Try
from simulator.states import SubscriptionState
from simulator.story import tell

WORLD = tell(21, 8)
EVENTS = {one.event_id: shapes.render(one, shapes.BASIL) for one in WORLD.happenings}
SENT_AT = 1_700_000_000.0


def as_row(state: SubscriptionState, **more: object) -> dict[str, Any]:
    """A state as our reports show it: moments instead of seconds."""
    row = asdict(state) | {"account_id": f"ac_{state.customer_id}"} | more
    return row | {name: row[name] and datetime.fromtimestamp(row[name], UTC) for name in MOMENTS}


def as_event(state: SubscriptionState, sequence: int, **changes: Any) -> Event:
    """The event that says *state*, as a reader of the topic finds it."""
    key, moment = f"ac_{state.customer_id}", datetime.fromtimestamp(SENT_AT, UTC)
    row = as_row(state)
    data = row | {name: row[name] and row[name].isoformat() for name in MOMENTS}
    said = Event(
        id=f"{state.subscription_id}/{sequence}",
        type=CHANGED,
        subject=state.subscription_id,
        time=moment,
        data=data,
        account_seq=sequence,
        sequence=sequence,
        key=key,
        topic="billing.subscriptions",
        partition=0,
        offset=0,
    )
    return replace(said, **changes)


def emitted() -> list[Event]:
    """One event for each subscription; the accounts count theirs without a gap."""
    counts: dict[str, int] = {}
    said = []
    for state in books_of(WORLD).states.values():
        counts[state.customer_id] = counts.get(state.customer_id, 0) + 1
        said.append(as_event(state, counts[state.customer_id]))
    return said


@pytest.fixture
def evidence() -> Evidence:
    """What there is to show when everything went well: each event sent twice, accepted twice, committed once."""
    journal = Journal()
    for event_id in (*EVENTS, *EVENTS):
        journal.note(Try(event_id, 1, SENT_AT, SENT_AT, 200))
    committed_at = datetime.fromtimestamp(SENT_AT + 0.25, UTC)
    known = oracle.fold(EVENTS.values())
    return Evidence(
        journal=journal,
        books=books_of(WORLD),
        oracle=known,
        facts=[
            {"source": "stripe", "fact_id": event_id, "outcome": "applied", "committed_at": committed_at}
            for event_id in EVENTS
        ],
        subscriptions=[as_row(state) for state in books_of(WORLD).states.values()],
        history=[
            as_row(one.after, version=version) for line in known.values() for version, one in enumerate(line, start=1)
        ],
        emitted=emitted(),
    )


def test_when_all_agrees_the_verdict_holds(evidence: Evidence) -> None:
    verdict = judge(evidence)

    assert verdict.problems == ()
    assert verdict.holds
    assert verdict.sent == verdict.accepted == 2 * len(EVENTS)
    assert verdict.duplicates_dropped == verdict.committed == len(EVENTS)
    assert verdict.p50_ms == verdict.p99_ms == 250
    assert all(line.expected == line.found for line in verdict.plans)


Spoil = Callable[[Evidence], Evidence]


def with_first(rows: Any, **changes: object) -> list[Any]:
    return [dict(rows[0]) | changes, *rows[1:]]


def with_an_unanswered_event(evidence: Evidence) -> Evidence:
    evidence.journal.note(Try("evt_never", 1, SENT_AT, SENT_AT, 503))
    return evidence


SPOILED: dict[str, tuple[str, Spoil]] = {
    "a fact that is not in the books": ("lost", lambda e: replace(e, facts=e.facts[1:])),
    "a fact that waits in parking": ("parked", lambda e: replace(e, facts=with_first(e.facts, outcome="parked"))),
    "a fact in the books twice": ("double_effects", lambda e: replace(e, facts=[*e.facts, e.facts[0]])),
    "a version that no event made": ("double_effects", lambda e: replace(e, history=[*e.history, e.history[0]])),
    "one thing said under two ids": (
        "double_effects",
        lambda e: replace(e, emitted=[*e.emitted, replace(e.emitted[0], id="another", sequence=2)]),
    ),
    "two things said in one place": (
        "double_effects",
        lambda e: replace(e, emitted=[*e.emitted, replace(e.emitted[0], id="another", account_seq=99)]),
    ),
    "an event missing between others": (
        "sequence_gaps",
        lambda e: replace(e, emitted=[replace(e.emitted[0], sequence=7), *e.emitted[1:]]),
    ),
    "a subscription with another number of seats": (
        "subscriptions_wrong",
        lambda e: replace(e, subscriptions=with_first(e.subscriptions, quantity=999)),
    ),
    "a subscription that is not there": (
        "subscriptions_wrong",
        lambda e: replace(e, subscriptions=e.subscriptions[1:]),
    ),
    "a subscription that nobody took out": (
        "subscriptions_wrong",
        lambda e: replace(e, subscriptions=[*e.subscriptions, dict(e.subscriptions[0]) | {"subscription_id": "sub_x"}]),
    ),
    "a version told wrong": ("histories_wrong", lambda e: replace(e, history=with_first(e.history, status="unpaid"))),
    "versions in another order": (
        "histories_wrong",
        lambda e: replace(e, history=[dict(row) | {"version": -row["version"]} for row in e.history]),
    ),
    "a last event that says something else": (
        "last_events_wrong",
        lambda e: replace(
            e, emitted=[replace(e.emitted[0], data=dict(e.emitted[0].data) | {"status": "paused"}), *e.emitted[1:]]
        ),
    ),
    "a subscription that nobody was told of": ("last_events_wrong", lambda e: replace(e, emitted=e.emitted[1:])),
    "an event that was never accepted": ("never_accepted", with_an_unanswered_event),
}


@pytest.mark.parametrize(("field", "spoil"), SPOILED.values(), ids=SPOILED)
def test_every_way_of_being_wrong_is_found(evidence: Evidence, field: str, spoil: Spoil) -> None:
    verdict = judge(spoil(evidence))

    assert getattr(verdict, field) >= 1
    assert verdict.problems
    assert not verdict.holds


def test_an_event_that_the_relay_sends_again_is_no_second_effect(evidence: Evidence) -> None:
    verdict = judge(replace(evidence, emitted=[*evidence.emitted, *evidence.emitted]))

    assert verdict.holds
    assert verdict.re_sent == verdict.emitted == len(evidence.emitted)


def test_a_customer_whom_the_platform_named_late_is_heard_of_in_its_later_account(evidence: Evidence) -> None:
    said = evidence.emitted[0]
    stale = replace(said, id="before", key="ac_of_its_own", sequence=1, data=dict(said.data) | {"quantity": 999})

    assert judge(replace(evidence, emitted=[*evidence.emitted, stale])).holds


def test_nothing_at_all_is_no_success() -> None:
    nothing = judge(Evidence(Journal(), books_of(tell(1, 0)), {}, [], [], [], []))

    assert not nothing.problems
    assert not nothing.holds
