"""Payment methods: cards that behave by their test number, and never show it."""

from typing import Any, Final

from simulator.cards import is_token
from simulator.happenings import Json
from simulator.payment_methods import PaymentMethod
from simulator.server.lists import Page
from simulator.server.parameters import NOTHING, Hash, choice, metadata, text, unsettable, whole
from simulator.server.resources.shared import BILLING_DETAILS
from simulator.server.routes import Call, Route, acting, listing, retrieving, same

KIND: Final = "payment_method"
PLACE: Final = "/v1/payment_methods"
REDISPLAY: Final = choice("always", "limited", "unspecified")
TYPES: Final = choice("card", "us_bank_account", "sepa_debit")

CARD: Final = Hash({"number": text, "exp_month": whole, "exp_year": whole, "cvc": text, "token": text})
CREATE: Final = Hash(
    {
        "type": TYPES,
        "card": CARD,
        "billing_details": BILLING_DETAILS,
        "metadata": metadata,
        "allow_redisplay": REDISPLAY,
    },
)
UPDATE: Final = Hash(
    {
        "billing_details": BILLING_DETAILS,
        "card": Hash({"exp_month": whole, "exp_year": whole}),
        "metadata": unsettable(metadata),
        "allow_redisplay": REDISPLAY,
    }
)
FILTERS: Final = same("type", TYPES) | same("customer", text) | same("allow_redisplay", REDISPLAY)


def create(call: Call) -> Json:
    """A new payment method that belongs to nobody yet."""
    return PaymentMethod.create(call.world, **call.params).body


def attach(call: Call) -> Json:
    """Let a customer have it; a token of Stripe's (`pm_card_visa`) becomes a card of its own."""
    call.look("customer", call.params["customer"], "customer", 400)
    token = call.ids["id"]
    method: Any = PaymentMethod.take(call.world, token) if is_token(token) else call.thing(KIND)
    method.attach(call.params["customer"])
    return _shown(method)


def list_of_customer(call: Call) -> Page:
    """A customer's payment methods."""
    customer_id = call.thing("customer").body["id"]
    mine = listing(call.path, KIND, same("type", TYPES), lambda method: method.body["customer"] == customer_id)
    page = mine.answer(call)
    assert isinstance(page, Page), "a listing answers with a page"
    return page


def retrieve_of_customer(call: Call) -> Json:
    """One of a customer's payment methods."""
    call.thing("customer")
    return _shown(call.thing(KIND, "method"))


def _shown(method: Any) -> Json:
    body: Json = method.body
    return body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, FILTERS, lambda method: method.body["customer"] is not None),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda method, changes: method.update(**changes)),
    Route("POST", f"{PLACE}/{{id}}/attach", Hash({"customer": text}, needs=("customer",)), attach),
    acting(f"{PLACE}/{{id}}/detach", KIND, NOTHING, lambda method, _: method.detach()),
    Route(
        "GET",
        "/v1/customers/{id}/payment_methods",
        listing("", KIND, same("type", TYPES)).accepts,
        list_of_customer,
    ),
    Route("GET", "/v1/customers/{id}/payment_methods/{method}", NOTHING, retrieve_of_customer),
)
