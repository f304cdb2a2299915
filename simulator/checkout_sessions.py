"""Checkout sessions: a page where a person pays, subscribes or saves a card, fails at it, or walks away."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.amounts import Reckoning
from simulator.checkout_lines import basket_totals, line_items, prices_asked
from simulator.clock import DAY_SECONDS
from simulator.coupons import Discount, code_named, redeem
from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.invoice_items import InvoiceItem, pending_of
from simulator.invoice_lines import line_of_invoice_item
from simulator.invoices import Invoice
from simulator.payment_intents import PaymentIntent
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused, invalid
from simulator.setup_intents import SetupIntent
from simulator.subscriptions import Subscription
from simulator.taxes import rate_for
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

ENDS: Final = frozenset({"complete", "expired"})
OPEN_SECONDS: Final = DAY_SECONDS
HOME: Final[Json] = {
    "city": "San Francisco",
    "country": "US",
    "line1": "1 Analytical Row",
    "line2": None,
    "postal_code": "94105",
    "state": "CA",
}
"""Where whoever pays lives, when nothing else is known."""

_NOTHING: Final[Json] = {}
_UNSET: Final = """
    after_expiration allow_promotion_codes amount_subtotal amount_total billing_address_collection cancel_url
    client_reference_id client_secret collected_information consent consent_collection currency currency_conversion
    customer customer_creation customer_details customer_email invoice invoice_creation locale origin_context
    payment_intent payment_link payment_method_collection payment_method_configuration_details permissions
    recovered_from saved_payment_method_options setup_intent shipping_address_collection shipping_cost submit_type
    subscription success_url total_details wallet_options
""".split()


class CheckoutSession(Thing):
    """One session: open, then complete or expired."""

    kind: ClassVar[str] = "checkout.session"

    def __init__(self, world: "World", body: Json, prices: list[tuple[Json, int]], data: Json) -> None:
        super().__init__(world, body)
        self.line_items: list[Json] = []
        self._prices = prices
        self._data = data  # What is to be told to whatever the session makes.
        self._discounts: list[Discount] = []
        self._intent: PaymentIntent | None = None
        self._subscription: Subscription | None = None

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        mode: str = "payment",
        line_items: Sequence[Json] | None = None,
        customer: str | None = None,
        discounts: Sequence[Json] | None = None,
        automatic_tax: Json | None = None,
        payment_intent_data: Json | None = None,
        subscription_data: Json | None = None,
        setup_intent_data: Json | None = None,
        invoice_creation: Json | None = None,
        expires_at: int | None = None,
        metadata: Json | None = None,
        customer_update: Json | None = None,
        tax_id_collection: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new session, open for a day."""
        if mode != "setup" and not line_items:
            raise invalid("Missing required param: line_items.", "line_items", "parameter_missing")
        if customer and fields.get("customer_email"):
            raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer_email")
        if discounts and fields.get("allow_promotion_codes"):
            words = "You may only specify one of these parameters: allow_promotion_codes, discounts."
            raise invalid(words, "discounts")
        owner = customer_named(world, customer) if customer else None
        prices = prices_asked(world, line_items or (), mode)
        session_id = world.dice.identifier("cs_test", 58)
        redeemed = redeem(world, discounts, checkout_session=session_id)
        end = expires_at or world.now + OPEN_SECONDS
        body = _body(world, session_id, mode) | fields | {"expires_at": end, "customer": customer}
        body |= {"metadata": merged_metadata({}, metadata), "url": f"{world.address}/c/pay/{session_id}"}
        body["automatic_tax"] = body["automatic_tax"] | {"enabled": bool((automatic_tax or {}).get("enabled"))}
        if mode == "payment":
            body |= {"customer_creation": fields.get("customer_creation", "if_required")} if not customer else {}
            body["invoice_creation"] = _INVOICE_CREATION | (invoice_creation or {})
        if customer_update or tax_id_collection:
            body["tax_id_collection"] = {"enabled": False, "required": "never"} | (tax_id_collection or {})
        data = {"payment": payment_intent_data, "subscription": subscription_data, "setup": setup_intent_data}
        session = cls(world, body, prices, data[mode] or {})
        session._discounts = redeemed
        session._reckon(owner)
        world.at(end, session._run_out)
        return session

    # What it is.

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def mode(self) -> str:
        """What it is for."""
        return str(self.body["mode"])

    @property
    def customer(self) -> Customer | None:
        """Who pays, if anybody is known."""
        customer: Customer | None = self.world.shelf.get("customer", self.body["customer"] or "")
        return customer

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change what is written on it."""
        self.become(metadata=merged_metadata(self.body["metadata"], metadata), **changes)

    def expire(self) -> None:
        """Let nobody pay any more."""
        if self.status != "open":
            words = f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {self.status}.'
            raise invalid(words, "session")
        self.note("checkout.session.expired", status="expired", url=None)

    # What people do on its page.

    def pay(
        self,
        card: str = "pm_card_visa",
        *,
        email: str | None = None,
        name: str | None = None,
        promotion_code: str | None = None,
    ) -> None:
        """Pay, subscribe, or save the card; a decline is refused, and may be tried again with another."""
        if self.status != "open":
            raise invalid(f"This Checkout Session is {self.status}.", "session")
        if promotion_code:
            self._take_code(promotion_code)
        method = self._method(card, email, name)
        self._meet(email, name)
        match self.mode:
            case "payment":
                self._pay_once(method)
            case "subscription":
                self._subscribe(method)
            case _:
                self._save(method)

    def authenticate(self, *, succeeds: bool = True) -> None:
        """Whoever holds the card authenticates, or fails to, and may try again."""
        invoice = self._subscription.latest_invoice if self._subscription else None
        intent = invoice.intent if invoice else self._intent
        if intent is None or intent.status != "requires_action":
            raise invalid("Nobody has to authenticate anything now.", "session")
        why = intent.authenticate(succeeds=succeeds)
        if why:
            raise why.refusal()
        self._look()

    def settle(self, *, succeeds: bool = True) -> None:
        """A debit comes through, or comes back."""
        if self._intent:
            self._intent.settle(succeeds=succeeds)

    # How it is paid.

    def _pay_once(self, method: PaymentMethod) -> None:
        if not self.body["amount_total"]:
            self._complete("no_payment_required")
            return
        if self._intent is None:
            self._intent = self._make_invoice() if self._makes_invoice else self._make_intent()
            self.become(payment_intent=self._intent.id)
            self._intent.on_outcome.append(self._hear_intent)
        why = self._intent.attempt(method)
        if why:
            raise why.refusal()

    @property
    def _needs_customer(self) -> bool:
        return self.mode == "payment" and (self.body["customer_creation"] == "always" or self._makes_invoice)

    def _make_intent(self) -> PaymentIntent:
        told = {"receipt_email": None, "description": None} | self._data | {"customer": self.body["customer"]}
        return PaymentIntent.make(self.world, self.body["amount_total"], self.body["currency"], **told)

    @property
    def _makes_invoice(self) -> bool:
        return bool(self.body["invoice_creation"]["enabled"])

    def _make_invoice(self) -> PaymentIntent:
        """An invoice of the basket, and the payment intent that pays it."""
        customer = self.customer
        assert customer is not None, "whoever gets an invoice has been met"
        for price, quantity in self._prices:
            _put_aside(self.world, customer, price, quantity)
        lines = [line_of_invoice_item(item) for item in pending_of(self.world, customer.id, None)]
        taxed = bool(self.body["automatic_tax"]["enabled"])
        invoice = Invoice.draft(customer, lines, discounts=self._discounts, automatic_tax=taxed, auto_advance=False)
        invoice.finalize()
        self.become(invoice=invoice.id)
        assert invoice.intent is not None, "something is owed"
        invoice.intent.become(**self._data)
        return invoice.intent

    def _hear_intent(self) -> None:
        intent = self._intent
        assert intent is not None, "it speaks"
        waits = self.status == "complete"
        match intent.status:
            case "succeeded" if waits:
                self.note("checkout.session.async_payment_succeeded", payment_status="paid")
            case "succeeded":
                self._complete("paid")
            case "processing" | "requires_capture":
                self._complete("unpaid")
            case "requires_payment_method" if waits:
                self.note("checkout.session.async_payment_failed")
            case _:
                return

    def _subscribe(self, method: PaymentMethod) -> None:
        customer = self.customer
        assert customer is not None, "who subscribes has been met"
        if self._subscription is None:
            method.attach(customer.id)
            self._put_aside_what_is_paid_once(customer)
            self._subscription = Subscription.create(
                self.world,
                customer=customer.id,
                items=[{"price_body": price, "quantity": n} for price, n in self._prices if price["recurring"]],
                default_payment_method=method.id,
                discounts=[{"discount": one.id} for one in self._discounts],
                automatic_tax={"enabled": self.body["automatic_tax"]["enabled"]},
                **self._data,
            )
            self.become(subscription=self._subscription.id, invoice=self._subscription.body["latest_invoice"])
        else:
            method.attach(customer.id)
            self._subscription.update(default_payment_method=method.id)
            self._subscription.complete()
        self._look()

    def _put_aside_what_is_paid_once(self, customer: Customer) -> None:
        for price, quantity in self._prices:
            if price["recurring"] is None:
                _put_aside(self.world, customer, price, quantity)

    def _look(self) -> None:
        """See whether the subscription has begun; a decline is refused."""
        subscription = self._subscription
        if subscription is None or self.status != "open":
            return
        invoice = subscription.latest_invoice
        if subscription.status in {"active", "trialing"}:
            free = subscription.status == "trialing"
            self._complete("no_payment_required" if free and not self.body["amount_total"] else "paid")
        elif invoice and invoice.intent and (error := invoice.intent.body["last_payment_error"]):
            more = {"decline_code": error["decline_code"]} if "decline_code" in error else {}
            raise Refused(error["message"], code=error["code"], type="card_error", status=402, **more)

    def _save(self, method: PaymentMethod) -> None:
        intent = SetupIntent.make(self.world, self.body["customer"], **self._data)
        self.become(setup_intent=intent.id)
        method.check_attachable()
        intent.succeed(method)
        self._complete("no_payment_required")

    def _complete(self, payment_status: str) -> None:
        for discount in self._discounts:
            discount.spend()
        self.note("checkout.session.completed", status="complete", payment_status=payment_status, url=None)

    def _run_out(self) -> None:
        if self.status == "open":
            self.expire()

    # Who pays, with what.

    def _method(self, card: str, email: str | None, name: str | None) -> PaymentMethod:
        known: PaymentMethod | None = self.world.shelf.get("payment_method", card)
        if known is not None:
            return known
        method = PaymentMethod.take(self.world, card)
        if self.mode == "subscription":
            method.check_attachable()
        details = method.body["billing_details"] | {"email": email or self.body["customer_email"], "name": name}
        method.become(billing_details=details | {"address": HOME})
        return method

    def _meet(self, email: str | None, name: str | None) -> None:
        """Who pays says who they are; where Stripe has to know them again, they become a customer."""
        customer = self.customer
        told = email or self.body["customer_email"]
        if customer is None and (self.mode == "subscription" or self._needs_customer):
            customer = Customer.create(self.world, email=told, name=name, address=HOME)
            self.become(customer=customer.id)
        known = customer.body if customer else {"address": HOME, "email": told, "name": name, "phone": None}
        self.become(
            customer_details={
                "address": known["address"],
                "business_name": None,
                "email": known["email"],
                "individual_name": None,
                "name": known["name"],
                "phone": known["phone"],
                "tax_exempt": known.get("tax_exempt", "none"),
                "tax_ids": [],
            }
        )

    def _take_code(self, word: str) -> None:
        if not self.body["allow_promotion_codes"]:
            raise invalid("This Checkout Session takes no promotion codes.", "promotion_code")
        code = code_named(self.world, word)
        if code is None:
            raise Refused("This code is invalid.", code="promotion_code_invalid", param="promotion_code")
        if not self._discounts:
            self._discounts = redeem(self.world, [{"promotion_code": code.id}], checkout_session=self.id)
            self._reckon(self.customer)

    def _reckon(self, customer: Customer | None) -> None:
        """What the basket comes to, for whoever pays."""
        if self.mode == "setup":
            return
        address = (customer.body["address"] if customer else None) or HOME
        rate = rate_for(address, None) if self.body["automatic_tax"]["enabled"] else None
        free = bool(self._data.get("trial_period_days") or self._data.get("trial_end"))
        self.line_items = line_items(self.world, self._prices, Reckoning(self._discounts, rate), free=free)
        self.become(
            currency=self._prices[0][0]["currency"],
            automatic_tax=self.body["automatic_tax"] | {"status": "complete" if rate else None},
            discounts=[
                {"coupon": one.body["source"]["coupon"], "promotion_code": one.body["promotion_code"]}
                for one in self._discounts
            ],
            **basket_totals(self.line_items),
        )


def _put_aside(world: "World", customer: Customer, price: Json, quantity: int) -> None:
    amount = price["unit_amount"] * quantity
    InvoiceItem.create(world, customer=customer.id, amount=amount, currency=price["currency"], quantity=quantity)


_INVOICE_CREATION: Final[Json] = {
    "enabled": False,
    "invoice_data": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    },
}


def _body(world: "World", session_id: str, mode: str) -> Json:
    return {
        "id": session_id,
        "object": "checkout.session",
        **dict.fromkeys(_UNSET),
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": world.now,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "discounts": [],
        "livemode": False,
        "mode": mode,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "ui_mode": "hosted_page",
    }
