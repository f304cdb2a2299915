"""Payment methods: cards and bank debits that behave by their test number, and never show it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.cards import Card, card_by, declined_message, is_token
from simulator.happenings import Json
from simulator.refusals import Refused, invalid, missing
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

_NOTHING: Final[Json] = {}


class PaymentMethod(Thing):
    """One payment method: of nobody, then of one customer, then of nobody for ever."""

    kind: ClassVar[str] = "payment_method"

    def __init__(self, world: "World", card: Card, body: Json) -> None:
        super().__init__(world, body)
        self.card = card
        self.is_spent = False  # Detached: it can be neither attached nor paid with again.
        self.is_saved = False  # A person has authenticated it for payments that nobody watches.

    @classmethod
    def take(cls, world: "World", number_or_token: str, **fields: Any) -> Self:
        """A payment method of the test card with this number or token."""
        card = card_by(number_or_token)
        return cls(world, card, _body(world, card) | fields)

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        type: str = "card",  # noqa: A002  Stripe's own word.
        card: Json | None = None,
        billing_details: Json | None = None,
        metadata: Json | None = None,
        allow_redisplay: str = "unspecified",
    ) -> Self:
        """A payment method as the API makes it; the number is looked at and forgotten."""
        told = dict(card or {})
        number = told.get("token") or told.get("number")
        if not number:
            if type == "card":
                raise invalid("Missing required param: card.", "card", "parameter_missing")
            number = "pm_sepaDebit" if type == "sepa_debit" else "pm_usBankAccount"
        method = cls.take(
            world,
            str(number),
            metadata=merged_metadata({}, metadata),
            allow_redisplay=allow_redisplay,
        )
        expiry = {name: told[name] for name in ("exp_month", "exp_year") if name in told}
        if expiry and method.card.type == "card":
            method.become(card=method.body["card"] | expiry)
        if billing_details:
            method.become(billing_details=_details(method.body["billing_details"], billing_details))
        return method

    @classmethod
    def named(cls, world: "World", name: str, param: str = "payment_method") -> "PaymentMethod":
        """The payment method with this id, or a new one of this token; Refused where there is none."""
        method: PaymentMethod | None = world.shelf.get(cls.kind, name)
        if method is None and is_token(name):
            return cls.take(world, name)
        if method is None:
            raise missing("PaymentMethod", name, param)
        return method

    @property
    def customer_id(self) -> str | None:
        """Whose it is."""
        customer_id: str | None = self.body["customer"]
        return customer_id

    @property
    def is_expired(self) -> bool:
        """Whether its card has run out by the world's clock."""
        if self.card.type != "card":
            return False
        card, (year, month) = self.body["card"], year_and_month(self.world.now)
        return bool((card["exp_year"], card["exp_month"]) < (year, month))

    def check_attachable(self) -> None:
        """Refuse what can be nobody's."""
        if self.is_spent:
            raise invalid(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
                "Customer, and may not be used again.",
            )
        if not self.card.attaches:
            decline = self.card.decline or "generic_decline"
            raise Refused(
                declined_message(decline),
                code=self.card.failure_code,
                type="card_error",
                status=402,
                decline_code=decline,
            )

    def check_free(self) -> None:
        """Refuse what is somebody's, or can be nobody's."""
        if self.customer_id:
            raise invalid("The payment method you provided has already been attached to a customer.")
        self.check_attachable()

    def attach(self, customer: str) -> None:
        """Let *customer* have it."""
        if self.customer_id == customer:
            return
        if self.world.shelf.get("customer", customer) is None:
            raise missing("customer", customer, "customer")
        self.check_free()
        self.become(customer=customer)
        self.world.record("payment_method.attached", self.body, by_request=True)

    def detach(self) -> None:
        """Take it from its customer, for ever."""
        if self.customer_id is None:
            raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
        owner = self.world.shelf.get("customer", self.customer_id)
        self.is_spent = True
        self.tell("payment_method.detached", by_request=True, customer=None)
        if owner is not None and not owner.is_deleted and owner.default_payment_method == self.id:
            owner.update(invoice_settings={"default_payment_method": None})

    def update(
        self,
        *,
        card: Json | None = None,
        billing_details: Json | None = None,
        metadata: Json | None = _NOTHING,
        **changes: Any,
    ) -> None:
        """Change what may change of it: when it expires, whose name is on it."""
        self._change("payment_method.updated", card, billing_details, metadata, **changes)

    def renew_by_bank(self) -> None:
        """The bank sends a new card with a later expiry, and tells Stripe."""
        expiry = {"exp_year": self.body["card"]["exp_year"] + 4}
        self._change("payment_method.automatically_updated", expiry, None, _NOTHING)

    def _change(
        self,
        event_type: str,
        card: Json | None,
        billing_details: Json | None,
        metadata: Json | None,
        **changes: Any,
    ) -> None:
        if self.customer_id is None:
            raise invalid("You must save this PaymentMethod to a customer before you can update it.")
        if card:
            changes["card"] = self.body["card"] | card
        if billing_details:
            changes["billing_details"] = _details(self.body["billing_details"], billing_details)
        changes["metadata"] = merged_metadata(self.body["metadata"], metadata)
        self.tell(event_type, by_request=event_type == "payment_method.updated", **changes)


def year_and_month(moment_seconds: int) -> tuple[int, int]:
    """The year and month of a moment, in UTC."""
    moment = datetime.fromtimestamp(moment_seconds, UTC)
    return moment.year, moment.month


def _details(old: Json, new: Json) -> Json:
    details = old | new
    if new.get("address"):
        details["address"] = old["address"] | new["address"]
    return details


_NO_DETAILS: Final[Json] = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}


def _body(world: "World", card: Card) -> Json:
    return {
        "id": world.dice.identifier("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _NO_DETAILS,
        card.type: _TYPES[card.type](world, card),
        "created": world.now,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": card.type,
    }


def _card(world: "World", card: Card) -> Json:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": year_and_month(world.now)[0] + 8,
        "fingerprint": world.dice.identifier("x", 16)[2:],
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _us_bank_account(world: "World", card: Card) -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": world.dice.identifier("x", 16)[2:],
        "last4": card.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def _sepa_debit(world: "World", card: Card) -> Json:
    return {
        "bank_code": "37040044",
        "branch_code": "",
        "country": card.country,
        "fingerprint": world.dice.identifier("x", 16)[2:],
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": card.last4,
    }


_TYPES: Final = {"card": _card, "us_bank_account": _us_bank_account, "sepa_debit": _sepa_debit}
