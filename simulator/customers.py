"""Customers: who pays.  Their names, addresses and mails look real, so that a leak of them can be found."""

from copy import deepcopy
from typing import TYPE_CHECKING, Final

from simulator.happenings import Json

if TYPE_CHECKING:
    from simulator.world import World

_FIRST_NAMES: Final = ("Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Donald", "Frances", "Zoë", "José")
_LAST_NAMES: Final = (
    "Lovelace",
    "Hopper",
    "Dijkstra",
    "Liskov",
    "Turing",
    "Perlman",
    "Knuth",
    "Allen",
    "Müller",
    "Nuñez",
)
_STREETS: Final = ("Analytical Row", "Compiler Street", "Semaphore Lane", "Halting Court", "Spanning Tree Avenue")


class Customer:
    """One customer, alive until deleted."""

    def __init__(self, world: "World", account_id: str | None = None) -> None:
        self._world = world
        self.card_declines = False  # What the bank will say next time; the script decides.
        self.body = _body(world, account_id)
        world.customers[self.id] = self
        world.record("customer.created", self.body, by_request=True)

    @property
    def id(self) -> str:
        """Stripe's id of the customer."""
        return str(self.body["id"])

    @property
    def account_id(self) -> str | None:
        """What the platform calls the account, where it told Stripe."""
        account_id: str | None = self.body["metadata"].get("account_id")
        return account_id

    def change(self, **changes: object) -> None:
        """Change top-level fields, in one event."""
        before = deepcopy(self.body)
        self.body |= changes
        self._world.record("customer.updated", self.body, before, by_request=True)

    def move(self) -> None:
        """Somebody moves house: nested fields change."""
        self.change(address=self.body["address"] | {"line1": _street(self._world)})

    def delete(self) -> None:
        """Delete the customer: Stripe ends all its subscriptions at once, then tells of the customer."""
        for subscription in self._world.subscriptions.values():
            if subscription.customer is self and subscription.is_live:
                subscription.cancel_now()
        self._world.record("customer.deleted", self.body, by_request=True)


def _street(world: "World") -> str:
    return f"{world.dice.randint(1, 999)} {world.dice.one_of(_STREETS)}"


def _body(world: "World", account_id: str | None) -> Json:
    dice = world.dice
    first, last = dice.one_of(_FIRST_NAMES), dice.one_of(_LAST_NAMES)
    handle = dice.identifier("user", 8).lower()
    return {
        "id": dice.identifier("cus", 14),
        "object": "customer",
        "address": {
            "city": "San Francisco",
            "country": "US",
            "line1": _street(world),
            "line2": None,
            "postal_code": f"94{dice.randint(100, 199)}",
            "state": "CA",
        },
        "balance": 0,
        "created": world.now,
        "currency": "usd",
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": f"{handle}@subscriber.example",
        "invoice_prefix": dice.identifier("x", 8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": dice.identifier("pm"),
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {"account_id": account_id} if account_id else {},
        "name": f"{first} {last}",
        "next_invoice_sequence": 1,
        "phone": f"+1415555{dice.randint(0, 9999):04}",
        "preferred_locales": ["en-US"],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
