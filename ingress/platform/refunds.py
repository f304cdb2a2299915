"""Refunds: money that goes back to whoever paid."""

from typing import Any, Final

from ingress.platform.calls import REQUEST_MARK, Call
from ingress.platform.problems import Problem, Word
from ingress.platform.shapes import RefundAsked, RefundShown
from runtime.stripe_client import Answer, Json, path
from store import accounts
from store.accounts import Payment

PLACE: Final = path("refunds")


async def create(call: Call) -> RefundShown:
    """A refund of one payment: of the amount asked for, else of all that is left.

    When the request was begun before, the books may show what it did itself.  So what it made is looked for, and the
    books are not asked whether it may.
    """
    asked: RefundAsked = call.body
    payment = await _payment(call)
    of = _of_stripe(payment)

    async def look() -> Answer | None:
        async for refund in call.tools.stripe.each(PLACE, of, call.asking):
            if (refund.get("metadata") or {}).get(REQUEST_MARK) == call.mark:
                return await call.tools.stripe.read(path("refunds", refund["id"]), None, call.asking)
        return None

    if call.again:
        done = await look()
        if done is not None:
            return _shown(payment, done.object)
    else:
        _require_left(payment, asked)
    params: dict[str, Any] = {**of, "reason": asked.reason.value, "metadata": {REQUEST_MARK: call.mark}}
    if asked.amount_minor is not None:
        params["amount"] = asked.amount_minor
    return _shown(payment, await call.write("refund", PLACE, params, look))


async def _payment(call: Call) -> Payment:
    async with call.tools.tables.connection() as connection:
        payment = await accounts.payment(connection, call.ids["payment"])
    if payment is None:
        raise Problem.with_field(Word.NO_SUCH_PAYMENT, "payment", "must be a payment_id that GET accounts shows")
    return payment


def _of_stripe(payment: Payment) -> dict[str, str]:
    if payment.payment_intent_id:
        return {"payment_intent": payment.payment_intent_id}
    if payment.charge_id:
        return {"charge": payment.charge_id}
    raise Problem.with_field(Word.STATE_FORBIDS, "payment", "must be paid through Stripe: this one was paid elsewhere")


def _require_left(payment: Payment, asked: RefundAsked) -> None:
    left_minor = payment.amount_minor - payment.refunded_minor
    if payment.status != "succeeded":
        raise Problem.with_field(Word.STATE_FORBIDS, "payment", f"must have succeeded: it is {payment.status}")
    if left_minor <= 0:
        raise Problem.with_field(Word.STATE_FORBIDS, "payment", "is refunded already")
    if (asked.amount_minor or 0) > left_minor:
        raise Problem.with_field(Word.AMOUNT_TOO_LARGE, "amount_minor", f"must be {left_minor} at most")


def _shown(payment: Payment, refund: Json) -> RefundShown:
    return RefundShown(
        refund_id=refund["id"],
        payment_id=payment.payment_id,
        status=refund["status"],
        currency=refund["currency"],
        amount_minor=refund["amount"],
    )
