"""All resources, and so all places of the API."""

from itertools import chain
from typing import Final

from simulator.server.resources import (
    balance,
    charges,
    checkout_sessions,
    coupons,
    credit_notes,
    customers,
    disputes,
    events,
    fraud_warnings,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    setup_intents,
    subscription_schedules,
    subscriptions,
    webhook_endpoints,
)
from simulator.server.routes import Route

RESOURCES: Final = (
    balance,
    charges,
    checkout_sessions,
    coupons,
    credit_notes,
    customers,
    disputes,
    events,
    fraud_warnings,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    setup_intents,
    subscription_schedules,
    subscriptions,
    webhook_endpoints,
)
ROUTES: Final[tuple[Route, ...]] = tuple(chain.from_iterable(resource.ROUTES for resource in RESOURCES))
