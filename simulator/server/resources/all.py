"""All resources, and so all places of the API."""

from itertools import chain
from typing import Final

from simulator.server.resources import (
    balance,
    charges,
    customers,
    disputes,
    events,
    fraud_warnings,
    payment_intents,
    payment_methods,
    prices,
    products,
    refunds,
    setup_intents,
    webhook_endpoints,
)
from simulator.server.routes import Route

RESOURCES: Final = (
    balance,
    charges,
    customers,
    disputes,
    events,
    fraud_warnings,
    payment_intents,
    payment_methods,
    prices,
    products,
    refunds,
    setup_intents,
    webhook_endpoints,
)
ROUTES: Final[tuple[Route, ...]] = tuple(chain.from_iterable(resource.ROUTES for resource in RESOURCES))
