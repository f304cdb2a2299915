"""A notice of what Stripe is going to bill: told once, in every shape the same, and nothing is believed of it."""

import json

import pytest

from models.books import Heard, Outcome
from models.customers import account_of_platform
from models.events import InvoiceUpcoming
from models.stripe_events import Unreadable
from tests.models.support_facts import BEFORE_BASIL, NOON, Json
from tests.models.support_payments import DAY, PAYMENT_SHAPES, Told, invoice
from tests.models.test_payments import fact_of, heard

every_shape = pytest.mark.parametrize("shape", PAYMENT_SHAPES)


def upcoming(shape: str, **changes: object) -> Json:
    """An event as Stripe sends it; until basil what is to come had no id."""
    paid_by_nobody: Json = {"billing_reason": "upcoming", "_payment_intent": None}
    preview = invoice(id="upcoming_in_1", next_payment_attempt=NOON + 3 * DAY, **paid_by_nobody, **changes)
    [event] = Told(shape).tell("invoice.upcoming", preview).events
    if shape == BEFORE_BASIL:
        del event["data"]["object"]["id"]
    return event


def notices(said: list[Heard]) -> list[InvoiceUpcoming]:
    return [event.event for one in said for event in one.said if isinstance(event.event, InvoiceUpcoming)]


@every_shape
def test_what_is_to_come_is_told_and_not_believed(shape: str) -> None:
    shelf, said = heard([upcoming(shape)])

    [notice] = notices(said)
    assert (notice.subject, notice.subscription_id, notice.customer_id) == ("sub_1", "sub_1", "cus_1")
    assert (notice.total_minor, notice.amount_due_minor, notice.currency) == (2900, 2900, "usd")
    assert (notice.tax_minor, notice.discount_minor) == (300, 100)
    assert notice.due_at is not None
    assert notice.due_at.timestamp() == NOON + 3 * DAY
    assert [one.outcome for one in said] == [Outcome.APPLIED]
    assert (shelf.payments, list(shelf.pieces), shelf.waiting) == ({}, [], {})


def test_every_shape_is_one_content() -> None:
    assert len({fact_of(upcoming(shape)).digest for shape in PAYMENT_SHAPES}) == 1
    assert fact_of(upcoming(BEFORE_BASIL)).digest != fact_of(upcoming(BEFORE_BASIL, amount_due=2800)).digest


def test_it_is_the_accounts_that_its_customer_is_of() -> None:
    customer = {"id": "cus_1", "object": "customer", "livemode": False, "metadata": {"account_id": "P7"}}
    [created] = Told().tell("customer.created", customer | {"created": NOON}).events

    [notice] = notices(heard([created | {"id": "evt_before"}, upcoming(BEFORE_BASIL)])[1])

    assert notice.account_id == account_of_platform("P7")


def test_an_invoice_of_no_subscription_is_about_its_customer() -> None:
    [notice] = notices(heard([upcoming(PAYMENT_SHAPES[-1], parent=None)])[1])

    assert (notice.subject, notice.subscription_id) == ("cus_1", None)


@pytest.mark.parametrize("wrong", [{"object": "charge"}, {"amount_due": "much"}, {"currency": None}])
def test_what_is_no_invoice_is_refused_with_the_field(wrong: Json) -> None:
    event = upcoming(PAYMENT_SHAPES[-1])
    event["data"]["object"] |= wrong
    [field] = wrong

    with pytest.raises(Unreadable, match=field):
        fact_of(json.loads(json.dumps(event)))
