"""Payment intents: one payment, from the wish to the money."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.payment_intents import PaymentIntent
from simulator.server.parameters import SHIPPING, Hash, choice, flag, many, metadata, text, unsettable, whole
from simulator.server.routes import CREATED, Call, Route, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "payment_intent"
PLACE: Final = "/v1/payment_intents"

USAGE: Final = choice("off_session", "on_session")
CHANGE: Final[dict[str, Any]] = {
    "amount": whole,
    "currency": text,
    "customer": text,
    "description": text,
    "metadata": unsettable(metadata),
    "payment_method": unsettable(text),
    "payment_method_types": many(text),
    "receipt_email": unsettable(text),
    "setup_future_usage": unsettable(USAGE),
    "shipping": unsettable(SHIPPING),
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
}
CREATE: Final = Hash(
    CHANGE
    | {
        "automatic_payment_methods": Hash(
            {"enabled": flag, "allow_redirects": choice("always", "never")}, needs=("enabled",)
        ),
        "capture_method": choice("automatic", "automatic_async", "manual"),
        "confirm": flag,
        "off_session": flag,
        "return_url": text,
        "setup_future_usage": USAGE,
        "metadata": metadata,
        "payment_method": text,
        "receipt_email": text,
        "shipping": SHIPPING,
        "error_on_requires_action": flag,
    },
    needs=("amount", "currency"),
)
CONFIRM: Final = Hash(
    {
        "payment_method": text,
        "return_url": text,
        "off_session": flag,
        "receipt_email": unsettable(text),
        "setup_future_usage": unsettable(USAGE),
        "error_on_requires_action": flag,
    }
)
CAPTURE: Final = Hash({"amount_to_capture": whole, "final_capture": flag, "metadata": unsettable(metadata)})
CANCEL: Final = Hash({"cancellation_reason": choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")})


def create(call: Call) -> Json:
    """A new payment intent, confirmed at once if that was asked."""
    return PaymentIntent.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, CREATED | same("customer", text)),
    searching(f"{PLACE}/search", KIND, ("amount", "created", "currency", "customer", "status")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, Hash(CHANGE), lambda intent, changes: intent.update(**changes)),
    acting(f"{PLACE}/{{id}}/confirm", KIND, CONFIRM, lambda intent, how: intent.confirm(**how)),
    acting(f"{PLACE}/{{id}}/capture", KIND, CAPTURE, lambda intent, how: intent.capture(**how)),
    acting(f"{PLACE}/{{id}}/cancel", KIND, CANCEL, lambda intent, why: intent.cancel(**why)),
)
