"""What each kind of request does at Stripe, and how one sees that it was done already.

A deed is named by the event that asked for it.  So it has the same idempotency key however often it is read; and where
a key would not be enough (Stripe forgets it after a day), what was made carries the name, or shows that it is so.
"""

from dataclasses import replace
from typing import Any, Final

from models.stripe_requests import CancelSubscription, ChangeSubscription, Refund, Request, Retrieve, Why
from runtime.stripe_client import Answer, Asking, Cause, Json, Look, Refused, StripeClient, Write, path

REQUEST_MARK: Final = "billing_request"
"""The metadata that names the request by which a refund was made."""

PLACES: Final[dict[str, tuple[str, ...]]] = {
    "charge": ("charges",),
    "checkout.session": ("checkout", "sessions"),
    "credit_note": ("credit_notes",),
    "customer": ("customers",),
    "dispute": ("disputes",),
    "invoice": ("invoices",),
    "invoice_payment": ("invoice_payments",),
    "payment_intent": ("payment_intents",),
    "payment_method": ("payment_methods",),
    "price": ("prices",),
    "product": ("products",),
    "radar.early_fraud_warning": ("radar", "early_fraud_warnings"),
    "refund": ("refunds",),
    "subscription": ("subscriptions",),
    "subscription_schedule": ("subscription_schedules",),
}
"""Where Stripe shows each kind of object."""

REFUNDS: Final = path("refunds")
PRICES: Final = path("prices")
SESSIONS: Final = path("checkout", "sessions")


class Deeds:
    """Does what requests ask for."""

    def __init__(self, stripe: StripeClient, asking: Asking) -> None:
        self._stripe = stripe
        self._asking = asking

    async def do(self, cause: str, request: Request) -> list[Answer]:
        """What Stripe showed.  Raises Refused for what cannot be, Again or Unknown for what must be asked again."""
        match request:
            case Retrieve():
                return await self._retrieve(request)
            case Refund():
                return [await self._refund(cause, request)]
            case CancelSubscription():
                return [await self._cancel(cause, request)]
            case ChangeSubscription():
                return [await self._change(cause, request)]

    async def _retrieve(self, request: Retrieve) -> list[Answer]:
        if request.object_kind not in PLACES:
            raise Refused("unknown_object_kind")
        shown = await self._read(path(*PLACES[request.object_kind], request.object_id))
        # The session first: what names an owner is heard before what names nobody.
        return [*(await self._sessions_of(shown) if request.why is Why.OWNER_UNKNOWN else []), shown]

    async def _sessions_of(self, shown: Answer) -> list[Answer]:
        """The Checkout session of a guest's payment: it alone tells what the platform calls whoever paid."""
        payment_intent = _payment_intent_of(shown.object)
        if payment_intent is None or shown.object.get("customer"):
            return []
        listed = await self._read(SESSIONS, {"payment_intent": payment_intent})
        return [replace(listed, object=session) for session in listed.object["data"]]

    async def _refund(self, cause: str, request: Refund) -> Answer:
        """Money that is given back.  It is looked for first: a day later the key would not hold back a second one."""
        of = (
            {"payment_intent": request.payment_intent_id}
            if request.payment_intent_id
            else {"charge": request.charge_id}
        )
        why = {"reason": request.reason.value} if request.reason else {}
        params = {**of, **why, "amount": request.amount_minor, "metadata": {REQUEST_MARK: cause}}

        async def look() -> Answer | None:
            async for refund in self._stripe.each(REFUNDS, of, self._asking):
                if (refund.get("metadata") or {}).get(REQUEST_MARK) == cause:
                    return await self._read(path("refunds", refund["id"]))
            return None

        return await look() or await self._write(Write(REFUNDS, params, Cause(request.kind, cause)), look)

    async def _cancel(self, cause: str, request: CancelSubscription) -> Answer:
        """A subscription that ends.  What has ended already is what was asked for, and Stripe refuses to end it."""
        where = path("subscriptions", request.subscription_id)
        named = Cause(request.kind, cause)
        write = (
            Write(where, {"cancel_at_period_end": True}, named)
            if request.at_period_end
            else Write(where, {}, named, method="delete")
        )

        async def look() -> Answer | None:
            seen = await self._read(where)
            ends = request.at_period_end and seen.object["cancel_at_period_end"]
            return seen if ends or seen.object["status"] == "canceled" else None

        try:
            return await self._write(write, look)
        except Refused as refused:
            ended = await look()
            if ended is None:
                raise refused from None
            return ended

    async def _change(self, cause: str, request: ChangeSubscription) -> Answer:
        """A subscription that goes on with another price; one that has it already is left as it is."""
        where = path("subscriptions", request.subscription_id)
        price_id = await self._price(request.price_lookup_key)
        seen = await self._read(where)
        item = _only_item(seen.object)
        quantity = request.quantity or item.get("quantity")

        async def look() -> Answer | None:
            found = await self._read(where)
            return found if _has(found.object, price_id, quantity) else None

        if _has(seen.object, price_id, quantity):
            return seen
        change = {"id": item["id"], "price": price_id} | ({"quantity": request.quantity} if request.quantity else {})
        params = {"items": [change], "proration_behavior": request.proration.value}
        return await self._write(Write(where, params, Cause(request.kind, cause)), look)

    async def _price(self, lookup_key: str) -> str:
        listed = await self._read(PRICES, {"lookup_keys": [lookup_key], "active": True})
        if not listed.object["data"]:
            raise Refused("price_missing", param="price_lookup_key")
        return str(listed.object["data"][0]["id"])

    async def _write(self, write: Write, look: Look) -> Answer:
        """What came of it, as it is now: what Stripe answers again under the same key is how it was then."""
        answer = await self._stripe.write(write, look, self._asking)
        if not answer.replayed:
            return answer
        return await self._read(path(*PLACES[answer.object["object"]], answer.object["id"]))

    async def _read(self, where: str, params: dict[str, Any] | None = None) -> Answer:
        return await self._stripe.read(where, params, self._asking)


def _payment_intent_of(shown: Json) -> str | None:
    """The payment intent that *shown* is, or is a part of."""
    found = shown["id"] if shown["object"] == "payment_intent" else shown.get("payment_intent")
    return found if isinstance(found, str) else None


def _only_item(subscription: Json) -> Json:
    items: list[Json] = subscription["items"]["data"]
    if len(items) != 1:
        raise Refused("not_one_item")
    return items[0]


def _has(subscription: Json, price_id: str, quantity: int | None) -> bool:
    item = _only_item(subscription)
    return bool(item["price"]["id"] == price_id and item.get("quantity") == quantity)
