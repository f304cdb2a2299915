from typing import Any

import pytest
import stripe

from tests.simulator_server.support import Pretend
from tests.simulator_server.test_subscriptions import customer, subscribe


async def open_invoice(pretend: Pretend, token: str = "pm_card_visa", amount: int = 1_500) -> stripe.Invoice:
    payer = await customer(pretend, token)
    await pretend.stripe.v1.invoice_items.create_async(
        {"customer": payer, "amount": amount, "currency": "usd", "description": "a thing"}
    )
    draft = await pretend.stripe.v1.invoices.create_async(
        {"customer": payer, "pending_invoice_items_behavior": "include", "auto_advance": False}
    )
    assert draft.id
    assert draft.status == "draft"
    return await pretend.stripe.v1.invoices.finalize_invoice_async(draft.id)


async def test_an_invoice_is_drafted_finalized_and_paid(pretend: Pretend) -> None:
    invoice = await open_invoice(pretend)
    assert invoice.id
    assert (invoice.status, invoice.amount_due, invoice.amount_remaining) == ("open", 1_500, 1_500)

    paid = await pretend.stripe.v1.invoices.pay_async(invoice.id)

    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1_500, 0)
    lines = await pretend.stripe.v1.invoices.line_items.list_async(invoice.id)
    assert [(line.amount, line.description) for line in lines.data] == [(1_500, "a thing")]


async def test_the_newest_version_tells_of_the_payment_by_an_invoice_payment_alone(pretend: Pretend) -> None:
    invoice = await open_invoice(pretend)
    assert invoice.id
    await pretend.stripe.v1.invoices.pay_async(invoice.id)

    newest = (await pretend.ask("GET", f"/v1/invoices/{invoice.id}", Stripe_Version="2026-10-28.endive"))[1]
    oldest = (await pretend.ask("GET", f"/v1/invoices/{invoice.id}", Stripe_Version="2024-06-20"))[1]
    (payment,) = (await pretend.stripe.v1.invoice_payments.list_async({"invoice": invoice.id})).data
    intent = payment.payment.payment_intent

    assert "payment_intent" not in newest
    assert "payments" not in newest
    assert oldest["payment_intent"] == intent
    assert payment.status == "paid"
    by_intent = await pretend.stripe.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": str(intent)}}
    )
    assert [one.id for one in by_intent.data] == [payment.id]
    shown = await pretend.stripe.v1.invoices.retrieve_async(invoice.id, {"expand": ["payments"]})
    assert shown.payments is not None
    assert [one.id for one in shown.payments.data] == [payment.id]


async def test_a_declined_invoice_stays_open_and_another_card_pays_it(pretend: Pretend) -> None:
    invoice = await open_invoice(pretend, "pm_card_chargeCustomerFail")
    assert invoice.id

    with pytest.raises(stripe.CardError):
        await pretend.stripe.v1.invoices.pay_async(invoice.id)
    assert (await pretend.stripe.v1.invoices.retrieve_async(invoice.id)).status == "open"

    good = await pretend.stripe.v1.payment_methods.attach_async("pm_card_visa", {"customer": str(invoice.customer)})
    assert (await pretend.stripe.v1.invoices.pay_async(invoice.id, {"payment_method": good.id})).status == "paid"


async def test_an_invoice_paid_out_of_band_has_no_payment(pretend: Pretend) -> None:
    invoice = await open_invoice(pretend)
    assert invoice.id

    paid = await pretend.stripe.v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})

    assert (paid.status, paid.amount_paid) == ("paid", 1_500)
    assert not (await pretend.stripe.v1.charges.list_async()).data


@pytest.mark.parametrize(("fate", "status"), [("void_invoice", "void"), ("mark_uncollectible", "uncollectible")])
async def test_what_is_not_to_be_paid_ends_another_way_and_is_told(pretend: Pretend, fate: str, status: str) -> None:
    invoice = await open_invoice(pretend)

    ended: Any = await getattr(pretend.stripe.v1.invoices, f"{fate}_async")(invoice.id)

    assert ended.status == status
    told = (await pretend.stripe.v1.events.list_async({"type": "invoice.*", "limit": 1})).data[0]
    assert told.type == {"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status]


async def test_a_draft_can_be_deleted_and_nothing_else_can(pretend: Pretend) -> None:
    payer = await customer(pretend)
    draft = await pretend.stripe.v1.invoices.create_async({"customer": payer})
    assert draft.id
    assert (await pretend.stripe.v1.invoices.delete_async(draft.id)).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        await pretend.stripe.v1.invoices.retrieve_async(draft.id)
    invoice = await open_invoice(pretend)
    assert invoice.id
    with pytest.raises(stripe.InvalidRequestError):
        await pretend.stripe.v1.invoices.delete_async(invoice.id)


async def test_a_coupon_takes_its_part_off_and_is_kept_apart(pretend: Pretend) -> None:
    coupon = await pretend.stripe.v1.coupons.create_async({"percent_off": 25, "duration": "once"})

    subscription = await subscribe(pretend, 4_000, discounts=[{"coupon": coupon.id}], expand=["latest_invoice"])

    invoice = subscription.latest_invoice
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (4_000, 3_000, 3_000)
    assert [one.amount for one in invoice.total_discount_amounts] == [1_000]


async def test_a_promotion_code_leads_to_its_coupon_until_it_is_switched_off(pretend: Pretend) -> None:
    coupon = await pretend.stripe.v1.coupons.create_async({"amount_off": 500, "currency": "usd", "duration": "once"})
    codes = pretend.stripe.v1.promotion_codes
    code = await codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FIVE"})

    subscription = await subscribe(pretend, 4_000, discounts=[{"promotion_code": code.id}], expand=["latest_invoice"])
    assert subscription.latest_invoice.total == 3_500

    assert not (await codes.update_async(code.id, {"active": False})).active
    assert not (await codes.list_async({"code": "FIVE", "active": True})).data
    with pytest.raises(stripe.InvalidRequestError):
        await subscribe(pretend, 4_000, discounts=[{"promotion_code": code.id}])
