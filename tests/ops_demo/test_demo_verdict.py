"""The verdict is the one judge of a play, so every way of being wrong must turn it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.reader import Event
from ops.demo_verdict import CHANGED, COMPARED, Evidence, judge
from simulator.books import books_of
from simulator.story import tell

WORLD = tell(21, 30)
BOOKS: dict[str, dict[str, dict[str, Any]]] = {
    "subscriptions": {of: asdict(state) for of, state in books_of(WORLD).states.items()},
    **asdict(books_of(WORLD).money),
}
IDS = [one.event_id for one in WORLD.happenings]
SENT_AT = 1_700_000_000.0
MOMENTS = ("current_period_start", "current_period_end", "trial_end", "cancel_at", "canceled_at")


def as_row(report: str, of: str) -> dict[str, Any]:
    """What Stripe's books have, as our reports show it: moments instead of seconds."""
    row = BOOKS[report][of] | {f"{report.removesuffix('s')}_id": of}
    moments = {"subscriptions": MOMENTS, "customers": ("since",)}.get(report, ())
    account = {"account_id": f"ac_{row.get('customer_id')}"}
    return row | account | {name: row[name] and datetime.fromtimestamp(row[name], UTC) for name in moments}


def as_event(of: str, sequence: int) -> Event:
    """The event that says how a subscription is, as a reader of the topic finds it."""
    row = as_row("subscriptions", of)
    data = row | {name: row[name] and row[name].isoformat() for name in MOMENTS}
    return Event(
        id=f"{of}/{sequence}",
        type=CHANGED,
        subject=of,
        time=datetime.fromtimestamp(SENT_AT, UTC),
        data=data,
        account_seq=sequence,
        sequence=sequence,
        key=row["account_id"],
        topic="billing.subscriptions",
        partition=0,
        offset=0,
    )


def emitted() -> list[Event]:
    """One event for each subscription; the accounts count theirs without a gap."""
    counts: dict[str, int] = {}
    said = []
    for of, state in BOOKS["subscriptions"].items():
        counts[state["customer_id"]] = counts.get(state["customer_id"], 0) + 1
        said.append(as_event(of, counts[state["customer_id"]]))
    return said


def tried(event_id: str, status: int = 200) -> dict[str, Any]:
    return {"event_id": event_id, "accepted": status == 200, "answered_at": SENT_AT}


@pytest.fixture
def evidence() -> Evidence:
    """What there is to show when everything went well: each event sent twice, accepted twice, committed once."""
    committed_at = datetime.fromtimestamp(SENT_AT + 0.25, UTC)
    return Evidence(
        tries=[tried(event_id) for event_id in (*IDS, *IDS)],
        dropped=0,
        books=BOOKS,
        reports={report: [as_row(report, of) for of in BOOKS[report]] for report in COMPARED},
        facts=[
            {"source": "stripe", "fact_id": event_id, "outcome": "applied", "committed_at": committed_at}
            for event_id in IDS
        ],
        emitted=emitted(),
    )


def test_when_all_agrees_the_verdict_holds(evidence: Evidence) -> None:
    verdict = judge(evidence)

    assert verdict.problems == ()
    assert verdict.holds
    assert verdict.sent == verdict.accepted == 2 * len(IDS)
    assert verdict.duplicates_dropped == verdict.committed == len(IDS)
    assert verdict.p50_ms == verdict.p99_ms == 250
    assert all(line.expected == line.found for line in verdict.plans)
    assert [one.report for one in verdict.compared] == list(COMPARED)
    assert all(one.expected == one.found > 0 == one.wrong for one in verdict.compared)
    assert {sums.currency for sums in verdict.takings} == {row["currency"] for row in BOOKS["payments"].values()}


def test_what_stripe_need_not_have_told_of_an_unpaid_payment_is_not_asked_for(evidence: Evidence) -> None:
    rows = evidence.reports["payments"]
    assert any(row["status"] != "succeeded" for row in rows)
    untold = [row if row["status"] == "succeeded" else row | {"kind": "other", "invoice_id": None} for row in rows]

    assert judge(replace(evidence, reports=dict(evidence.reports) | {"payments": untold})).holds


def test_what_is_said_of_no_account_has_no_place_among_those_that_are_counted(evidence: Evidence) -> None:
    nobodys = replace(
        evidence.emitted[0], type="billing.payment.changed.v1", key="pi_1", account_seq=None, sequence=None
    )
    twice = [replace(nobodys, id=name) for name in ("before", "after")]

    assert judge(replace(evidence, emitted=[*evidence.emitted, *twice])).holds


Spoil = Callable[[Evidence], Evidence]


def with_first(rows: Any, **changes: object) -> list[Any]:
    return [dict(rows[0]) | changes, *rows[1:]]


def with_report(evidence: Evidence, report: str, change: Callable[[Any], list[Any]]) -> Evidence:
    return replace(evidence, reports=dict(evidence.reports) | {report: change(evidence.reports[report])})


SPOILED: dict[str, tuple[str, Spoil]] = {
    "a fact that is not in the books": ("lost", lambda e: replace(e, facts=e.facts[1:])),
    "a fact that waits in parking": ("parked", lambda e: replace(e, facts=with_first(e.facts, outcome="parked"))),
    "a fact that waits for its owner": ("waiting", lambda e: replace(e, facts=with_first(e.facts, outcome="waiting"))),
    "a fact in the books twice": ("double_effects", lambda e: replace(e, facts=[*e.facts, e.facts[0]])),
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
    "a last event that says something else": (
        "last_events_wrong",
        lambda e: replace(
            e, emitted=[replace(e.emitted[0], data=dict(e.emitted[0].data) | {"status": "paused"}), *e.emitted[1:]]
        ),
    ),
    "a subscription that nobody was told of": ("last_events_wrong", lambda e: replace(e, emitted=e.emitted[1:])),
    "an event that was never accepted": (
        "never_accepted",
        lambda e: replace(e, tries=[*e.tries, tried("evt_never", 503)]),
    ),
}


@pytest.mark.parametrize(("field", "spoil"), SPOILED.values(), ids=SPOILED)
def test_every_way_of_being_wrong_is_found(evidence: Evidence, field: str, spoil: Spoil) -> None:
    verdict = judge(spoil(evidence))

    assert getattr(verdict, field) >= 1
    assert verdict.problems
    assert not verdict.holds


@pytest.mark.parametrize("report", COMPARED)
def test_a_report_with_a_row_less_more_or_otherwise_is_found(evidence: Evidence, report: str) -> None:
    key = f"{report.removesuffix('s')}_id"
    spoils: tuple[Callable[[Any], list[Any]], ...] = (
        lambda rows: rows[1:],
        lambda rows: [*rows, dict(rows[0]) | {key: "nobodys"}],
        lambda rows: with_first(rows, **{COMPARED[report][0]: "otherwise"}),
    )
    for change in spoils:
        verdict = judge(with_report(evidence, report, change))
        assert [one.wrong for one in verdict.compared if one.report == report] == [1]
        assert not verdict.holds


@pytest.mark.parametrize("name", ["amount_minor", "refunded_minor", "disputed_minor"])
def test_a_cent_too_much_is_found_in_the_row_and_in_the_sum(evidence: Evidence, name: str) -> None:
    rows = evidence.reports["payments"]
    paid = next(index for index, row in enumerate(rows) if row["status"] == "succeeded")
    spoiled = [row | {name: row[name] + 1} if index == paid else row for index, row in enumerate(rows)]

    verdict = judge(with_report(evidence, "payments", lambda _: spoiled))

    assert sum(sums.expected != sums.found for sums in verdict.takings) == 1
    assert len(verdict.problems) == 2


def test_an_event_that_the_relay_sends_again_is_no_second_effect(evidence: Evidence) -> None:
    verdict = judge(replace(evidence, emitted=[*evidence.emitted, *evidence.emitted]))

    assert verdict.holds
    assert verdict.re_sent == verdict.emitted == len(evidence.emitted)


def test_a_customer_whom_the_platform_named_late_is_heard_of_in_its_later_account(evidence: Evidence) -> None:
    said = evidence.emitted[0]
    stale = replace(said, id="before", key="ac_of_its_own", sequence=1, data=dict(said.data) | {"quantity": 999})

    assert judge(replace(evidence, emitted=[*evidence.emitted, stale])).holds


def test_nothing_at_all_is_no_success() -> None:
    empty: dict[str, Any] = {report: {} for report in COMPARED}
    nothing = judge(Evidence([], 0, empty, {report: [] for report in COMPARED}, [], []))

    assert not nothing.problems
    assert not nothing.holds
