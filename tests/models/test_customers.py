"""Whose is it: the earliest naming counts, whichever fact comes first."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import customers
from models.base import Envelope
from models.customers import Customer, account_of_customer, account_of_platform
from models.events import AlertRaised, Rule
from tests.models.support_facts import NOON, envelope

aliases = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@st.composite
def histories(draw: st.DrawFn) -> list[Envelope]:
    """Facts about one customer: some name its account, some say that it was deleted, ties included."""
    told = draw(
        st.lists(
            st.tuples(
                st.sampled_from((None, None, "P1", "P2", "P3")),
                st.integers(0, 3),
                st.sampled_from(("customer.updated", "customer.deleted", "customer.subscription.updated")),
            ),
            min_size=1,
            max_size=8,
        )
    )
    return [
        envelope(f"evt_{number}", type=kind, account=account, occurred_at=NOON + second)
        for number, (account, second, kind) in enumerate(told)
    ]


def learn(heard: list[Envelope]) -> tuple[Customer, list[AlertRaised]]:
    known = customers.stranger("cus_1", livemode=False)
    said: list[AlertRaised] = []
    for fact in heard:
        decision = customers.decide(known, fact)
        known = decision.state
        said.extend(decision.events)
    return known, said


@given(histories(), st.randoms(use_true_random=False))
def test_what_is_believed_of_a_customer_does_not_hang_on_the_order_of_arrival(
    history: list[Envelope], chance: random.Random
) -> None:
    arrivals = [*history, *history[:3]]
    chance.shuffle(arrivals)

    assert learn(arrivals)[0] == learn(history)[0]


@given(histories())
def test_the_earliest_naming_counts_by_second_then_by_id(history: list[Envelope]) -> None:
    known, _ = learn(history)
    naming = [fact for fact in history if fact.account]
    first = min(naming, key=lambda fact: (fact.occurred_at, fact.id), default=None)

    assert known.platform_id == (first.account if first else None)
    assert known.named_by == (first.id if first else None)


@given(histories(), st.randoms(use_true_random=False))
def test_two_names_are_an_alert_whichever_comes_first_and_one_name_is_none(
    history: list[Envelope], chance: random.Random
) -> None:
    chance.shuffle(history)
    names = {fact.account for fact in history if fact.account}

    _, said = learn(history)

    assert bool(said) == (len(names) > 1)
    assert {alert.rule for alert in said} <= {Rule.CUSTOMER_NAMED_TWICE}


@given(histories())
def test_an_alert_names_neither_of_the_platforms_ids(history: list[Envelope]) -> None:
    for alert in learn(history)[1]:
        assert not any(name in alert.model_dump_json() for name in ('"P1"', '"P2"', '"P3"'))


@given(histories(), st.randoms(use_true_random=False))
def test_a_deleted_customer_stays_deleted_since_the_first_time(history: list[Envelope], chance: random.Random) -> None:
    chance.shuffle(history)
    ends = [fact.occurred_at for fact in history if fact.type == "customer.deleted"]

    assert learn(history)[0].deleted_at == min(ends, default=None)


def test_in_all_orders_a_deletion_is_not_undone_by_a_later_update() -> None:
    facts = [
        envelope("evt_1", type="customer.created", occurred_at=NOON),
        envelope("evt_2", type="customer.updated", occurred_at=NOON + 9, account="P1"),
        envelope("evt_3", type="customer.deleted", occurred_at=NOON + 5),
    ]

    for arrivals in itertools.permutations(facts):
        known, _ = learn(list(arrivals))
        assert known.deleted_at == facts[2].occurred_at
        assert known.platform_id == "P1"


@given(aliases, aliases)
def test_an_account_has_one_id_made_of_one_name(one: str, other: str) -> None:
    ids = [account_of_platform(one), account_of_platform(other), account_of_customer(one), account_of_customer(other)]

    assert (ids[0] == ids[1]) == (one == other) == (ids[2] == ids[3])
    assert not set(ids[:2]) & set(ids[2:]), "a customer and a platform's account may have one name, and are two"
    for account_id in ids:
        assert account_id.startswith("ac_")
        assert len(account_id) == 29
        assert account_id[3:].isalnum()


def test_an_accounts_id_is_the_same_for_ever() -> None:
    """Rows and topics are keyed by it: another way to make it is another account."""
    assert account_of_platform("P1") == "ac_ktlvntbrn7pwhyabkk5vcnhvlk"
    assert account_of_customer("cus_1") == "ac_tuifmz47hvz7n6shrwi6nmufwn"


@pytest.mark.parametrize("kind", ["customer.created", "customer.updated", "customer.deleted"])
def test_these_are_facts_about_customers(kind: str) -> None:
    assert kind in customers.TYPES
