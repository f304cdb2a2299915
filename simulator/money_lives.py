"""Money lives: what people do with their money: buy, fail to pay, want it back, and quarrel."""

from contextlib import suppress
from typing import Final

from simulator.catalog import PLAN_OFFERS, price_for
from simulator.charges import Charge
from simulator.checkout_sessions import CheckoutSession
from simulator.clock import DAY_SECONDS, HOUR_SECONDS
from simulator.coupons import Coupon, PromotionCode, code_named
from simulator.credit_notes import CreditNote
from simulator.disputes import LOSING, WINNING, Dispute
from simulator.invoice_items import InvoiceItem
from simulator.invoices import Invoice
from simulator.lives import PLANS_BY_MONTH, PLANS_PAID
from simulator.payment_intents import PaymentIntent
from simulator.payment_methods import PaymentMethod
from simulator.portal import PortalSession
from simulator.refunds import Refund
from simulator.refusals import Refused
from simulator.subscribers import Subscriber
from simulator.subscriptions import Subscription
from simulator.world import Script, World

PACKS_SOLD: Final = ("credits_500", "credits_1000", "credits_5000")
CODE: Final = "QUARTER"


def buys_credits(one: Subscriber) -> Script:
    """A subscriber who buys packs of credits, and gives some back."""
    one.subscribe(*PLANS_BY_MONTH)
    for _ in range(3):
        yield one.days(3, 25)
        session = one.open_basket(one.dice.one_of(PACKS_SOLD), euros=one.dice.happens(0.3))
        yield one.dice.randrange(20, HOUR_SECONDS)
        session.pay("pm_card_visa")
    yield one.days(1, 9)
    for share in (3, 2):
        charge = _last_charge(one)
        if charge and charge.refundable_minor >= share:
            Refund.of(charge, charge.refundable_minor // share, reason="requested_by_customer")
        yield one.dice.randrange(HOUR_SECONDS, 3 * DAY_SECONDS)


def is_a_guest(one: Subscriber) -> Script:
    """Somebody who buys without becoming a customer: walks away, comes back, is declined now and then, and pays."""
    one.open_basket(one.dice.one_of(PACKS_SOLD), guest=True)
    yield one.days(1, 9)
    session = one.open_basket(one.dice.one_of(PACKS_SOLD), guest=True, euros=one.dice.happens(0.5))
    yield one.dice.randrange(20, HOUR_SECONDS)
    if one.dice.happens(0.5):
        with suppress(Refused):
            session.pay(one.dice.one_of(("4000000000000002", "4000000000009995")), email=one.email)
        yield one.dice.randrange(20, HOUR_SECONDS)
    session.pay("4242424242424242", email=one.email)
    yield one.days(1, 9)
    one.follow_link(one.dice.one_of(PACKS_SOLD)).pay("pm_card_visa", email=one.email)


def pays_by_debit(one: Subscriber) -> Script:
    """A debit that takes days, and comes through or comes back."""
    for method in ("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"):
        session = one.open_basket(one.dice.one_of(PACKS_SOLD), guest=one.dice.happens(0.5))
        yield one.dice.randrange(20, HOUR_SECONDS)
        session.pay(method, email=one.email)
        yield one.days(6, 12)


def checks_out(one: Subscriber) -> Script:
    """Subscribes by Checkout, and does everything else in the Portal."""
    declined = ("4000000000000341",) if one.dice.happens(0.4) else ()
    subscription = one.check_out("mid_monthly", "pm_card_mastercard", *declined, **_terms(one))
    yield one.days(4, 20)
    portal = PortalSession.create(one.world, customer=one.customer.id)
    _change_plan(portal, subscription, "high_monthly")
    yield one.dice.randrange(60, HOUR_SECONDS)
    portal.update_card("pm_card_amex")
    yield one.days(5, 30)
    portal = PortalSession.create(one.world, customer=one.customer.id)
    _change_plan(portal, subscription, "mid_monthly")
    yield one.days(35, 45)
    with suppress(Refused):
        PortalSession.create(one.world, customer=one.customer.id).cancel(subscription.id)
    yield one.dice.randrange(60, 5 * DAY_SECONDS)
    if one.dice.happens(0.5) and subscription.is_live:
        with suppress(Refused):
            PortalSession.create(one.world, customer=one.customer.id).resume(subscription.id)


def wants_money_back(one: Subscriber) -> Script:
    """A payment goes back in pieces, late, or does not arrive; then what is left of a renewal."""
    one.subscribe(*PLANS_BY_MONTH)
    for card in ("pm_card_refundFail", "pm_card_pendingRefund"):
        yield one.days(5, 16)
        one.open_basket(one.dice.one_of(PACKS_SOLD)).pay(card)
        yield one.days(1, 4)
        charge = _last_charge(one)
        if charge:
            Refund.of(charge, one.dice.randint(1, charge.refundable_minor))
    yield one.days(10, 20)
    for _ in range(2):
        charge = _last_charge(one)
        if charge and charge.refundable_minor:
            Refund.of(charge, one.dice.randint(1, charge.refundable_minor))
        yield one.dice.randrange(HOUR_SECONDS, 4 * DAY_SECONDS)
    charge = _last_charge(one)
    if charge and charge.refundable_minor:
        Refund.of(charge)


def quarrels(one: Subscriber) -> Script:
    """The bank takes the money back, asks, or warns; evidence wins it, or does not."""
    for card in ("pm_card_createDispute", "pm_card_createDisputeInquiry", "pm_card_createIssuerFraudRecord"):
        one.open_basket(one.dice.one_of(PACKS_SOLD)).pay(card)
        charge = _last_charge(one)
        yield one.days(1, 5)
        dispute = next((dispute for dispute in one.world.shelf.all("dispute") if dispute.charge is charge), None)
        if dispute:
            yield from _argues(one, dispute)
        elif charge:
            Refund.of(charge, reason="fraudulent")


def quarrels_over_a_plan(one: Subscriber) -> Script:
    """A renewal is disputed, after some of it went back."""
    one.subscribe(*PLANS_PAID)
    yield one.days(3, 30)
    charge = _last_charge(one)
    if charge is None:
        return
    if one.dice.happens(0.5):
        Refund.of(charge, charge.refundable_minor // 4)
    yield one.days(1, 5)
    yield from _argues(one, Dispute.open(charge, "product_not_received"))


def is_hasty(one: Subscriber) -> Script:
    """Everything in one second: refunds of one charge, one of which fails; a dispute that is given up at once."""
    for _ in range(2):
        session = one.open_basket("credits_5000")
        session.pay("pm_card_visa")
        yield one.days(2, 20)
        charge = _last_charge(one)
        if charge and charge.refundable_minor:
            for number in range(one.dice.randint(2, 4)):
                refund = Refund.of(charge, one.dice.randint(1, 900))
                if number == 1:
                    refund.fail("declined")
        session = one.open_basket("credits_1000")
        session.pay("pm_card_mastercard")
        charge = _last_charge(one)
        if charge:
            dispute = Dispute.open(charge, "duplicate", inquiry=one.dice.happens(0.3))
            if one.dice.happens(0.5):
                dispute.update(evidence={"uncategorized_text": "No."}, submit=True)
                dispute.win() if one.dice.happens(0.5) else dispute.close()


def authenticates_late(one: Subscriber) -> Script:
    """A card that asks for its holder at every payment: who comes in time, or does not."""
    one.customer.use_card("pm_card_authenticationRequired")
    subscription = one.subscribe(*PLANS_BY_MONTH)
    subscription.update(default_payment_method=one.customer.default_payment_method)
    for _ in range(4):
        yield one.dice.randrange(60, HOUR_SECONDS)
        invoice = subscription.latest_invoice
        if invoice and one.dice.happens(0.8):
            invoice.authenticate(succeeds=one.dice.happens(0.8))
        yield one.days(20, 31)


def is_billed_by_mail(one: Subscriber) -> Script:
    """Invoices that are sent: paid by other means, by card, taken back, given up."""
    for amount in (12_000, 7_500, 3_300, 800):
        invoice = _mailed(one, amount)
        yield one.days(1, 9)
        match amount:
            case 12_000:
                invoice.pay(paid_out_of_band=True)
            case 7_500:
                invoice.pay()
                yield one.days(1, 4)
                CreditNote.create(one.world, invoice=invoice.id, refund_amount=500, credit_amount=250)
            case 3_300:
                invoice.void()
            case _:
                invoice.mark_uncollectible()


def leaves_a_deposit(one: Subscriber) -> Script:
    """Money that is held, and taken in part, or let go."""
    for taken in (None, 4_000):
        intent = PaymentIntent.create(
            one.world,
            amount=10_000,
            currency=one.dice.one_of(("usd", "eur")),
            customer=one.customer.id,
            payment_method=one.customer.default_payment_method,
            confirm=True,
            capture_method="manual",
        )
        yield one.days(1, 5)
        intent.capture(amount_to_capture=taken) if taken else intent.cancel(cancellation_reason="abandoned")


def thinks_twice_about_paying(one: Subscriber) -> Script:
    """An upgrade that waits for its money: the first is dropped for want of it, the second comes in time."""
    subscription = one.subscribe("mid_monthly")
    for comes in (False, True):
        yield one.days(3, 20)
        one.customer.card_declines = True
        price = price_for(one.world, PLAN_OFFERS["high_monthly"])["id"]
        subscription.update(
            items=[{"id": subscription.plan_item["id"], "price": price}],
            proration_behavior="always_invoice",
            payment_behavior="pending_if_incomplete",
        )
        yield one.dice.randrange(60, 10 * HOUR_SECONDS)
        one.customer.card_declines = False
        invoice = subscription.latest_invoice
        if comes and invoice:
            invoice.collect(off_session=False)


def changes_cards(one: Subscriber) -> Script:
    """Cards come and go; one is renewed by its bank."""
    one.subscribe(*PLANS_BY_MONTH)
    yield one.days(2, 12)
    first: PaymentMethod | None = one.world.shelf.get("payment_method", one.customer.default_payment_method or "")
    one.customer.use_card("pm_card_visa_debit")
    yield one.days(2, 12)
    CheckoutSession.create(one.world, mode="setup", customer=one.customer.id).pay("pm_card_mastercard")
    yield one.days(2, 12)
    if first:
        first.renew_by_bank()
    yield one.days(2, 12)
    if first:
        first.detach()


def _terms(one: Subscriber) -> dict[str, object]:
    """A trial, or a coupon, or neither."""
    return one.dice.one_of(({}, {"discounts": [{"promotion_code": _code(one.world).id}]}))


def _code(world: World) -> PromotionCode:
    known = code_named(world, CODE)
    if known is None:
        coupon = Coupon.create(
            world, percent_off=25.0, duration="repeating", duration_in_months=3, name="A quarter off"
        )
        known = PromotionCode.create(world, promotion={"type": "coupon", "coupon": coupon.id}, code=CODE)
    return known


def _change_plan(portal: PortalSession, subscription: Subscription, lookup_key: str) -> None:
    if subscription.is_live:
        portal.change_plan(subscription.id, price_for(portal.world, PLAN_OFFERS[lookup_key])["id"])


def _argues(one: Subscriber, dispute: Dispute) -> Script:
    """Answer, and see."""
    if dispute.is_inquiry and one.dice.happens(0.5):
        dispute.escalate()
        yield one.days(1, 3)
    if one.dice.happens(0.8):
        dispute.update(evidence={"uncategorized_text": "We delivered."}, submit=False)
        yield one.dice.randrange(60, DAY_SECONDS)
        dispute.update(evidence={"uncategorized_text": one.dice.one_of((WINNING, LOSING))}, submit=True)


def _mailed(one: Subscriber, amount: int) -> Invoice:
    invoice = Invoice.create(one.world, customer=one.customer.id, collection_method="send_invoice", days_until_due=14)
    InvoiceItem.create(
        one.world, customer=one.customer.id, amount=amount, currency="usd", invoice=invoice.id, description="Advice"
    )
    invoice.send()
    return invoice


def _last_charge(one: Subscriber) -> Charge | None:
    """The last payment of theirs that came."""
    charges = (charge for charge in one.world.shelf.all("charge") if charge.body["customer"] == one.customer.id)
    return next(
        (charge for charge in charges if charge.body["status"] == "succeeded" and charge.body["captured"]), None
    )
