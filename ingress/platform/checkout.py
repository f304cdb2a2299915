"""Checkout: a page of Stripe's on which an account subscribes to a plan, or buys a pack of credits once."""

from datetime import UTC, datetime
from typing import Any, Final

from ingress.platform import customers
from ingress.platform.calls import REQUEST_MARK, Call
from ingress.platform.problems import Problem, Word
from ingress.platform.returns import require_allowed
from ingress.platform.shapes import CheckoutAsked, CheckoutShown
from models.customers import account_of_platform
from runtime.stripe_client import Answer, Json, path
from store import accounts

PLACE: Final = path("checkout", "sessions")
LIVE: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
"""While a subscription stands like this, a second one would be paid for beside it."""

CLIENT_REFERENCE_CHARS_MAX: Final = 200


async def create(call: Call) -> CheckoutShown:
    """A session in which the account's customer buys what was asked for."""
    asked: CheckoutAsked = call.body
    require_allowed(call, success_url=asked.success_url, cancel_url=asked.cancel_url)
    bought = _plan(call, asked) if asked.plan else _pack(call, asked)
    if asked.plan and not call.again:
        await _require_no_subscription(call)
    customer_id = await customers.customer_of(call)
    price = await call.tools.prices.id_of(call.read, asked.plan or asked.pack)
    params = _page(call, asked, customer_id) | bought | {"line_items": [{"price": price, "quantity": 1}]}

    async def look() -> Answer | None:
        sessions = await call.tools.stripe.read(PLACE, {"customer": customer_id, "limit": 100}, call.asking)
        made = (one for one in sessions.object["data"] if one["metadata"].get(REQUEST_MARK) == call.mark)
        return next((Answer(one, sessions.answered_at) for one in made), None)

    return _shown(await call.write("checkout", PLACE, params, look))


def _page(call: Call, asked: CheckoutAsked, customer_id: str) -> dict[str, Any]:
    account = call.ids["account"]
    params: dict[str, Any] = {
        "customer": customer_id,
        "success_url": asked.success_url,
        "cancel_url": asked.cancel_url,
    }
    if len(account) <= CLIENT_REFERENCE_CHARS_MAX:
        params["client_reference_id"] = account
    if asked.allow_promotion_codes:
        params["allow_promotion_codes"] = True
    if asked.automatic_tax:  # Tax is reckoned by the address, which is typed in on the page.
        params |= {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    return params


def _plan(call: Call, asked: CheckoutAsked) -> dict[str, Any]:
    terms = call.tools.catalog.terms(asked.plan)
    if terms is None or terms.interval is None:
        raise Problem.with_field(Word.NOT_SOLD, "plan", "must be the lookup key of a plan's price in the catalog")
    about = {"account_id": call.ids["account"]}
    data: dict[str, Any] = {"metadata": about}
    if asked.trial_days:
        data["trial_period_days"] = asked.trial_days
    params = {"mode": "subscription", "metadata": about | {REQUEST_MARK: call.mark}, "subscription_data": data}
    return params if terms.amount_minor else params | {"payment_method_collection": "if_required"}


def _pack(call: Call, asked: CheckoutAsked) -> dict[str, Any]:
    pack = next((pack for pack in call.tools.catalog.packs if pack.pack == asked.pack), None)
    if pack is None:
        raise Problem.with_field(Word.NOT_SOLD, "pack", "must be the lookup key of a pack in the catalog")
    about = {
        "account_id": call.ids["account"],
        "kind": "credits",
        "credits": str(pack.credits),
        "pack": pack.pack,
    }
    return {
        "mode": "payment",
        "metadata": about | {REQUEST_MARK: call.mark},
        "payment_intent_data": {"metadata": about},
    }


async def _require_no_subscription(call: Call) -> None:
    """A request that is sent again is not asked: by then its own session may have been paid."""
    async with call.tools.tables.connection() as connection:
        known = await accounts.customers(connection, account_of_platform(call.ids["account"]))
        subscriptions = await accounts.subscriptions(connection, known.living)
    if any(one["status"] in LIVE and one["price_lookup_key"] not in _free(call) for one in subscriptions):
        raise Problem.with_field(
            Word.STATE_FORBIDS, "plan", "is for accounts without a subscription: change this one's by POST subscription"
        )


def _free(call: Call) -> set[str]:
    plans = call.tools.catalog.plans
    return {price.lookup_key for plan in plans for price in plan.prices if price.amount_minor == 0}


def _shown(session: Json) -> CheckoutShown:
    return CheckoutShown(
        session_id=session["id"], url=session["url"], expires_at=datetime.fromtimestamp(session["expires_at"], UTC)
    )
