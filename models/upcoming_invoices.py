"""Upcoming invoices: days before it renews a subscription, Stripe tells what it is going to bill.

There is no such invoice yet, and it may become another one or none: nothing is believed of it.  It is journaled, and
told.
(https://docs.stripe.com/api/events/types#event_types-invoice.upcoming)
"""

from typing import Final

from models import stripe_objects
from models.base import Envelope, Value
from models.events import InvoiceUpcoming
from models.objects import Invoice

TYPE: Final = stripe_objects.UPCOMING


class UpcomingSeen(Value, frozen=True, kw_only=True):
    """What the next invoice would be.  Until basil it has no id, and since then one that nobody can look up."""

    upcoming: Invoice


def read(raw: bytes) -> UpcomingSeen:
    """Read an upcoming invoice; raises ValidationError when the event shows none."""
    return UpcomingSeen(upcoming=stripe_objects.read_nameless_invoice(raw))


def told(heard: Envelope, seen: UpcomingSeen, account_id: str | None) -> InvoiceUpcoming:
    """The notice of it, about the subscription that it renews, or else the customer."""
    invoice = seen.upcoming
    return InvoiceUpcoming(
        subject=invoice.subscription_id or heard.customer or heard.id,
        account_id=account_id,
        as_of=heard.occurred_at,
        customer_id=heard.customer,
        subscription_id=invoice.subscription_id,
        currency=invoice.currency,
        total_minor=invoice.total_minor,
        tax_minor=invoice.tax_minor,
        discount_minor=invoice.discount_minor,
        amount_due_minor=invoice.amount_due_minor,
        due_at=invoice.next_attempt_at,
        livemode=invoice.livemode,
    )
