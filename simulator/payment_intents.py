"""Payment intents: one payment, from the wish to the money, however many charges it takes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator import aftermath
from simulator.bank import NOT_AUTHENTICATED, Asks, Declines, Pays, TakesDays, asked
from simulator.charges import Charge
from simulator.clock import DAY_SECONDS
from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused, invalid
from simulator.things import HIDDEN, Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

ENDS: Final = frozenset({"canceled", "succeeded"})
CONFIRMABLE: Final = frozenset({"requires_payment_method", "requires_confirmation"})
CANCELABLE: Final = CONFIRMABLE | {"requires_action", "requires_capture", "processing"}
DEBIT_SECONDS: Final = 4 * DAY_SECONDS
AMOUNT_MIN: Final = 50

_NOTHING: Final[Json] = {}
_UNSET: Final = """
    application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer description
    last_payment_error latest_charge next_action on_behalf_of payment_method payment_method_configuration_details
    processing receipt_email review setup_future_usage shipping source statement_descriptor
    statement_descriptor_suffix transfer_data transfer_group
""".split()


class PaymentIntent(Thing):
    """One payment that somebody means to make."""

    kind: ClassVar[str] = "payment_intent"

    def __init__(self, world: "World", body: Json) -> None:
        super().__init__(world, body)
        self.on_outcome: list[Callable[[], None]] = []  # What hangs on it: an invoice, a checkout session.
        self._authenticated = False

    @classmethod
    def make(cls, world: "World", amount: int, currency: str, *, invoice: str | None = None, **fields: Any) -> Self:
        """A payment intent, told of; *invoice* is what it pays, shown by older versions only."""
        body = _body(world, amount, currency) | fields | {HIDDEN: {"invoice": invoice}}
        intent = cls(world, body)
        world.record("payment_intent.created", intent.body, by_request=invoice is None)
        return intent

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        amount: int,
        currency: str,
        customer: str | None = None,
        payment_method: str | None = None,
        payment_method_types: list[str] | None = None,
        automatic_payment_methods: Json | None = None,
        confirm: bool = False,
        off_session: bool = False,
        return_url: str | None = None,
        error_on_requires_action: bool = False,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new payment intent, confirmed at once if that is asked."""
        if amount < AMOUNT_MIN:
            raise Refused(f"Amount must be at least $0.50 {currency}", code="amount_too_small", param="amount")
        if off_session and not confirm:
            raise invalid("You can only set `off_session` to true if `confirm` is true.", "off_session")
        if customer:
            customer_named(world, customer)
        method = PaymentMethod.named(world, payment_method) if payment_method else None
        if payment_method_types is None and automatic_payment_methods is None:
            automatic_payment_methods = {"allow_redirects": "always", "enabled": True}
        intent = cls.make(
            world,
            amount,
            currency,
            customer=customer,
            payment_method=method.id if method else None,
            payment_method_types=payment_method_types or ["card"],
            automatic_payment_methods=automatic_payment_methods,
            metadata=merged_metadata({}, metadata),
            status="requires_confirmation" if method else "requires_payment_method",
            **fields,
        )
        if confirm:
            intent.confirm(
                off_session=off_session, return_url=return_url, error_on_requires_action=error_on_requires_action
            )
        return intent

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def charge(self) -> Charge | None:
        """Its last charge."""
        charge: Charge | None = self.world.shelf.get("charge", self.body["latest_charge"] or "")
        return charge

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change what is meant.  Stripe tells nobody of that."""
        if self.status not in CONFIRMABLE | {"requires_action"} and changes.keys() - {"description", "receipt_email"}:
            raise self._unexpected("updated")
        if changes.get("payment_method"):
            method = PaymentMethod.named(self.world, str(changes["payment_method"]))
            changes |= {"payment_method": method.id, "status": "requires_confirmation"}
        self.become(metadata=merged_metadata(self.body["metadata"], metadata), **changes)

    def confirm(
        self,
        *,
        payment_method: str | None = None,
        return_url: str | None = None,
        off_session: bool = False,
        error_on_requires_action: bool = False,
        **fields: Any,
    ) -> None:
        """Pay, as far as the bank lets; a decline is told, and refused besides."""
        if self.status not in CONFIRMABLE:
            raise self._unexpected("confirmed")
        method_id = payment_method or self.body["payment_method"]
        if method_id is None:
            raise Refused(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="payment_intent_unexpected_state",
            )
        method = PaymentMethod.named(self.world, method_id)
        self._check_usable(method)
        self.become(**fields)
        why = self.attempt(method, off_session=off_session, return_url=return_url)
        if why:
            raise why.refusal(payment_intent=self.body, charge=self.body["latest_charge"])
        if error_on_requires_action and self.status == "requires_action":
            raise Refused(
                "This payment required an authentication action to complete.",
                code="authentication_required",
                type="card_error",
                status=402,
                payment_intent=self.body,
            )

    def attempt(
        self, method: PaymentMethod, *, off_session: bool = False, return_url: str | None = None
    ) -> Declines | None:
        """Ask the bank, tell what came of it, and say why if it declined."""
        self.become(payment_method=method.id, payment_method_types=[method.card.type], last_payment_error=None)
        answer = asked(method, mood=self._mood(), authenticated=self._authenticated)
        match answer:
            case Asks() if off_session:
                return self._fail(method, Declines("authentication_required", "authentication_required"))
            case Asks():
                self._wait_for_person(return_url)
            case Declines():
                return self._fail(method, answer)
            case TakesDays(settles):
                self._wait_for_debit(method, settles=settles)
            case Pays():
                self._succeed(method)
        return None

    def authenticate(self, *, succeeds: bool = True) -> Declines | None:
        """Whoever holds the card authenticates, or fails to; then the bank is asked again."""
        if self.status != "requires_action":
            raise self._unexpected("authenticated")
        method = PaymentMethod.named(self.world, self.body["payment_method"])
        if not succeeds:
            return self._fail(method, NOT_AUTHENTICATED, charged=False)
        self._authenticated = method.is_saved = True
        return self.attempt(method)

    def capture(
        self, *, amount_to_capture: int | None = None, metadata: Json | None = _NOTHING, final_capture: bool = True
    ) -> None:
        """Take the money that is held."""
        if self.status != "requires_capture" or self.charge is None:
            raise self._unexpected("captured")
        assert final_capture, "several captures are not pretended"
        amount = self.body["amount_capturable"] if amount_to_capture is None else amount_to_capture
        if amount > self.body["amount_capturable"]:
            raise invalid(
                "The requested capture amount is greater than the amount you can capture for this charge.",
                "amount_to_capture",
                "amount_too_large",
            )
        self.charge.capture(amount=amount)
        self.become(metadata=merged_metadata(self.body["metadata"], metadata))
        self._finish("succeeded", amount_received=amount, amount_capturable=0)

    def cancel(self, *, cancellation_reason: str | None = None) -> None:
        """Mean it no more; what was held goes back."""
        if self.status not in CANCELABLE or (self.status == "processing" and cancellation_reason != "void_invoice"):
            raise self._unexpected("canceled")
        held = self.charge
        if held and self.status == "requires_capture":
            held.become(refunded=True, amount_refunded=held.body["amount"])
            held.world.record("charge.expired" if cancellation_reason == "expired" else "charge.refunded", held.body)
        self._finish(
            "canceled",
            amount_capturable=0,
            canceled_at=self.world.now,
            cancellation_reason=cancellation_reason,
        )

    # What comes of an attempt.

    def _succeed(self, method: PaymentMethod) -> None:
        held = self.body["capture_method"] == "manual"
        self._keep_for_later(method)
        charge = Charge.succeed(self, method, captured=not held)
        self.become(latest_charge=charge.id)
        if held:
            changes = {"status": "requires_capture", "amount_capturable": self.body["amount"], "next_action": None}
            self.note("payment_intent.amount_capturable_updated", **changes)
            self._hear()
        else:
            self._finish("succeeded", amount_received=self.body["amount"])
            aftermath.follow(charge)

    def _fail(self, method: PaymentMethod, why: Declines, *, charged: bool = True) -> Declines:
        if charged:
            self.become(latest_charge=Charge.fail(self, method, why).id)
        self._come_back(method, why)
        return why

    def _come_back(self, method: PaymentMethod, why: Declines) -> None:
        self._authenticated = False
        self.note(
            "payment_intent.payment_failed",
            status="requires_payment_method",
            last_payment_error=_error(why, method, self.body["latest_charge"]),
            next_action=None,
            payment_method=None,
            processing=None,
        )
        self._hear()

    def _wait_for_person(self, return_url: str | None) -> None:
        page = f"https://hooks.stripe.com/redirect/authenticate/{self.world.dice.identifier('src')}"
        action: Json = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        if return_url:
            action = {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
        self.note("payment_intent.requires_action", status="requires_action", next_action=action)
        self._hear()

    def _wait_for_debit(self, method: PaymentMethod, *, settles: bool) -> None:
        self._keep_for_later(method)
        charge = Charge.begin(self, method)
        self.note("payment_intent.processing", status="processing", latest_charge=charge.id, next_action=None)
        self._hear()
        self.world.later(DEBIT_SECONDS, lambda: self.settle(succeeds=settles))

    def settle(self, *, succeeds: bool = True) -> None:
        """The debit comes through, or comes back; nothing if that has happened already."""
        charge = self.charge
        if self.status != "processing" or charge is None:
            return
        if succeeds:
            charge.settle()
            self._finish("succeeded", amount_received=self.body["amount"])
            aftermath.follow(charge)
        else:
            why = Declines("insufficient_funds", "insufficient_funds")
            charge.bounce(why)
            self._come_back(charge.method, why)

    def _finish(self, status: str, **changes: Any) -> None:
        self.note(f"payment_intent.{status}", status=status, next_action=None, processing=None, **changes)
        self._hear()

    def _hear(self) -> None:
        for hear in list(self.on_outcome):
            hear()

    # Whose it is.

    @property
    def _customer(self) -> Customer | None:
        customer: Customer | None = self.world.shelf.get("customer", self.body["customer"] or "")
        return customer

    def _mood(self) -> str | None:
        customer = self._customer
        return customer.mood if customer else None

    def _keep_for_later(self, method: PaymentMethod) -> None:
        """A card that is to be used again is the customer's from now on."""
        usage, customer = self.body["setup_future_usage"], self.body["customer"]
        if usage and customer and method.customer_id is None:
            method.is_saved = True
            method.attach(customer)

    def _check_usable(self, method: PaymentMethod) -> None:
        owner = method.customer_id
        if owner and owner != self.body["customer"]:
            raise invalid(
                f"The provided PaymentMethod {method.id} belongs to the Customer {owner}. Please include the Customer "
                "in the `customer` parameter on the PaymentIntent.",
                "payment_method",
            )
        if method.is_spent:
            raise invalid(
                "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or "
                "was detached from a Customer. It may not be used again.",
                "payment_method",
            )

    def _unexpected(self, deed: str) -> Refused:
        return Refused(
            f"This PaymentIntent's status is {self.status}, and so it could not be {deed}.",
            code="payment_intent_unexpected_state",
            payment_intent=self.body,
        )


def _error(why: Declines, method: PaymentMethod, charge_id: str | None) -> Json:
    error = {
        "charge": charge_id,
        "code": why.code,
        "decline_code": why.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{why.code.replace('_', '-')}",
        "message": why.message,
        "payment_method": method.body,
        "type": "card_error",
    }
    return {name: value for name, value in error.items() if value is not None}


_CARD_OPTIONS: Final[Json] = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}


def _body(world: "World", amount: int, currency: str) -> Json:
    intent_id = world.dice.identifier("pi")
    return {
        "id": intent_id,
        "object": "payment_intent",
        **dict.fromkeys(_UNSET),
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic",
        "client_secret": f"{intent_id}_{world.dice.identifier('secret', 25)}",
        "confirmation_method": "automatic",
        "created": world.now,
        "currency": currency,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }
