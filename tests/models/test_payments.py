"""One payment is one payment, however many events tell of it, in every order and every shape."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from models import stripe_events
from models.base import Envelope
from models.books import Heard, Outcome
from models.customers import account_of_customer, account_of_platform
from models.events import AlertRaised, PaymentMerged, Rule
from models.payments import Kind, Payment, Status, payments_of
from models.stripe_events import Fact
from models.stripe_requests import Retrieve, StripeRequested, Why
from tests.models import support_payments as told
from tests.models.support_facts import BASIL, BEFORE_BASIL, NOON, Json, envelope, envelope_of
from tests.models.support_payments import DAY, PAYMENT_SHAPES, STORIES, Told
from tests.models.support_shelf import Shelf

SHUFFLES = 60
PREFIXED = {"dispute": "charge.dispute"}
"""What the types of facts about an object begin with, where it is not the object's own name."""

every_story = pytest.mark.parametrize(
    ("name", "events"), list(told.stories()), ids=[name for name, _ in told.stories()]
)
every_shape = pytest.mark.parametrize("shape", PAYMENT_SHAPES)


def fact_of(event: Json) -> Fact:
    envelope: Envelope = envelope_of(event)
    shown = event["data"]["object"]
    if shown["object"] == "checkout.session" and shown["payment_link"] is None and envelope.account is None:
        envelope = replace(envelope, account=shown["client_reference_id"])
    return stripe_events.read(envelope, json.dumps(event).encode())


def heard(events: Sequence[Json], batch: int = 3) -> tuple[Shelf, list[Heard]]:
    """The books after these events, in batches, and what was heard of them."""
    shelf, said = Shelf(), []
    facts = [fact_of(event) for event in events]
    for start in range(0, len(facts), batch):
        said += shelf.take(facts[start : start + batch])
    return shelf, said


def seen(shelf: Shelf) -> dict[str, Any]:
    """All that anybody may know afterwards, whatever the order was."""
    shown = {
        one.object_id: (one.present, one.cause_id, one.customer_id, one.account_id) for one in shelf.pieces.values()
    }
    lines = {of: [(v.fact_id, v.state) for v in shelf.object_lines.whole(of)] for of in shelf.object_lines.rows}
    return {"payments": shelf.payments, "objects": shown, "lines": lines, "waiting": shelf.waiting}


def last_words(said: Sequence[Heard]) -> dict[str, Json]:
    """How each subject was told to be last, but for when; what was merged away is as if never said."""
    last: dict[str, Any] = {}
    for one in (event.event for heard in said for event in heard.said):
        if isinstance(one, PaymentMerged):
            last.pop(f"{one.subject}/billing.payment.changed.v1", None)
        elif one.type.endswith(".changed.v1"):
            last[f"{one.subject}/{one.type}"] = one.model_dump(exclude={"as_of"})
    return last


def payment(events: Sequence[Json]) -> Payment:
    """The one payment that these events tell of."""
    [one] = heard(events)[0].payments.values()
    return one


@every_story
def test_any_order_of_the_same_events_ends_in_the_same_payment_the_same_versions_and_the_same_last_word(
    name: str, events: list[Json]
) -> None:
    shelf, said = heard(events)
    expected, words, dice = seen(shelf), last_words(said), random.Random(name)

    for batch in (1, 4, len(events)):
        for _ in range(SHUFFLES // 3):
            mixed = dice.sample(events, len(events))
            again, told_again = heard(mixed, batch)
            assert seen(again) == expected, [event["type"] for event in mixed]
            assert last_words(told_again) == words, [event["type"] for event in mixed]


@every_shape
def test_all_720_orders_of_a_short_life_end_the_same(shape: str) -> None:
    events = told.credits_of_a_guest(shape)
    expected = seen(heard(events)[0])

    for mixed in itertools.permutations(events):
        assert seen(heard(mixed, batch=6)[0]) == expected


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_every_shape_tells_of_the_same_payment(story: Any) -> None:
    first, *others = (payment(story(shape)) for shape in PAYMENT_SHAPES)

    assert others == [first] * len(others)


@every_story
def test_the_same_event_twice_changes_nothing(name: str, events: list[Json]) -> None:
    shelf, _ = heard(events)
    once = seen(shelf)

    for fact in map(fact_of, events):
        assert [event.event for one in shelf.take([fact]) for event in one.said] == []
    assert seen(shelf) == once


def shown_again() -> dict[str, list[Json]]:
    """Facts that show an object as another one did, and yet tell of the payment: when it was so, or whose it is."""
    back = told.charge(amount_refunded=500)
    failed = told.refund(status="failed")
    guest, known = told.intent(customer=None, metadata={"account_id": "acme"}), told.intent()
    return {
        "a charge, behind a refund that failed": Told()
        .tell("charge.refunded", back, after_seconds=DAY)
        .tell("refund.failed", failed, after_seconds=DAY + 10)
        .tell("charge.succeeded", back, after_seconds=DAY + 20)
        .events,
        "a refund that failed, behind a charge": Told()
        .tell("refund.failed", failed, after_seconds=DAY + 10)
        .tell("charge.succeeded", back, after_seconds=DAY + 20)
        .tell("refund.failed", failed, after_seconds=DAY + 30)
        .events,
        "an intent, whose it is": Told()
        .tell("payment_intent.created", guest)
        .tell("payment_intent.processing", known, after_seconds=9)
        .events,
    }


@pytest.mark.parametrize("events", shown_again().values(), ids=shown_again())
def test_what_shows_nothing_new_may_still_tell_of_the_payment(events: list[Json]) -> None:
    expected = seen(heard(events, batch=len(events))[0])
    assert expected["payments"]

    for mixed in itertools.permutations(events):
        assert seen(heard(mixed, batch=1)[0]) == expected
        shelf, _ = heard(mixed[:-1], batch=1)
        before = shelf.payments
        shelf.take([fact_of(mixed[-1])])
        assert shelf.payments == made_of(shelf) == expected["payments"], before


def made_of(shelf: Shelf) -> dict[str, Payment]:
    """The payments that all that we know of makes."""
    causes = {one.cause_id for one in shelf.pieces.values() if one.cause_id}
    made = [payments_of(one for one in shelf.pieces.values() if one.cause_id == cause) for cause in causes]
    return {payment_id: one for payments in made for payment_id, one in payments.items()}


@every_story
def test_a_payment_is_what_its_pieces_make_of_it_after_each_fact(name: str, events: list[Json]) -> None:
    dice, shelf = random.Random(name), Shelf()

    for event in dice.sample(events * 2, len(events) * 2):
        shelf.take([fact_of(event)])
        assert shelf.payments == made_of(shelf)


@every_shape
def test_a_subscription_that_was_declined_and_then_paid_is_one_payment(shape: str) -> None:
    paid = payment(told.subscription_paid(shape))

    assert (paid.payment_id, paid.kind, paid.status) == ("pi_1", Kind.SUBSCRIPTION, Status.SUCCEEDED)
    assert (paid.amount_minor, paid.tax_minor, paid.discount_minor) == (2900, 300, 100)
    assert (paid.invoice_id, paid.charge_id, paid.customer_id, paid.failure_code) == ("in_1", "ch_1", "cus_1", None)


@every_shape
def test_until_it_is_paid_the_last_decline_is_told(shape: str) -> None:
    declined = payment(told.subscription_paid(shape)[:6])

    assert (declined.status, declined.failure_code) == (Status.FAILED, "card_declined")


@every_shape
def test_a_refund_that_failed_counts_no_longer_and_a_dispute_that_was_won_neither(shape: str) -> None:
    events = told.refunded_and_disputed(shape)
    until = {event["type"]: index + 1 for index, event in enumerate(events)}

    assert payment(events[: until["refund.failed"] - 1]).refunded_minor == 1400
    assert payment(events[: until["refund.failed"]]).refunded_minor == 500
    assert payment(events[: until["charge.dispute.created"]]).disputed_minor == 0
    assert payment(events[: until["charge.dispute.funds_withdrawn"]]).disputed_minor == 2900
    assert payment(events).disputed_minor == 0


def test_the_charges_running_total_counts_where_a_refund_is_missing_and_the_refunds_where_the_total_is() -> None:
    events = told.refunded_and_disputed(BASIL)

    def but(*kinds: str) -> int:
        return payment([event for event in events[:15] if event["type"] not in kinds]).refunded_minor

    assert but("refund.created") == but("charge.refunded") == but() == 1400


@every_shape
def test_a_guests_payment_is_the_accounts_that_the_session_names(shape: str) -> None:
    shelf, said = heard(told.credits_of_a_guest(shape))
    [bought] = shelf.payments.values()

    assert (bought.kind, bought.purpose, bought.refunded_minor) == (Kind.ONE_OFF, "credits", 950)
    assert (bought.customer_id, bought.guest_account_id) == (None, account_of_platform("P1"))
    assert {one.account_id for one in said if one.outcome is not Outcome.WAITING} == {account_of_platform("P1")}


def test_what_nobody_is_known_to_own_waits_for_who_tells_it() -> None:
    *first, completed, charged, refunded = told.credits_of_a_guest(BASIL)
    shelf, said = heard([*first, charged, refunded])

    assert {one.outcome for one in said} == {Outcome.WAITING}
    assert (len(shelf.waiting), shelf.payments, shelf.account_seqs) == (5, {}, {})

    told_now = shelf.take([fact_of(completed)])

    assert [one.outcome for one in told_now] == [Outcome.APPLIED] * 6
    assert [one.account_seq for one in told_now] == [1, 2, 3, 4, 5, 6]
    assert not shelf.waiting


def test_what_stripe_answers_of_nobody_is_nobodys_and_waits_no_more() -> None:
    events = told.credits_of_a_guest(BASIL)[:3]
    shelf, _ = heard(events)
    answer = events[2] | {"id": "ans_1", "type": "payment_intent.retrieved", "created": NOON + 60}

    said = shelf.take([fact_of(answer)])

    assert [one.account_id for one in said] == [None] * 4
    assert [(one.status, one.customer_id) for one in shelf.payments.values()] == [(Status.SUCCEEDED, None)]


def test_who_tells_one_that_waits_tells_those_that_wait_for_that_one() -> None:
    """The warning names the charge alone, the charge its intent, and only the intent says whose it is."""
    warning = {"id": "issfr_1", "object": "radar.early_fraud_warning", "actionable": True, "charge": "ch_1"}
    warning |= {"fraud_type": "misc", "livemode": False, "payment_intent": None}
    events = (
        Told().tell("radar.early_fraud_warning.created", warning).tell("charge.succeeded", told.charge(customer=None))
    )
    events.tell("payment_intent.created", told.intent(latest_charge=None))

    shelf, said = heard(events.events)

    assert [(one.fact.envelope.type, one.outcome) for one in said] == [
        ("radar.early_fraud_warning.created", Outcome.WAITING),
        ("charge.succeeded", Outcome.WAITING),
        ("payment_intent.created", Outcome.APPLIED),
        ("charge.succeeded", Outcome.APPLIED),
        ("radar.early_fraud_warning.created", Outcome.APPLIED),
    ]
    assert not shelf.waiting


def test_an_owner_who_is_named_at_last_is_that_of_all_the_cause() -> None:
    """Stripe had been asked, and knew of nobody."""
    events = Told().tell("charge.retrieved", told.charge(customer=None)).tell("charge.updated", told.charge()).events
    events[0] |= {"id": "ans_1"}

    shelf, said = heard(events)

    assert [one.account_id for one in said] == [None, account_of_customer("cus_1")]
    assert {of: piece.customer_id for of, piece in shelf.pieces.items()} == {"ch_1": "cus_1", "pi_1": "cus_1"}
    assert payment(events).customer_id == "cus_1"


def test_a_dispute_that_comes_before_its_charge_waits_for_it() -> None:
    events = told.refunded_and_disputed(BASIL)
    opened = next(event for event in events if event["type"] == "charge.dispute.created")
    shelf, said = heard([opened])

    assert [one.outcome for one in said] == [Outcome.WAITING]

    succeeded = next(event for event in events if event["type"] == "charge.succeeded")
    told_now = shelf.take([fact_of(succeeded)])

    assert [(one.fact.envelope.type, one.account_id) for one in told_now] == [
        ("charge.succeeded", account_of_customer("cus_1")),
        ("charge.dispute.created", account_of_customer("cus_1")),
    ]


def test_two_halves_are_merged_when_somebody_links_them() -> None:
    events = told.subscription_paid(BASIL)
    link = events.pop()
    shelf, _ = heard([event for event in events if event["type"] != "invoice.created"])
    assert sorted(shelf.payments) == ["in_1", "pi_1"]

    merged = [event.event for one in shelf.take([fact_of(link)]) for event in one.said]

    assert sorted(shelf.payments) == ["pi_1"]
    assert [(event.subject, event.merged_into) for event in merged if isinstance(event, PaymentMerged)] == [
        ("in_1", "pi_1")
    ]


@pytest.mark.parametrize(
    ("moved", "withdrawn"),
    [
        ([], 0),
        ([("usd", -2900)], 2900),
        ([("usd", -2900), ("usd", 1000)], 1900),
        ([("eur", -2710)], 2900),
        ([("eur", -2710), ("eur", 2710)], 0),
    ],
)
def test_what_a_dispute_withdrew_is_told_in_its_own_currency(moved: list[tuple[str, int]], withdrawn: int) -> None:
    transactions = [{"currency": currency, "amount": amount, "fee": 1500} for currency, amount in moved]
    events = Told().tell("charge.succeeded", told.charge()).events
    events += Told().tell("charge.dispute.updated", told.dispute(balance_transactions=transactions)).events

    assert payment([events[0], events[1] | {"id": "evt_09"}]).disputed_minor == withdrawn


def test_an_invoice_of_nothing_is_no_payment() -> None:
    free = {"total": 0, "amount_due": 0, "amount_remaining": 0, "_payment_intent": None, "status": "paid"}

    assert heard(Told().tell("invoice.paid", told.invoice(**free)).events)[0].payments == {}


def test_what_a_network_calls_fraud_raises_an_alert_once() -> None:
    warning = {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": "pi_1",
    }
    events = Told().tell("charge.succeeded", told.charge()).tell("radar.early_fraud_warning.created", warning).events
    events = [*events, events[1] | {"id": "evt_09", "type": "radar.early_fraud_warning.updated"}]

    raised = [said.event for one in heard(events)[1] for said in one.said if isinstance(said.event, AlertRaised)]

    assert [(alert.rule, alert.account_id) for alert in raised] == [
        (Rule.EARLY_FRAUD_WARNING, account_of_customer("cus_1"))
    ]


def test_a_customer_that_is_named_late_takes_its_payments_along() -> None:
    events = told.refunded_and_disputed(BASIL)
    named = {
        "id": "evt_99",
        "object": "event",
        "api_version": BASIL,
        "created": NOON + 99 * DAY,
        "livemode": False,
        "type": "customer.updated",
        "data": {
            "object": {
                "id": "cus_1",
                "object": "customer",
                "created": NOON - DAY,
                "livemode": False,
                "metadata": {"account_id": "P1"},
            }
        },
    }
    late, early = last_words(heard([*events, named])[1]), last_words(heard([named, *events])[1])

    assert late == early
    assert {word["account_id"] for word in late.values()} == {account_of_platform("P1")}


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("charge.succeeded", told.charge(currency="dollars"), "currency"),
        ("charge.succeeded", told.charge(amount="2900"), "amount"),
        ("payment_intent.succeeded", told.intent(amount=2**63), "amount"),
        ("refund.created", {**told.refund(), "id": None}, "id"),
        ("invoice.paid", {**told.invoice(), "total": None}, "total"),
    ],
)
def test_a_body_that_does_not_say_what_it_must_is_unreadable_and_the_words_name_the_field_alone(
    kind: str, body: Json, field: str
) -> None:
    [event] = Told(BEFORE_BASIL).tell(kind, {**body, "id": body["id"] or "x"}).events
    event["data"]["object"]["id"] = body["id"]

    with pytest.raises(stripe_events.Unreadable, match=field) as unreadable:
        fact_of(event | {"data": event["data"]})
    assert "2900" not in str(unreadable.value)


def test_a_thin_event_asks_stripe_for_what_it_does_not_show() -> None:
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "created": "2026-09-21T14:13:20.000Z",
        "livemode": False,
        "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
        "type": "v1.charge.succeeded",
    }
    fact = stripe_events.read(envelope("evt_thin", type=thin["type"], subject="ch_1", customer=None), dumped(thin))

    [heard_of] = Shelf().take([fact])

    assert (heard_of.outcome, heard_of.account_id) == (Outcome.APPLIED, None)
    [asked] = [said.event for said in heard_of.said]
    assert isinstance(asked, StripeRequested)
    assert asked.request == Retrieve(object_kind="charge", object_id="ch_1", why=Why.THIN_EVENT)


def test_a_thin_event_about_what_we_do_not_read_asks_for_nothing() -> None:
    thin = {"object": "v2.core.event", "related_object": {"id": "mtr_1", "type": "billing.meter"}}
    fact = stripe_events.read(envelope(type="v1.billing.meter.no_meter_found", customer=None), dumped(thin))

    [one] = Shelf().take([fact])

    assert (one.outcome, one.said) == (Outcome.IGNORED, ())


def test_what_stripe_has_no_such_object_of_is_nobodys_and_waits_no_more() -> None:
    opened = next(event for event in told.refunded_and_disputed(BASIL) if event["type"] == "charge.dispute.created")
    shelf, _ = heard([opened])
    failed = {"data": {"object": {"id": "pi_1", "object": "stripe_request", "reason": "resource_missing"}}}
    answer = envelope("ans_1", type="stripe.request.failed", subject="pi_1", customer=None)

    said = shelf.take([stripe_events.read(answer, dumped(failed))])

    assert [(one.fact.envelope.id, one.outcome, one.account_id) for one in said] == [
        ("ans_1", Outcome.APPLIED, None),
        (opened["id"], Outcome.APPLIED, None),
    ]
    assert not shelf.waiting


def test_two_facts_that_only_their_ids_can_order_make_stripe_asked() -> None:
    one = Told(BASIL).tell("invoice.updated", told.invoice(status="open", amount_due=1)).events[0]
    other = Told(BASIL).tell("invoice.updated", told.invoice(status="open", amount_due=2)).events[0] | {"id": "evt_x"}

    requests = [
        said.event.request
        for one_heard in heard([one, other])[1]
        for said in one_heard.said
        if isinstance(said.event, StripeRequested)
    ]

    assert requests == [Retrieve(object_kind="invoice", object_id="in_1", why=Why.AMBIGUOUS_ORDER)]


def test_an_answer_comes_behind_what_it_was_asked_about_and_asks_for_nothing_itself() -> None:
    """Even where it bears the same second, and nothing tells what was before."""
    one, other, answer = (
        Told(BASIL).tell("invoice.updated", told.invoice(status="open", amount_due=due)).events[0]
        | {"id": fact_id, **more}
        for due, fact_id, more in ((1, "evt_a", {}), (2, "evt_b", {}), (3, "ans_a", {"type": "invoice.retrieved"}))
    )
    for order in itertools.permutations([one, other, answer]):
        shelf, said = heard(order, batch=1)
        asked = [
            one_said.event for one_heard in said for one_said in one_heard.said if one_heard.fact.envelope.id == "ans_a"
        ]

        assert shelf.pieces["in_1"].present.state.amount_due_minor == 3
        assert not [event for event in asked if isinstance(event, StripeRequested)]


def dumped(event: Json) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize("shown", [told.intent, told.invoice, told.dispute, told.refund, told.session])
def test_what_has_ended_does_not_come_back_to_life_by_a_later_event(shown: Any) -> None:
    end = {"payment_intent": "canceled", "invoice": "void", "dispute": "lost", "refund": "failed"}
    alive = {"payment_intent": "processing", "invoice": "open", "dispute": "under_review", "refund": "pending"}
    kind = shown()["object"]
    ended = shown(status=end.get(kind, "expired"), customer="cus_1")
    living = shown(status=alive.get(kind, "open"), customer="cus_1")
    events = Told().tell(f"{kind}.ended", ended).tell(f"{kind}.updated", living, after_seconds=60).events

    for order in (events, events[::-1]):
        shelf, _ = heard(
            [event | {"type": PREFIXED.get(kind, kind) + event["type"].removeprefix(kind)} for event in order]
        )
        assert shelf.pieces[ended["id"]].present.state.status == ended["status"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (told.invoice(status="draft"), told.invoice(status="open")),
        (told.invoice(status="open"), told.invoice(status="open", attempt_count=1)),
        (told.invoice(status="open", attempt_count=9), told.invoice(status="uncollectible", attempt_count=9)),
        (told.intent(), told.intent(status="requires_action")),
        (told.intent(status="processing"), told.intent(last_payment_error={"code": "card_declined"})),
        (told.charge(status="pending"), told.charge()),
        (told.refund(status="pending", customer="cus_1"), told.refund(customer="cus_1")),
        (
            told.dispute(customer="cus_1"),
            told.dispute(customer="cus_1", balance_transactions=[{"amount": -2900, "currency": "usd", "fee": 1500}]),
        ),
        (told.session(payment_status="unpaid"), told.session()),
    ],
)
def test_within_a_second_what_is_further_along_is_the_later(earlier: Json, later: Json) -> None:
    """Whatever their ids say, and though neither tells what was before it."""
    prefix = PREFIXED.get(later["object"], later["object"])
    one, other = (Told().tell(f"{prefix}.told", body).events[0] for body in (earlier, later))

    for ids in (("evt_a", "evt_b"), ("evt_b", "evt_a")):
        shelf, _ = heard([one | {"id": ids[0]}, other | {"id": ids[1]}])
        assert [version.fact_id for version in shelf.object_lines.whole(later["id"])] == list(ids)
