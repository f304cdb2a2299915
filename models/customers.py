"""Whose is it: accounts of our own, and the names by which others call them.

An account's id never changes and is made from what never changes: the platform's id where the platform ever named the
customer, else Stripe's customer id.  So the id does not depend on which fact came first.  The earliest naming (by
`created`, then event id) counts; a later, different one is an alert, since moving a customer between accounts is an
operator's step.  A deleted customer leaves a tombstone.
"""

import base64
import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from models.base import Decision, Envelope, Moment, Value
from models.events import AlertRaised, Rule

CUSTOMER_DELETED: Final = "customer.deleted"
ACCOUNT_IDS_KEPT: Final = 10_000  # A fact asks for its account several times, and the next one often for the same.
TYPES: Final = frozenset({"customer.created", "customer.updated", CUSTOMER_DELETED})


class Customer(Value, frozen=True, kw_only=True):
    """What we believe of one customer of Stripe's."""

    customer_id: str
    account_id: str
    livemode: bool
    platform_id: str | None = None
    named_at: Moment | None = None
    named_by: str | None = None  # The fact that named it.
    deleted_at: Moment | None = None


def account_of_customer(customer_id: str) -> str:
    """The account of a customer that the platform never named."""
    return _account_id("stripe_customer", customer_id)


def account_of_platform(platform_id: str) -> str:
    """The account that the platform calls *platform_id*."""
    return _account_id("platform", platform_id)


def stranger(customer_id: str, *, livemode: bool) -> Customer:
    """A customer of whom nothing is known yet."""
    account_id = account_of_customer(customer_id)
    return Customer(customer_id=customer_id, account_id=account_id, livemode=livemode)


def decide(before: Customer, heard: Envelope) -> Decision[Customer, AlertRaised]:
    """Learn from any fact about the customer who the platform says it is, and from `customer.deleted` that it ended."""
    after = _deleted(_named(before, heard), heard)
    contradicted = heard.account is not None and heard.account != after.platform_id
    displaced = before.platform_id is not None and before.platform_id != after.platform_id
    events = (_two_names(after, heard),) if contradicted or displaced else ()
    return Decision(after, events)


def _named(before: Customer, heard: Envelope) -> Customer:
    if heard.account is None or not _earlier(heard, before.named_at, before.named_by):
        return before
    return replace(
        before,
        account_id=account_of_platform(heard.account),
        platform_id=heard.account,
        named_at=heard.occurred_at,
        named_by=heard.id,
    )


def _earlier(heard: Envelope, named_at: datetime | None, named_by: str | None) -> bool:
    return named_at is None or (heard.occurred_at, heard.id) < (named_at, named_by or "")


def _deleted(before: Customer, heard: Envelope) -> Customer:
    if heard.type != CUSTOMER_DELETED or (before.deleted_at and before.deleted_at <= heard.occurred_at):
        return before
    return replace(before, deleted_at=heard.occurred_at)


def _two_names(after: Customer, heard: Envelope) -> AlertRaised:
    return AlertRaised(
        rule=Rule.CUSTOMER_NAMED_TWICE,
        subject=after.customer_id,
        customer_id=after.customer_id,
        account_id=after.account_id,
        as_of=heard.occurred_at,
        detail="The platform names this customer by two account ids; the earliest naming counts.",
    )


@lru_cache(maxsize=ACCOUNT_IDS_KEPT)
def _account_id(kind: str, alias: str) -> str:
    digest = hashlib.sha256(f"{kind}:{alias}".encode()).digest()
    return "ac_" + base64.b32encode(digest)[:26].decode().lower()
