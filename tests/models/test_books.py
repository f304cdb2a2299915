"""The books hear facts one by one; numbers have no gaps, and a replay says the same words."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import books, envelopes, stripe_answers, stripe_events, subscriptions
from models.base import Envelope, Note, Refusal
from models.books import Books, Heard, Outcome, Said, fold
from models.customers import account_of_customer, account_of_platform
from models.envelopes import Written
from models.events import AlertRaised, Event, Rule, SubscriptionAmended, SubscriptionChanged, SubscriptionMoved
from models.lines import Second
from models.stripe_answers import Told
from models.stripe_events import Fact
from tests.models.support_facts import BASIL, CATALOG, NOON, envelope, event, fact_of, moment, subscription
from tests.models.support_lifecycles import at_random
from tests.models.support_shelf import Shelf

A = subscription(quantity=1)
B = subscription(quantity=2)

customer_fact_kinds = ("customer.created", "customer.updated", "customer.deleted", "invoice.paid", "charge.succeeded")


def crowd_of_facts(seed: int) -> list[Fact]:
    """Facts of three customers with two subscriptions each, among facts about customers, all shuffled."""
    chance = random.Random(seed)
    facts = [_about_customer(chance, f"cus_{chance.randrange(3)}", number) for number in range(6)]
    for customer in range(3):
        for number in range(2):
            facts.extend(_of_lifecycle(f"cus_{customer}", f"sub_{customer}{number}", chance.randrange(10**6)))
    chance.shuffle(facts)
    return facts


def _about_customer(chance: random.Random, customer: str, number: int) -> Fact:
    kind = chance.choice(customer_fact_kinds)
    account = chance.choice((None, f"P-{customer}", f"P-{customer}", "P-other"))
    second = NOON + chance.randrange(9)
    return Fact(
        envelope=envelope(
            f"evt_{customer}_{number}",
            type=kind,
            subject=customer,
            customer=customer,
            account=account,
            occurred_at=second,
        )
    )


def _of_lifecycle(customer: str, subscription_id: str, seed: int) -> list[Fact]:
    found = []
    for one in at_random(seed, steps_max=4, subscription_id=subscription_id).events():
        one["id"] += subscription_id
        one["data"]["object"]["customer"] = customer
        found.append(fact_of(one))
    return found


def hear(facts: Iterable[Fact]) -> tuple[Books, tuple[Heard, ...]]:
    return books.fold(Books(), facts, CATALOG)


def said_by(heard: Iterable[Heard]) -> list[Said]:
    return [said for one in heard for said in one.said]


def words(heard: Iterable[Heard]) -> list[tuple[str, str, int | None, int | None]]:
    """What is said, byte for byte, with its identity and its numbers."""
    return [(said.event_id, said.event.model_dump_json(), said.account_seq, said.sequence) for said in said_by(heard)]


crowds = st.builds(crowd_of_facts, st.integers(0, 2**32))


# Hearing.


@settings(max_examples=40, deadline=None)
@given(crowds)
def test_hearing_a_fact_twice_is_hearing_it_once(facts: list[Fact]) -> None:
    once, _ = hear(facts)
    twice, heard = books.fold(once, facts, CATALOG)

    assert twice.customers == once.customers
    assert twice.lines == once.lines
    assert not [said for said in said_by(heard) if not isinstance(said.event, AlertRaised)]


@settings(max_examples=40, deadline=None)
@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_arrival_leaves_no_trace_in_what_is_believed(facts: list[Fact], chance: random.Random) -> None:
    first, _ = hear(facts)
    chance.shuffle(facts)
    second, _ = hear(facts)

    assert second.customers == first.customers
    assert second.lines == first.lines


def _as_journaled(fact: Fact) -> Fact:
    """The same fact as the journal keeps it and gives it back."""
    body = stripe_events.as_read(fact.slice) if fact.slice else None
    return Fact(envelope=Envelope.read(fact.envelope.written()), body=body)


@settings(max_examples=40, deadline=None)
@given(crowds)
def test_a_replay_of_the_same_facts_in_the_same_order_says_the_same_byte_for_byte(facts: list[Fact]) -> None:
    before, heard = hear(facts)
    again, once_more = hear(_as_journaled(fact) for fact in facts)

    assert again == before
    assert words(once_more) == words(heard)
    assert [one.account_seq for one in once_more] == [one.account_seq for one in heard]


@settings(max_examples=40, deadline=None)
@given(crowds, st.randoms(use_true_random=False))
def test_batches_on_what_the_store_loads_say_the_same_as_one_fold_of_everything(
    facts: list[Fact], chance: random.Random
) -> None:
    shelf = Shelf()
    heard: list[Heard] = []
    rest = list(facts)
    while rest:
        size = chance.choice((1, 1, 2, 5, 13))
        heard.extend(shelf.take(rest[:size]))
        rest = rest[size:]

    whole, expected = hear(facts)
    assert heard == list(expected)
    assert shelf.customers == whole.customers
    assert {of: shelf.lines.whole(of) for of in shelf.lines.rows} == whole.lines
    assert shelf.account_seqs == whole.account_seqs
    assert shelf.topic_seqs == whole.topic_seqs


def test_a_fold_does_not_write_on_what_it_was_given() -> None:
    before, _ = hear(crowd_of_facts(1))
    kept = before.copy()

    books.fold(before, crowd_of_facts(2), CATALOG)

    assert before == kept


# Numbers.


@settings(max_examples=40, deadline=None)
@given(crowds)
def test_an_accounts_facts_are_numbered_without_gaps(facts: list[Fact]) -> None:
    after, heard = hear(facts)
    numbers: dict[str | None, list[int | None]] = defaultdict(list)
    for one in heard:
        numbers[one.account_id].append(one.account_seq)

    for account_id, given_out in numbers.items():
        assert account_id is not None
        assert given_out == list(range(1, len(given_out) + 1))
        assert after.account_seqs[account_id] == len(given_out)


@settings(max_examples=40, deadline=None)
@given(crowds)
def test_a_topics_events_of_an_account_are_numbered_without_gaps(facts: list[Fact]) -> None:
    _, heard = hear(facts)
    numbers: dict[tuple[str, str | None], list[int | None]] = defaultdict(list)
    for said in said_by(heard):
        numbers[said.event.topic.name, said.event.account_id].append(said.sequence)

    for given_out in numbers.values():
        assert given_out == list(range(1, len(given_out) + 1))


@settings(max_examples=40, deadline=None)
@given(crowds)
def test_an_event_is_known_by_its_cause_and_no_two_have_one_id(facts: list[Fact]) -> None:
    _, heard = hear(facts)
    ids = [said.event_id for said in said_by(heard)]

    assert len(ids) == len(set(ids))
    for one in heard:
        for said in one.said:
            assert said.event_id == f"stripe/{one.fact.envelope.id}/{said.event.type}/{said.event.subject}"


def test_a_fact_of_nobody_has_no_number() -> None:
    fact = Fact(envelope=envelope(type="product.updated", subject="prod_1", customer=None))

    _, (heard,) = hear([fact])

    assert (heard.account_id, heard.account_seq, heard.outcome) == (None, None, Outcome.IGNORED)


def test_an_event_of_no_account_has_no_number_in_its_topic() -> None:
    alert = AlertRaised(subject="x", account_id=None, as_of=moment(NOON), rule=Rule.CONFLICTING_COPY, detail="")

    assert books.say(Books(), alert, cause=envelope(), account_seq=None).sequence is None


# What becomes of a fact.


def outcomes(*facts: Fact) -> list[tuple[Outcome, str | None]]:
    return [(one.outcome, one.reason) for one in hear(facts)[1]]


def test_a_fact_that_moves_the_present_is_applied() -> None:
    assert outcomes(fact_of(event("evt_1", A, kind="created"))) == [(Outcome.APPLIED, None)]


def test_a_late_older_fact_is_stale() -> None:
    late = fact_of(event("evt_2", B, A, created=NOON - 1))

    assert outcomes(fact_of(event("evt_1", A)), late)[1] == (Outcome.STALE, Refusal.STALE)


def test_life_after_the_end_is_refused() -> None:
    over = fact_of(event("evt_1", subscription(status="canceled"), kind="deleted"))

    assert outcomes(over, fact_of(event("evt_2", A, created=NOON + 1)))[1] == (Outcome.REFUSED, Refusal.AFTER_END)


@pytest.mark.parametrize("arrivals", [(0, 1, 2), (0, 2, 1)])
def test_an_order_that_only_ids_could_tell_is_counted_also_where_the_fact_is_stale(arrivals: Sequence[int]) -> None:
    facts = [
        fact_of(event("evt_0", A, kind="created", created=NOON - 1)),
        fact_of(event("evt_1", B, A)),
        fact_of(event("evt_2", subscription(quantity=3), A)),
    ]

    assert outcomes(*(facts[n] for n in arrivals))[2][1] == Note.AMBIGUOUS_ORDER


@pytest.mark.parametrize(
    ("kind", "outcome"), [("customer.updated", Outcome.APPLIED), ("charge.failed", Outcome.IGNORED)]
)
def test_a_type_is_listened_to_or_ignored(kind: str, outcome: Outcome) -> None:
    assert outcomes(Fact(envelope=envelope(type=kind)))[0][0] is outcome


def test_a_version_that_nobody_tested_is_flagged_and_applied() -> None:
    strange = fact_of(event("evt_1", A, kind="created", shape=BASIL) | {"api_version": "2031-01-01.zebra"})

    assert outcomes(strange) == [(Outcome.APPLIED, Note.UNKNOWN_API_VERSION)]


def test_a_discarded_fact_is_journaled_with_the_operators_reason_and_changes_nothing() -> None:
    before, _ = hear([fact_of(event("evt_1", A, kind="created"))])
    after = before.copy()

    heard = books.discard(after, Fact(envelope=envelope("evt_2")), "wrong account")

    assert (heard.outcome, heard.reason, heard.account_seq, heard.said) == (
        Outcome.REFUSED,
        "discarded: wrong account",
        2,
        (),
    )
    assert (after.lines, after.customers) == (before.lines, before.customers)


# Whose it is.


def naming(fact_id: str, account: str, second: int = NOON) -> Fact:
    return Fact(
        envelope=envelope(fact_id, type="customer.updated", subject="cus_1", account=account, occurred_at=second)
    )


def test_a_stranger_has_an_account_of_its_own() -> None:
    _, (heard,) = hear([fact_of(event("evt_1", A, kind="created"))])

    assert heard.account_id == account_of_customer("cus_1")


def test_a_customer_that_is_named_takes_its_subscriptions_along_and_says_them_again() -> None:
    other = subscription(id="sub_2", quantity=7)
    facts = [fact_of(event("evt_1", A, kind="created")), fact_of(event("evt_2", other, kind="created"))]

    _, heard = hear([*facts, naming("evt_3", "P1")])

    own, named = account_of_customer("cus_1"), account_of_platform("P1")
    again = [said.event for said in heard[2].said]
    assert [(said.subject, said.account_id, said.type) for said in again] == [
        ("sub_1", own, "billing.subscription.moved.v1"),
        ("sub_2", own, "billing.subscription.moved.v1"),
        ("sub_1", named, "billing.subscription.changed.v1"),
        ("sub_2", named, "billing.subscription.changed.v1"),
    ]
    assert [said.quantity for said in again if isinstance(said, SubscriptionChanged)] == [1, 7]
    assert [said.moved_to_account_id for said in again if isinstance(said, SubscriptionMoved)] == [named, named]
    assert [said.account_seq for said in heard[2].said] == [None, None, 1, 1], "the old account heard no fact"
    assert (heard[1].account_id, heard[2].account_id) == (own, named)


def test_a_fact_that_names_and_changes_says_the_subscription_once() -> None:
    named = event("evt_2", B, A, created=NOON + 1)
    named["data"]["object"]["metadata"]["account_id"] = "P1"

    _, heard = hear([fact_of(event("evt_1", A, kind="created")), fact_of(named)])

    left, said = heard[1].said
    assert isinstance(left.event, SubscriptionMoved)
    assert isinstance(said.event, SubscriptionChanged)
    assert (said.event.quantity, said.event.account_id) == (2, account_of_platform("P1"))


def test_a_late_fact_that_names_says_what_was_and_what_is_under_the_new_account() -> None:
    late = event("evt_1", A, kind="created", created=NOON - 1)
    late["data"]["object"]["metadata"]["account_id"] = "P1"

    _, heard = hear([fact_of(event("evt_2", B, A)), fact_of(late)])

    by_type = {type(said.event): said.event for said in heard[1].said}
    assert set(by_type) == {SubscriptionMoved, SubscriptionChanged, SubscriptionAmended}
    found = {by_type[SubscriptionChanged].account_id, by_type[SubscriptionAmended].account_id}
    assert found == {account_of_platform("P1")}


def test_a_customer_named_twice_moves_to_the_earlier_name_and_is_an_alert() -> None:
    created = fact_of(event("evt_1", A, kind="created"))

    after, heard = hear([created, naming("evt_2", "P2", NOON + 5), naming("evt_3", "P1", NOON + 1)])

    assert after.customers["cus_1"].account_id == account_of_platform("P1")
    alerts = [said.event for said in heard[2].said if isinstance(said.event, AlertRaised)]
    assert [alert.rule for alert in alerts] == [Rule.CUSTOMER_NAMED_TWICE]
    by_type = {type(said.event): said.event.account_id for said in heard[2].said}
    assert by_type == {
        AlertRaised: account_of_platform("P1"),
        SubscriptionMoved: account_of_platform("P2"),
        SubscriptionChanged: account_of_platform("P1"),
    }


def test_a_line_must_be_loaded_from_the_oldest_second_that_the_facts_touch() -> None:
    facts = crowd_of_facts(3)

    seconds: dict[str, list[Second]] = {}
    for fact in facts:
        if fact.body is not None:
            made = subscriptions.version_of(fact.envelope, fact.body, CATALOG)
            seconds.setdefault(fact.body.after.subscription_id, []).append(made.second)
    assert set(seconds) == {f"sub_{customer}{number}" for customer in range(3) for number in range(2)}
    assert books.floors(facts) == {subscription_id: min(touched) for subscription_id, touched in seconds.items()}


def test_what_was_before_we_went_live_is_believed_and_said_as_history_and_alerts_nobody() -> None:
    """The same answer, told as news and as history: the same books, other words about them."""
    thing = {"id": "issfr_1", "object": "radar.early_fraud_warning", "charge": "ch_1", "fraud_type": "misc"}
    thing |= {"actionable": True, "created": 1_700_000_000, "livemode": False}
    told = Told("import-1", datetime(2026, 3, 1, tzinfo=UTC), "2026-10-28.endive", livemode=False)

    def heard(*, historical: bool) -> tuple[Books, list[Event]]:
        body = stripe_answers.shown(thing, told, historical=historical)
        written = envelopes.read(body, told.answered_at, livemode=False)
        assert isinstance(written, Written)
        fact = stripe_events.read(Envelope.from_headers({"fact": written.text}), body)
        books, (one,) = fold(Books(), [fact], CATALOG)
        return books, [said.event for said in one.said]

    news_books, news = heard(historical=False)
    history_books, history = heard(historical=True)

    assert {of: piece.present and piece.present.state for of, piece in news_books.pieces.items()} == {
        of: piece.present and piece.present.state for of, piece in history_books.pieces.items()
    }
    assert any(isinstance(event, AlertRaised) for event in news)
    assert not any(isinstance(event, AlertRaised) for event in history)
    assert not any(event.historical for event in news)
    assert all(event.historical for event in history)
