from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from consumers.reader import Event, Ledger, Missing

FIRST = Event(
    id="evt-1",
    type="billing.subscription.changed.v1",
    subject="sub_1",
    time=datetime(2026, 1, 1, tzinfo=UTC),
    data={},
    account_seq=1,
    sequence=1,
    key="acct_a",
    topic="billing.subscriptions",
    partition=0,
    offset=0,
)


def _events(count: int) -> list[Event]:
    return [replace(FIRST, id=f"evt-{number}", sequence=number) for number in range(1, count + 1)]


@given(st.integers(1, 30), st.data())
def test_hearing_again_from_any_earlier_event_is_hearing_once(count: int, data: st.DataObject) -> None:
    events = _events(count)
    again_from = data.draw(st.integers(0, count - 1))
    crashed_at = data.draw(st.integers(again_from + 1, count))
    ledger = Ledger()

    news = [event for event in events[:crashed_at] + events[again_from:] if ledger.is_news(event)]

    assert news == events
    assert ledger.gaps == []


def _alert(account: str, sequence: int, rule: str = "conflicting_copy") -> Event:
    names = {"id": f"evt-{account}-{sequence}", "topic": "billing.alerts", "key": rule}
    return replace(FIRST, **names, data={"account_id": account}, sequence=sequence)


def test_accounts_whose_alerts_share_a_rule_count_for_themselves() -> None:
    ledger = Ledger()

    for event in (_alert("acct_a", 1), _alert("acct_b", 1), _alert("acct_a", 2), _alert("acct_b", 3)):
        ledger.is_news(event)

    assert ledger.gaps == [Missing("billing.alerts", "acct_b", expected=2, came=3)]


@given(st.permutations(range(1, 6)))
def test_alerts_of_several_rules_may_be_read_in_any_order(order: list[int]) -> None:
    ledger = Ledger()

    for sequence in order:
        ledger.is_news(_alert("acct_a", sequence, rule=f"rule_{sequence % 2}"))

    assert ledger.gaps == []


@given(st.integers(2, 30), st.data())
def test_an_event_that_is_missing_is_seen_at_the_next_one(count: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(1, count - 1))
    ledger = Ledger()

    for event in _events(count):
        if event.sequence != missing:
            ledger.is_news(event)

    assert ledger.gaps == [Missing(FIRST.topic, FIRST.key, expected=missing, came=missing + 1)]


def test_accounts_and_topics_count_for_themselves() -> None:
    ledger = Ledger()
    ledger.is_news(FIRST)

    assert ledger.is_news(replace(FIRST, id="evt-2", key="acct_b"))
    assert ledger.is_news(replace(FIRST, id="evt-3", topic="billing.credits"))
    assert ledger.is_news(replace(FIRST, id="evt-4", sequence=None))
    assert ledger.gaps == []
