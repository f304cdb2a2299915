"""Checkout sessions: a page where a person pays."""

from typing import Any, Final

from simulator.checkout_sessions import CheckoutSession
from simulator.happenings import Json
from simulator.server.lists import PAGING, Cursor, Page, page_of
from simulator.server.parameters import (
    NOTHING,
    SHIPPING,
    Hash,
    choice,
    flag,
    many,
    metadata,
    text,
    unsettable,
    whole,
)
from simulator.server.resources.shared import AUTOMATIC_TAX, DISCOUNTS, PRICE_DATA, TRIAL_SETTINGS
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same

KIND: Final = "checkout.session"
PLACE: Final = "/v1/checkout/sessions"
LINES_MAX: Final = 100

LINE: Final = Hash(
    {
        "adjustable_quantity": Hash({"enabled": flag, "maximum": whole, "minimum": whole}, needs=("enabled",)),
        "metadata": metadata,
        "price": text,
        "price_data": PRICE_DATA,
        "quantity": whole,
    }
)
PAYMENT_INTENT: Final = Hash(
    {
        "capture_method": choice("automatic", "automatic_async", "manual"),
        "description": text,
        "metadata": metadata,
        "receipt_email": text,
        "setup_future_usage": choice("off_session", "on_session"),
        "shipping": SHIPPING,
        "statement_descriptor": text,
        "statement_descriptor_suffix": text,
    }
)
SUBSCRIPTION: Final = Hash(
    {
        "billing_cycle_anchor": whole,
        "description": text,
        "metadata": metadata,
        "proration_behavior": choice("create_prorations", "none"),
        "trial_end": whole,
        "trial_period_days": whole,
        "trial_settings": TRIAL_SETTINGS,
    }
)
AUTO_OR_NEVER: Final = choice("auto", "never")
CREATE: Final = Hash(
    {
        "allow_promotion_codes": flag,
        "automatic_tax": AUTOMATIC_TAX,
        "billing_address_collection": choice("auto", "required"),
        "cancel_url": text,
        "client_reference_id": text,
        "currency": text,
        "customer": text,
        "customer_creation": choice("always", "if_required"),
        "customer_email": text,
        "customer_update": Hash({"address": AUTO_OR_NEVER, "name": AUTO_OR_NEVER, "shipping": AUTO_OR_NEVER}),
        "discounts": DISCOUNTS,
        "expires_at": whole,
        "invoice_creation": Hash({"enabled": flag}, needs=("enabled",)),
        "line_items": many(LINE, LINES_MAX),
        "locale": text,
        "metadata": metadata,
        "mode": choice("payment", "setup", "subscription"),
        "payment_intent_data": PAYMENT_INTENT,
        "payment_method_collection": choice("always", "if_required"),
        "payment_method_types": many(text),
        "phone_number_collection": Hash({"enabled": flag}, needs=("enabled",)),
        "setup_intent_data": Hash({"description": text, "metadata": metadata}),
        "submit_type": choice("auto", "book", "donate", "pay", "subscribe"),
        "subscription_data": SUBSCRIPTION,
        "success_url": text,
        "tax_id_collection": Hash({"enabled": flag, "required": choice("if_supported", "never")}, needs=("enabled",)),
        "ui_mode": choice("hosted_page"),
    },
    needs=("mode", "success_url"),
)
UPDATE: Final = Hash({"metadata": unsettable(metadata)})
FILTERS: Final[Filters] = (
    CREATED
    | same("customer", text)
    | same("payment_intent", text)
    | same("payment_link", text)
    | same("status", choice("complete", "expired", "open"))
    | same("subscription", text)
    | {
        "customer_details": (
            Hash({"email": text}, needs=("email",)),
            lambda asked, body: (body["customer_details"] or {}).get("email") == asked["email"],
        )
    }
)


def create(call: Call) -> Json:
    """A new session, open for a day."""
    return CheckoutSession.create(call.world, **call.params).body


def line_items(call: Call) -> Page:
    """What is bought."""
    session: Any = call.thing(KIND)
    data, has_more = page_of(
        "line item", session.line_items, lambda _: True, Cursor.of(call.params), lambda line: str(line["id"])
    )
    return Page(data, has_more, call.path)


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, FILTERS),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda session, changes: session.update(**changes)),
    acting(f"{PLACE}/{{id}}/expire", KIND, NOTHING, lambda session, _: session.expire()),
    Route("GET", f"{PLACE}/{{id}}/line_items", Hash(PAGING), line_items),
)
