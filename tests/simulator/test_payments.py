"""Payments: what comes of a card is said by its number, and no money is ever made or lost."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import shapes
from simulator.books import books_of
from simulator.cards import _BY_NUMBER
from simulator.customers import Customer
from simulator.disputes import LOSING, WINNING, Dispute
from simulator.invoices import RETRY_PAUSES_SECONDS
from simulator.payment_intents import PaymentIntent
from simulator.payment_methods import PaymentMethod
from simulator.refunds import Refund
from simulator.story import LIVES, tell
from simulator.world import World
from tests.simulator.support_world import balance, days, heard, let_pass, paid, refuses, subscribed

SEEDS = st.integers(min_value=0, max_value=2**63)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_what_moved_on_the_balance_is_what_was_paid_less_what_went_back(seed: int) -> None:
    world = tell(seed, len(LIVES), months=3)
    kept: Counter[str] = Counter()
    for one in books_of(world).payments.values():
        if one.status == "succeeded" and one.charge_id:
            kept[one.currency] += one.amount_minor - one.refunded_minor - one.disputed_minor

    assert balance(world) == kept


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_an_invoice_is_its_lines_less_discounts_plus_taxes_and_is_paid_in_full(seed: int) -> None:
    for invoice in books_of(tell(seed, len(LIVES), months=3)).invoices.values():
        if invoice.status == "paid" and invoice.amount_due_minor > 0:
            assert invoice.amount_paid_minor == invoice.amount_due_minor
    for thing in tell(seed, 10, months=2).shelf.all("invoice"):
        body = thing.body
        lines = sum(line["amount"] for line in body["lines"]["data"])
        off = sum(one["amount"] for one in body["total_discount_amounts"])
        tax = sum(one["amount"] for one in body["total_taxes"])
        assert body["total"] == lines - off + tax


def test_no_body_and_no_event_holds_a_card_number() -> None:
    world = World(1)
    for number in _BY_NUMBER:
        PaymentMethod.create(world, card={"number": number, "exp_month": 4, "exp_year": 2031, "cvc": "123"})
    told = tell(3, len(LIVES) * 2)
    everything = [shapes.render(one, shapes.NEWEST) for one in (*world.happenings, *told.happenings)]
    everything += [one.body for one in world.shelf.all("payment_method")]

    text = shapes.wire({"all": everything}).decode()

    assert not [number for number in _BY_NUMBER if number in text]


def test_a_number_that_is_no_test_number_is_refused_without_being_said_again() -> None:
    refused = refuses(lambda: PaymentMethod.create(World(1), card={"number": "4111111111111111"}))

    assert (refused.status, refused.type) == (402, "card_error")
    assert "4111" not in str(vars(refused))


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("4000000000000341", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("4000000000000119", "processing_error", "processing_error"),
    ],
)
def test_a_declined_card_says_why_and_leaves_a_failed_charge(card: str, code: str, decline_code: str) -> None:
    world = World(1)
    method = PaymentMethod.take(world, card)
    intent = PaymentIntent.create(world, amount=700, currency="usd", payment_method=method.id)
    before = len(world.happenings)

    refused = refuses(intent.confirm)

    assert (refused.status, refused.code, refused.more["decline_code"]) == (402, code, decline_code)
    assert heard(world, before) == ["charge.failed", "payment_intent.payment_failed"]
    assert intent.status == "requires_payment_method"
    assert not balance(world)


def test_after_a_decline_another_card_pays_the_same_intent() -> None:
    world = World(1)
    intent = PaymentIntent.create(world, amount=700, currency="usd")
    refuses(lambda: intent.confirm(payment_method="pm_card_chargeCustomerFail"))

    intent.confirm(payment_method="pm_card_visa")

    assert intent.status == "succeeded"
    assert intent.body["last_payment_error"] is None
    assert sorted(charge.body["status"] for charge in world.shelf.all("charge")) == ["failed", "succeeded"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_card_that_asks_for_its_holder_waits_for_them(succeeds: bool) -> None:
    world = World(1)
    intent = PaymentIntent.create(
        world, amount=700, currency="usd", payment_method="pm_card_authenticationRequired", confirm=True
    )
    assert intent.status == "requires_action"

    intent.authenticate(succeeds=succeeds)

    assert intent.status == ("succeeded" if succeeds else "requires_payment_method")
    assert balance(world)["usd"] == (700 if succeeds else 0)


def test_a_debit_is_charged_now_and_comes_days_later() -> None:
    world = World(1)
    charge = paid(world, "pm_usBankAccount_success")
    assert charge.body["status"] == "pending"
    assert not balance(world)

    let_pass(world, days(5))

    assert charge.body["status"] == "succeeded"
    assert balance(world) == {"usd": 1000}


def test_held_money_is_taken_in_part_and_the_rest_never_moves() -> None:
    world = World(1)
    charge = paid(world, capture_method="manual")
    intent = world.shelf.get("payment_intent", charge.body["payment_intent"])
    assert intent is not None
    assert not balance(world)

    intent.capture(amount_to_capture=400)

    assert (intent.status, intent.body["amount_received"]) == ("succeeded", 400)
    assert balance(world) == {"usd": 400}
    assert refuses(intent.cancel).code == "payment_intent_unexpected_state"


@given(st.lists(st.integers(1, 600), min_size=1, max_size=8))
def test_refunds_add_up_to_the_charge_and_never_to_more(amounts: list[int]) -> None:
    world = World(1)
    charge = paid(world)
    given_back = 0
    for amount in amounts:
        before = len(world.happenings)
        if given_back + amount > 1000:
            assert refuses(lambda: Refund.of(charge, amount)).type == "invalid_request_error"  # noqa: B023  Called at once.
            assert heard(world, before) == []
        else:
            Refund.of(charge, amount)
            given_back += amount
            assert heard(world, before) == ["refund.created", "charge.refunded"]

    assert charge.body["amount_refunded"] == given_back
    assert charge.body["refunded"] == (given_back == 1000)
    assert balance(world) == {"usd": 1000 - given_back}


def test_a_refund_that_fails_lowers_the_running_total_again_and_no_charge_event_tells_of_it() -> None:
    world = World(1)
    charge = paid(world, "pm_card_refundFail")
    refund = Refund.of(charge, 300)
    before = len(world.happenings)

    let_pass(world, days(4))

    assert refund.status == "failed"
    assert heard(world, before) == ["refund.failed", "charge.refund.updated"]
    assert (charge.body["amount_refunded"], balance(world)) == (0, {"usd": 1000})


@pytest.mark.parametrize(("text", "status", "kept"), [(WINNING, "won", 1000), (LOSING, "lost", 0)])
def test_a_dispute_takes_the_money_and_evidence_may_bring_it_back(text: str, status: str, kept: int) -> None:
    world = World(1)
    dispute = Dispute.open(paid(world))
    assert (dispute.withdrawn_minor, balance(world)["usd"]) == (1000, 0)

    dispute.update(evidence={"uncategorized_text": text}, submit=True)
    let_pass(world, days(1))

    assert dispute.status == status
    assert (dispute.withdrawn_minor, balance(world)["usd"]) == (1000 - kept, kept)
    assert refuses(dispute.close).message == "This dispute is already closed"


def test_an_inquiry_takes_nothing_until_it_escalates_and_an_unanswered_dispute_is_lost() -> None:
    world = World(1)
    dispute = Dispute.open(paid(world), inquiry=True)
    assert balance(world) == {"usd": 1000}

    dispute.escalate()
    let_pass(world, days(10))

    assert (dispute.status, balance(world)["usd"]) == ("lost", 0)


def test_each_step_of_a_dispute_costs_its_fee_and_a_won_one_gives_it_back() -> None:
    world = World(1)
    dispute = Dispute.open(paid(world))
    dispute.win()

    fees = [one["fee"] for one in dispute.body["balance_transactions"]]

    assert fees == [1500, -1500]


def test_a_renewal_is_tried_again_by_the_calendar_and_then_given_up() -> None:
    world = World(1)
    subscription = subscribed(world)
    subscription.customer.card_declines = True
    renewal, before = subscription.period_end, len(world.happenings)

    world.advance(renewal + sum(RETRY_PAUSES_SECONDS))

    tries = [one.created - renewal for one in world.happenings[before:] if one.type == "invoice.payment_failed"]
    assert tries == [0, days(3), days(8), days(15)]
    assert subscription.status == "canceled"
    assert subscription.body["cancellation_details"]["reason"] == "payment_failed"


def test_a_customer_whose_card_pays_again_is_active_again() -> None:
    world = World(1)
    subscription = subscribed(world)
    subscription.customer.card_declines = True
    world.advance(subscription.period_end)
    assert subscription.status == "past_due"

    subscription.customer.card_declines = False
    let_pass(world, days(3))

    assert subscription.status == "active"
    assert subscription.latest_invoice is not None
    assert subscription.latest_invoice.body["attempt_count"] == 2


def test_what_is_refused_has_not_happened() -> None:
    world = World(1)
    customer = Customer(world)
    before, on_shelf = len(world.happenings), len(list(world.shelf.all("customer")))

    refuses(lambda: Customer.create(world, payment_method="pm_nonsense"))
    refuses(lambda: Customer.create(world, payment_method="pm_card_chargeDeclined"))
    refuses(lambda: PaymentIntent.create(world, amount=10, currency="usd"))
    refuses(lambda: PaymentIntent.create(world, amount=1000, currency="usd", customer="cus_nobody"))
    refuses(lambda: customer.update(invoice_settings={"default_payment_method": "pm_elsewhere"}))

    assert len(world.happenings) == before
    assert len(list(world.shelf.all("customer"))) == on_shelf
