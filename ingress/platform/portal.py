"""The Portal: a page of Stripe's on which an account looks after its subscription, its cards and its invoices."""

from typing import Final

from ingress.platform import customers
from ingress.platform.calls import Call
from ingress.platform.returns import require_allowed
from ingress.platform.shapes import PortalAsked, PortalShown
from runtime.stripe_client import Answer, path

PLACE: Final = path("billing_portal", "sessions")


async def create(call: Call) -> PortalShown:
    """A session for the account's customer.  It ends by itself, so a second one does no harm."""
    asked: PortalAsked = call.body
    require_allowed(call, return_url=asked.return_url)
    params = {"customer": await customers.customer_of(call), "return_url": asked.return_url}

    async def look() -> Answer | None:
        return None  # Stripe shows no list of them.

    return PortalShown(url=(await call.write("portal", PLACE, params, look))["url"])
