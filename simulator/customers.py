"""Customers: who pays.  In a story they have names, addresses and mails that look real, so that a leak can be found."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.happenings import Json
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused, missing
from simulator.things import Thing, merged_metadata

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
_NOTHING: Final[Json] = {}


class Customer(Thing):
    """One customer, alive until deleted."""

    kind: ClassVar[str] = "customer"

    def __init__(
        self, world: "World", account_id: str | None = None, *, card: str = "pm_card_visa", body: Json | None = None
    ) -> None:
        """Somebody of the story, with a name and a card; with a *body*, just that."""
        super().__init__(world, body or _somebody(world, account_id))
        self.mood: str | None = None  # The decline code with which the bank answers everything, while it does.
        self.is_deleted = False
        self.created = int(self.body["created"])
        self._invoice_count = 0
        self._last_metadata: Json = {}  # Of who is deleted: Stripe shows it no more, and the world still knows.
        world.customers[self.id] = self
        if body is None:
            method = PaymentMethod.take(world, card)
            self.become(invoice_settings=self.body["invoice_settings"] | {"default_payment_method": method.id})
            world.record("customer.created", self.body, by_request=True)
            method.attach(self.id)

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        payment_method: str | None = None,
        invoice_settings: Json | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new customer, of whom nothing is known but what is told."""
        body = customer_body(world) | fields | {"metadata": merged_metadata({}, metadata)}
        method = PaymentMethod.named(world, payment_method) if payment_method else None
        settings = dict(invoice_settings or {})
        if method:
            method.check_free()
        if method and settings.get("default_payment_method") == payment_method:
            settings["default_payment_method"] = method.id  # A token has become a card.
        elif settings.get("default_payment_method"):
            raise _not_owned(settings["default_payment_method"])
        customer = cls(world, body=body | {"invoice_settings": body["invoice_settings"] | settings})
        world.record("customer.created", customer.body, by_request=True)
        if method:
            method.attach(customer.id)
        return customer

    @property
    def card_declines(self) -> bool:
        """What the bank will say next time; the script decides."""
        return self.mood is not None

    @card_declines.setter
    def card_declines(self, declines: bool) -> None:
        self.mood = "insufficient_funds" if declines else None

    @property
    def account_id(self) -> str | None:
        """What the platform calls the account, where it told Stripe."""
        told = self._last_metadata if self.is_deleted else self.body["metadata"]
        account_id: str | None = told.get("account_id")
        return account_id

    @property
    def default_payment_method(self) -> str | None:
        """The id of the card that invoices are paid with, when nothing else is said."""
        method_id: str | None = self.body["invoice_settings"]["default_payment_method"]
        return method_id

    def update(self, *, metadata: Json | None = _NOTHING, invoice_settings: Json | None = None, **changes: Any) -> None:
        """Change what is told."""
        if invoice_settings and (method_id := invoice_settings.get("default_payment_method")):
            self._check_owned(str(method_id))
        self.tell(
            "customer.updated",
            by_request=True,
            metadata=merged_metadata(self.body["metadata"], metadata),
            invoice_settings=self.body["invoice_settings"] | (invoice_settings or {}),
            **changes,
        )

    def change(self, **changes: Any) -> None:
        """Change top-level fields, in one event."""
        self.tell("customer.updated", by_request=True, **changes)

    def move(self) -> None:
        """Somebody moves house: nested fields change."""
        self.change(address=self.body["address"] | {"line1": _street(self.world)})

    def use_card(self, number_or_token: str) -> None:
        """Put another card on file, for all invoices to come."""
        method = PaymentMethod.take(self.world, number_or_token)
        method.attach(self.id)
        self.update(invoice_settings={"default_payment_method": method.id})

    def delete(self) -> None:
        """Delete the customer: Stripe ends all its subscriptions at once, then tells of the customer."""
        for subscription in list(self.world.subscriptions.values()):
            if subscription.customer is self and subscription.is_live:
                subscription.cancel_now()
        self.is_deleted = True
        self._last_metadata = self.body["metadata"]
        self.world.record("customer.deleted", self.body, by_request=True)
        self.body = {"id": self.id, "object": "customer", "deleted": True}

    def next_invoice_number(self) -> str:
        """The number of the next invoice: Stripe counts by customer."""
        self._invoice_count += 1
        return f"{self.body['invoice_prefix']}-{self._invoice_count:04}"

    def _check_owned(self, method_id: str) -> None:
        method = self.world.shelf.get("payment_method", method_id)
        if method is None:
            raise missing("PaymentMethod", method_id, "invoice_settings[default_payment_method]")
        if method.body["customer"] != self.id:
            raise _not_owned(method_id)


def _not_owned(method_id: str) -> Refused:
    return Refused(
        f"The customer does not have a payment method with the ID {method_id}. The payment method must be attached to "
        "the customer.",
        code="resource_missing",
        param="invoice_settings[default_payment_method]",
    )


def customer_named(world: "World", customer_id: str, param: str = "customer") -> Customer:
    """The customer with this id; Refused where there is none, or no more."""
    customer: Customer | None = world.shelf.get(Customer.kind, customer_id)
    if customer is None or customer.is_deleted:
        raise missing("customer", customer_id, param)
    return customer


def _street(world: "World") -> str:
    return f"{world.dice.randint(1, 999)} {world.dice.one_of(_STREETS)}"


def customer_body(world: "World") -> Json:
    """A customer of whom nothing is known."""
    return {
        "id": world.dice.identifier("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": world.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": world.dice.identifier("x", 8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _somebody(world: "World", account_id: str | None) -> Json:
    return customer_body(world) | persona(world) | {"metadata": {"account_id": account_id} if account_id else {}}


def persona(world: "World") -> Json:
    """A name, an address and a mail that look real."""
    dice = world.dice
    first, last = dice.one_of(_FIRST_NAMES), dice.one_of(_LAST_NAMES)
    handle = dice.identifier("user", 8).lower()
    return {
        "address": {
            "city": "San Francisco",
            "country": "US",
            "line1": _street(world),
            "line2": None,
            "postal_code": f"94{dice.randint(100, 199)}",
            "state": "CA",
        },
        "currency": "usd",
        "email": f"{handle}@subscriber.example",
        "name": f"{first} {last}",
        "phone": f"+1415555{dice.randint(0, 9999):04}",
        "preferred_locales": ["en-US"],
    }
