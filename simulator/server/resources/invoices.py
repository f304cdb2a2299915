"""Invoices, what is on them, and what was paid on them."""

from typing import Any, Final

from simulator import invoices
from simulator.happenings import Json
from simulator.invoice_items import InvoiceItem
from simulator.server.lists import PAGING, Cursor, Page, page_of
from simulator.server.parameters import (
    MOMENT_OR_NOW,
    NOTHING,
    Hash,
    choice,
    either,
    flag,
    many,
    metadata,
    text,
    unsettable,
    whole,
)
from simulator.server.resources.shared import (
    AUTOMATIC_TAX,
    COLLECTION,
    DISCOUNTS,
    PRICE_DATA_OF_PRODUCT,
    PRORATION,
    TAX_BEHAVIOR,
)
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "invoice"
PLACE: Final = "/v1/invoices"
ITEM: Final = "invoiceitem"
ITEMS: Final = "/v1/invoiceitems"
PAYMENT: Final = "invoice_payment"
PAYMENTS: Final = "/v1/invoice_payments"

CHANGE: Final[dict[str, Any]] = {
    "auto_advance": flag,
    "automatic_tax": AUTOMATIC_TAX,
    "collection_method": COLLECTION,
    "days_until_due": whole,
    "default_payment_method": text,
    "description": text,
    "discounts": DISCOUNTS,
    "due_date": whole,
    "footer": text,
    "metadata": unsettable(metadata),
}
CREATE: Final = Hash(
    CHANGE
    | {
        "currency": text,
        "customer": text,
        "pending_invoice_items_behavior": choice("exclude", "include"),
        "subscription": text,
    },
    needs=("customer",),
)
PAY: Final = Hash({"forgive": flag, "off_session": flag, "paid_out_of_band": flag, "payment_method": text})
ADVANCE: Final = Hash({"auto_advance": flag})
PREVIEW: Final = Hash(
    {
        "customer": text,
        "discounts": DISCOUNTS,
        "preview_mode": choice("next", "recurring"),
        "schedule": text,
        "subscription": text,
        "subscription_details": Hash(
            {
                "billing_cycle_anchor": either(choice("now", "unchanged"), whole),
                "cancel_at": unsettable(whole),
                "cancel_at_period_end": flag,
                "cancel_now": flag,
                "items": many(
                    Hash(
                        {
                            "id": text,
                            "price": text,
                            "price_data": PRICE_DATA_OF_PRODUCT,
                            "quantity": whole,
                            "deleted": flag,
                            "metadata": unsettable(metadata),
                        }
                    )
                ),
                "proration_behavior": PRORATION,
                "proration_date": whole,
                "trial_end": MOMENT_OR_NOW,
            }
        ),
    }
)
ITEM_CHANGE: Final[dict[str, Any]] = {
    "amount": whole,
    "description": text,
    "discountable": flag,
    "discounts": DISCOUNTS,
    "metadata": unsettable(metadata),
    "period": Hash({"end": whole, "start": whole}, needs=("end", "start")),
    "pricing": Hash({"price": text}),
    "quantity": whole,
    "tax_behavior": TAX_BEHAVIOR,
}
ITEM_CREATE: Final = Hash(
    ITEM_CHANGE | {"currency": text, "customer": text, "invoice": text, "subscription": text},
    needs=("customer",),
)


def _subscription_of(body: Json) -> str | None:
    details = (body["parent"] or {}).get("subscription_details") or {}
    subscription_id: str | None = details.get("subscription")
    return subscription_id


FILTERS: Final[Filters] = (
    CREATED
    | same("customer", text)
    | same("collection_method", COLLECTION)
    | same("status", choice("draft", "open", "paid", "uncollectible", "void"))
    | {"subscription": (text, lambda subscription_id, body: _subscription_of(body) == subscription_id)}
)


def create(call: Call) -> Json:
    """A new draft."""
    return invoices.Invoice.create(call.world, **call.params).body


def delete(call: Call) -> Json:
    """A draft no more."""
    invoice = call.thing(KIND)
    invoice.delete()
    return {"id": invoice.id, "object": KIND, "deleted": True}


def preview(call: Call) -> Json:
    """The invoice that would come, were nothing or just this to change.  Nothing is kept of it."""
    return invoices.preview(call.world, **call.params)


def lines(call: Call) -> Page:
    """What is on an invoice."""
    body: Json = call.thing(KIND).body
    data, has_more = page_of(
        "line item", body["lines"]["data"], lambda _: True, Cursor.of(call.params), lambda line: str(line["id"])
    )
    return Page(data, has_more, call.path)


def create_item(call: Call) -> Json:
    """Something that will be on the next invoice, or on this one."""
    return InvoiceItem.create(call.world, **call.params).body


def delete_item(call: Call) -> Json:
    """It will not be, after all."""
    item = call.thing(ITEM)
    item.delete()
    return {"id": item.body["id"], "object": ITEM, "deleted": True}


def _pays_by(payment: Json, body: Json) -> bool:
    return payment.get("payment_intent") in {None, body["payment"].get("payment_intent")}


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, FILTERS),
    searching(f"{PLACE}/search", KIND, ("created", "currency", "customer", "number", "status", "total")),
    Route("POST", f"{PLACE}/create_preview", PREVIEW, preview),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, Hash(CHANGE), lambda invoice, changes: invoice.update(**changes)),
    Route("DELETE", f"{PLACE}/{{id}}", NOTHING, delete),
    Route("GET", f"{PLACE}/{{id}}/lines", Hash(PAGING), lines),
    acting(f"{PLACE}/{{id}}/finalize", KIND, ADVANCE, lambda invoice, how: invoice.finalize(**how)),
    acting(f"{PLACE}/{{id}}/pay", KIND, PAY, lambda invoice, how: invoice.pay(**how)),
    acting(f"{PLACE}/{{id}}/send", KIND, NOTHING, lambda invoice, _: invoice.send()),
    acting(f"{PLACE}/{{id}}/void", KIND, NOTHING, lambda invoice, _: invoice.void()),
    acting(f"{PLACE}/{{id}}/mark_uncollectible", KIND, NOTHING, lambda invoice, _: invoice.mark_uncollectible()),
    Route("POST", ITEMS, ITEM_CREATE, create_item),
    listing(ITEMS, ITEM, CREATED | same("customer", text) | same("invoice", text)),
    retrieving(f"{ITEMS}/{{id}}", ITEM),
    acting(f"{ITEMS}/{{id}}", ITEM, Hash(ITEM_CHANGE), lambda item, changes: item.update(**changes)),
    Route("DELETE", f"{ITEMS}/{{id}}", NOTHING, delete_item),
    listing(
        PAYMENTS,
        PAYMENT,
        CREATED
        | same("invoice", text)
        | same("status", choice("canceled", "open", "paid"))
        | {"payment": (Hash({"payment_intent": text, "type": choice("payment_intent")}, needs=("type",)), _pays_by)},
    ),
    retrieving(f"{PAYMENTS}/{{id}}", PAYMENT),
)
