"""Invoices: what is owed, how it came to be paid, or that it never was.

The body is in the newest shape; what older versions showed beside it (the payment intent, the charge, the price of a
line) is kept under `_hidden`, which no endpoint ever sees.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.amounts import Reckoning, totals
from simulator.clock import DAY_SECONDS
from simulator.coupons import Discount, redeem
from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.invoice_items import InvoiceItem, pending_of
from simulator.invoice_lines import line_of_invoice_item
from simulator.invoice_payments import InvoicePayment
from simulator.payment_intents import PaymentIntent
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused, invalid, missing
from simulator.taxes import rate_for
from simulator.things import HIDDEN, Thing, list_of, merged_metadata

if TYPE_CHECKING:
    from simulator.subscription_periods import Periods
    from simulator.world import World

RETRY_PAUSES_SECONDS: Final = (3 * DAY_SECONDS, 5 * DAY_SECONDS, 7 * DAY_SECONDS)
"""The calendar of the smart retries: after each failure so long, and then no more."""

ENDS: Final = frozenset({"paid", "void"})

_NOTHING: Final[Json] = {}

# What a draft of ours shows as null.
_UNSET: Final = """
    account_tax_ids application automatically_finalizes_at custom_fields default_payment_method default_source
    description due_date effective_at footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error
    latest_revision next_payment_attempt number on_behalf_of parent receipt_number rendering shipping_cost
    shipping_details statement_descriptor test_clock webhooks_delivered_at
""".split()


class Invoice(Thing):
    """One invoice: draft, open, then paid, void, or open for ever."""

    kind: ClassVar[str] = "invoice"

    def __init__(self, world: "World", body: Json, customer: Customer, reckoning: Reckoning) -> None:
        super().__init__(world, body)
        self.customer = customer
        self.reckoning = reckoning
        self.subscription: Periods | None = None
        self.intent: PaymentIntent | None = None
        self.payment: InvoicePayment | None = None
        self._retries = iter(RETRY_PAUSES_SECONDS)
        self.days_until_due = 30

    @classmethod
    def draft(
        cls,
        customer: Customer,
        lines: Sequence[Json],
        reason: str = "manual",
        *,
        subscription: "Periods | None" = None,
        discounts: Sequence[Discount] = (),
        automatic_tax: bool = False,
        **fields: Any,
    ) -> Self:
        """A new invoice of these *lines*, told as `invoice.created`."""
        reckoning = _reckoning(customer, discounts, automatic_tax=automatic_tax)
        body = _drafted(customer, lines, reason, reckoning, subscription) | fields
        invoice = cls(customer.world, body, customer, reckoning)
        invoice.subscription = subscription
        invoice.reckon(lines)
        invoice.world.record("invoice.created", invoice.body)
        return invoice

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        customer: str,
        subscription: str | None = None,
        collection_method: str = "charge_automatically",
        days_until_due: int | None = None,
        pending_invoice_items_behavior: str = "exclude",
        discounts: list[Json] | None = None,
        automatic_tax: Json | None = None,
        auto_advance: bool = False,
        currency: str | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new draft, of what is put aside if that is asked for."""
        payer = customer_named(world, customer)
        redeemed = redeem(world, discounts)
        items = []
        if pending_invoice_items_behavior == "include":
            items = pending_of(world, customer, subscription)
        invoice = cls.draft(
            payer,
            [line_of_invoice_item(item) for item in items],
            subscription=world.subscriptions.get(subscription or ""),
            discounts=redeemed,
            automatic_tax=bool((automatic_tax or {}).get("enabled")),
            auto_advance=auto_advance,
            collection_method=collection_method,
            metadata=merged_metadata({}, metadata),
            **({"currency": currency} if currency else {}),
            **fields,
        )
        invoice.days_until_due = days_until_due or 30
        for item in items:
            item.become(invoice=invoice.id)
        return invoice

    # What it is.

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def is_paid(self) -> bool:
        """Whether nothing more is owed."""
        return self.status == "paid"

    @property
    def amount_due(self) -> int:
        """What is left to be paid of it, when it is final."""
        return int(self.body["amount_due"])

    # What may be done with a draft.

    def take(self, item: InvoiceItem) -> None:
        """Put one thing more on the draft."""
        self._check("draft")
        item.become(invoice=self.id)
        self.reckon([*self.body["lines"]["data"], line_of_invoice_item(item)])

    def update(
        self,
        *,
        metadata: Json | None = _NOTHING,
        discounts: list[Json] | None = None,
        automatic_tax: Json | None = None,
        days_until_due: int | None = None,
        **changes: Any,
    ) -> None:
        """Change it; of an invoice that is final, only what is written on it."""
        if self.status != "draft" and (changes.keys() - {"auto_advance", "default_payment_method"} or discounts):
            raise invalid("Finalized invoices can't be updated in this way", code="invoice_not_editable")
        self.days_until_due = days_until_due or self.days_until_due
        before = self.body
        rate = self.reckoning.tax_rate
        if automatic_tax is not None:
            enabled = bool(automatic_tax["enabled"])
            rate = rate_for(self.customer.body["address"], self.customer.body["tax_exempt"]) if enabled else None
            changes["automatic_tax"] = _automatic_tax(enabled=enabled)
        if discounts is not None:
            redeemed = redeem(self.world, discounts)
            changes["discounts"] = [one.id for one in redeemed]
            self.reckoning = Reckoning(tuple(redeemed), rate)
        else:
            self.reckoning = Reckoning(self.reckoning.discounts, rate)
        self.become(metadata=merged_metadata(self.body["metadata"], metadata), **changes)
        if self.status == "draft":
            self.reckon(self.body["lines"]["data"])
        self.world.record("invoice.updated", self.body, before, by_request=True)

    def delete(self) -> None:
        """A draft no more."""
        self._check("draft")
        self.world.record("invoice.deleted", self.body, by_request=True)
        self.world.shelf.remove(self)

    def finalize(self, *, auto_advance: bool | None = None) -> None:
        """Give it a number and show it to the customer; where nothing is owed, it is paid with that."""
        self._check("draft")
        self._settle_balance()
        page = f"{self.world.address}/i/{self.id}"
        advances = self.body["auto_advance"] if auto_advance is None else auto_advance
        sends = self.body["collection_method"] == "send_invoice"
        self.note(
            "invoice.finalized",
            status="open",
            auto_advance=advances,
            due_date=self.world.now + self.days_until_due * DAY_SECONDS if sends else None,
            effective_at=self.world.now,
            hosted_invoice_url=f"{page}?s=ap",
            invoice_pdf=f"{page}/pdf?s=ap",
            number=self.customer.next_invoice_number(),
            status_transitions=self.body["status_transitions"] | {"finalized_at": self.world.now},
        )
        if self.amount_due and not sends:
            self._intent()
        if not self.amount_due:
            self._close(attempt=True)

    def send(self) -> None:
        """Mail it."""
        if self.status == "draft":
            self.finalize()
        self.world.record("invoice.sent", self.body, by_request=True)

    # How it is paid.

    def pay(
        self,
        *,
        payment_method: str | None = None,
        paid_out_of_band: bool = False,
        off_session: bool = True,
        forgive: bool = False,
    ) -> None:
        """Pay all of it, now; a decline is told, and refused besides."""
        assert not forgive, "forgiving a rest is not pretended"
        if self.status == "draft":
            self.finalize()
            if self.is_paid:
                return
        self._check("open", "uncollectible")
        if paid_out_of_band:
            self._pay_elsewhere()
            return
        why = self.collect(payment_method, off_session=off_session)
        if why:
            raise why

    def collect(self, payment_method: str | None = None, *, off_session: bool = True) -> Refused | None:
        """Ask for the money once, and say why it did not come."""
        if self.status not in {"open", "uncollectible"}:
            return None
        method = self._method(payment_method)
        if method is None:
            self._fail(None)
            words = "There is no `default_payment_method` set on this Customer or Invoice. Please set one first."
            return Refused(words, code="invoice_no_payment_method")
        intent = self._intent()
        if intent.status == "requires_action":
            return None if off_session else self._asks()
        if intent.status == "processing":
            return None
        why = intent.attempt(method, off_session=False)
        if why:
            return why.refusal(payment_intent=intent.body, charge=intent.body["latest_charge"])
        return None if off_session or intent.status != "requires_action" else self._asks()

    def collect_by_calendar(self) -> None:
        """Ask for the money now, and again when Stripe thinks it best, until it comes or there is no hope."""
        if self.status != "open" or (self.subscription and not self.subscription.is_live):
            return
        if self.intent and self.intent.status == "requires_action":
            self._fail(self.intent)  # Nobody has authenticated, and that is as good as a decline.
        else:
            self.collect()

    def authenticate(self, *, succeeds: bool = True) -> None:
        """Whoever holds the card authenticates on the invoice's page, or fails to."""
        if self.intent and self.intent.status == "requires_action":
            self.intent.authenticate(succeeds=succeeds)

    def void(self) -> None:
        """It was a mistake: nothing is owed."""
        self._check("open", "uncollectible")
        self._drop_intent()
        self._end("void", "voided", voided_at=self.world.now)

    def mark_uncollectible(self) -> None:
        """Nobody expects the money any more."""
        self._check("open")
        self._end("uncollectible", "marked_uncollectible", marked_uncollectible_at=self.world.now)

    def credit(self, amount: int, *, after_payment: bool) -> None:
        """A credit note says that so much less is owed, or was."""
        name = "post_payment_credit_notes_amount" if after_payment else "pre_payment_credit_notes_amount"
        changes: Json = {name: self.body[name] + amount}
        if not after_payment:
            left = self.body["amount_remaining"] - amount
            changes |= {"amount_remaining": left, "amount_due": left}
        self.tell("invoice.updated", **changes)
        if not after_payment and self.amount_due == 0:
            self._drop_intent()
            self._close(attempt=False)
        elif not after_payment and self.intent:
            self.intent.become(amount=self.amount_due)

    # What comes of it.

    def _hear_intent(self) -> None:
        intent = self.intent
        assert intent is not None, "it speaks"
        match intent.status:
            case "succeeded":
                if self.payment:
                    self.payment.pay()
                self._close(attempt=True)
            case "requires_payment_method" if intent.body["last_payment_error"]:
                self._fail(intent)
            case "requires_action":
                self.note("invoice.payment_action_required", attempted=True)
                self._fail(intent)
            case "processing" if self.subscription:
                self.subscription.hear_processing()
            case _:
                return

    def _close(self, *, attempt: bool) -> None:
        """Nothing is owed any more."""
        due = self.amount_due
        self.become(
            status="paid",
            amount_paid=due,
            amount_remaining=0,
            attempted=attempt,
            attempt_count=self.body["attempt_count"] + attempt,
            auto_advance=False,
            next_payment_attempt=None,
            status_transitions=self.body["status_transitions"] | {"paid_at": self.world.now},
            **{HIDDEN: self.body[HIDDEN] | {"charge": self.intent.body["latest_charge"] if self.intent else None}},
        )
        for discount in self.reckoning.discounts:
            discount.spend()
        self.world.record("invoice.paid", self.body)
        self.world.record("invoice.payment_succeeded", self.body)
        if self.subscription:
            self.subscription.hear_paid(self)

    def _fail(self, intent: PaymentIntent | None) -> None:
        """The money did not come: say so, and put the next try on the agenda."""
        pause = next(self._retries, None) if self._is_retried else None
        self.tell(
            "invoice.updated",
            attempted=True,
            attempt_count=self.body["attempt_count"] + 1,
            next_payment_attempt=self.world.now + pause if pause else None,
            **{HIDDEN: self.body[HIDDEN] | {"charge": intent.body["latest_charge"] if intent else None}},
        )
        self.world.record("invoice.payment_failed", self.body)
        if self.subscription:
            self.subscription.hear_failed(self, is_last=pause is None)
        if pause:
            self.world.later(pause, self.collect_by_calendar)

    @property
    def _is_retried(self) -> bool:
        """Stripe tries a first invoice of a subscription only once."""
        automatic = self.body["collection_method"] == "charge_automatically" and self.status == "open"
        reasons = {"subscription_cycle", "subscription_update"}
        return automatic and self.body["auto_advance"] and self.body["billing_reason"] in reasons

    def _pay_elsewhere(self) -> None:
        self._drop_intent()
        self.become(**{HIDDEN: self.body[HIDDEN] | {"paid_out_of_band": True}})
        self._close(attempt=False)

    def _drop_intent(self) -> None:
        if self.intent and self.intent.status not in {"succeeded", "canceled"}:
            self.intent.on_outcome.clear()
            self.intent.cancel(cancellation_reason="void_invoice")
        if self.payment:
            self.payment.cancel()

    def _end(self, status: str, word: str, **moment: Any) -> None:
        self.note(
            f"invoice.{word}",
            status=status,
            auto_advance=False,
            next_payment_attempt=None,
            status_transitions=self.body["status_transitions"] | moment,
        )
        if status == "void" and self.subscription:
            self.subscription.hear_void(self)

    def _asks(self) -> Refused:
        return Refused(
            "This payment required an authentication action to complete.",
            code="invoice_payment_intent_requires_action",
            type="card_error",
            status=402,
            payment_intent=self.intent.body if self.intent else None,
        )

    # How it comes to be.

    def reckon(self, lines: Sequence[Json]) -> None:
        """Take off what is taken off, add what is added, and sum up."""
        self.body = reckoned(self.body, lines, self.reckoning)

    def _settle_balance(self) -> None:
        """What the customer has in hand pays first; what is owed to the customer is kept for the next invoice."""
        balance, total = int(self.customer.body["balance"]), int(self.body["total"])
        due = min(max(total + balance, 0), max(total, 0)) if balance < 0 else max(total + balance, 0)
        ending = balance + total - due
        self.become(amount_due=due, amount_remaining=due, starting_balance=balance, ending_balance=ending)
        if ending != balance and not self.customer.is_deleted:
            self.customer.tell("customer.updated", balance=ending)

    def _intent(self) -> PaymentIntent:
        """The payment intent that pays it, made when it is first needed."""
        if self.intent is None:
            words = _REASONS.get(self.body["billing_reason"], "Payment for Invoice")
            self.intent = PaymentIntent.make(
                self.world,
                self.amount_due,
                self.body["currency"],
                invoice=self.id,
                customer=self.customer.id,
                description=words,
                setup_future_usage="off_session" if self.subscription else None,
            )
            self.intent.on_outcome.append(self._hear_intent)
            self.payment = InvoicePayment.open(
                self.world, self.id, self.intent.id, self.amount_due, self.body["currency"]
            )
            self.become(**{HIDDEN: self.body[HIDDEN] | {"payment_intent": self.intent.id}})
        return self.intent

    def _method(self, named: str | None) -> PaymentMethod | None:
        """The card to ask: the one named, the invoice's, the subscription's, the customer's."""
        if named:
            return PaymentMethod.named(self.world, named)
        known = [self.body["default_payment_method"]]
        if self.subscription:
            known.append(self.subscription.body["default_payment_method"])
        if not self.customer.is_deleted:
            known.append(self.customer.default_payment_method)
        methods = (self.world.shelf.get("payment_method", method_id) for method_id in known if method_id)
        return next((method for method in methods if method is not None and not method.is_spent), None)

    def _check(self, *statuses: str) -> None:
        if self.status not in statuses:
            known = {"paid": "invoice_already_paid", "draft": "invoice_not_editable"}
            words = (
                "Invoice is already paid" if self.is_paid else f"You can't do this to an invoice that is {self.status}."
            )
            raise Refused(words, code=known.get(self.status))


def imagine(
    customer: Customer,
    lines: Sequence[Json],
    reason: str,
    *,
    subscription: "Periods | None" = None,
    discounts: Sequence[Discount] = (),
    automatic_tax: bool = False,
    **fields: Any,
) -> Json:
    """An invoice that nobody keeps: what it would come to, with the customer's balance."""
    reckoning = _reckoning(customer, discounts, automatic_tax=automatic_tax)
    body = reckoned(_drafted(customer, lines, reason, reckoning, subscription) | fields, lines, reckoning)
    balance = int(customer.body["balance"])
    due = max(body["total"] + balance, 0)
    sums = {"amount_due": due, "amount_remaining": due, "starting_balance": balance}
    return body | sums | {"ending_balance": balance + body["total"] - due}


def preview(
    world: "World",
    *,
    customer: str | None = None,
    subscription: str | None = None,
    subscription_details: Json | None = None,
    discounts: Sequence[Json] | None = None,
    preview_mode: str = "next",
    schedule: str | None = None,
) -> Json:
    """The invoice that would come, were nothing or just this to change.  Nothing is kept of it, and nobody is told."""
    assert preview_mode, "both modes come to the same where nothing is metered"
    if customer:
        customer_named(world, customer)
    if schedule and not subscription:
        planned = world.shelf.get("subscription_schedule", schedule)
        if planned is None:
            raise missing("subscription schedule", schedule, "schedule")
        subscription = planned.body["subscription"]
    if subscription:
        thing: Periods | None = world.subscriptions.get(subscription)
        if thing is None:
            raise missing("subscription", subscription, "subscription")
        if thing.customer.is_deleted or not thing.is_live:
            raise _nothing_upcoming(thing.customer.id)
        return thing.preview_change(subscription_details or {})
    if customer is None:
        raise invalid("You must specify either `customer` or `subscription`.", "customer", "parameter_missing")
    payer = customer_named(world, customer)
    lines = [line_of_invoice_item(item) for item in world.pending_items.get(customer, ())]
    if not lines:
        raise _nothing_upcoming(customer)
    live = redeem(world, discounts) if discounts else ()
    return imagine(payer, lines, "upcoming", discounts=live, id=f"upcoming_{world.dice.identifier('in')}")


def _nothing_upcoming(customer_id: str) -> Refused:
    return Refused(f"No upcoming invoices for customer: {customer_id}", code="invoice_upcoming_none", status=404)


_REASONS: Final = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}


def _customer_fields(customer: Json) -> Json:
    """An invoice copies who it is for: plain personal data, in nearly every event."""
    return {
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
    }


def _body(customer: Customer, reason: str, currency: str) -> Json:
    world = customer.world
    return {
        "id": world.dice.identifier("in"),
        "object": "invoice",
        "account_country": "US",
        "account_name": "Pretend Company",
        **dict.fromkeys(_UNSET),
        **_COLLECTION,
        **_AMOUNTS,
        **_customer_fields(customer.body),
        "billing_reason": reason,
        "created": world.now,
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "livemode": False,
        "metadata": {},
        "period_end": world.now,
        "period_start": world.now,
        HIDDEN: {"payment_intent": None, "charge": None, "paid_out_of_band": False},
    }


def _drafted(
    customer: Customer,
    lines: Sequence[Json],
    reason: str,
    reckoning: Reckoning,
    subscription: "Periods | None",
) -> Json:
    currency = lines[0]["currency"] if lines else customer.body["currency"] or "usd"
    return _body(customer, reason, currency) | {
        "automatic_tax": _automatic_tax(enabled=reckoning.tax_rate is not None),
        "discounts": [one.id for one in reckoning.discounts],
        "parent": _parent(subscription) if subscription else None,
    }


def _reckoning(customer: Customer, discounts: Sequence[Discount], *, automatic_tax: bool) -> Reckoning:
    rate = rate_for(customer.body["address"], customer.body["tax_exempt"]) if automatic_tax else None
    return Reckoning(tuple(discounts), rate)


def reckoned(body: Json, lines: Sequence[Json], reckoning: Reckoning) -> Json:
    """The invoice with these *lines*, and what they come to."""
    billed = [line | {"invoice": body["id"]} for line in reckoning.lines(lines)]
    sums = totals(billed)
    due = max(sums["total"], 0)
    status = "complete" if reckoning.tax_rate is not None else None
    return body | {
        **sums,
        "amount_due": due,
        "amount_remaining": due,
        "automatic_tax": body["automatic_tax"] | {"status": status},
        "lines": list_of(billed, f"/v1/invoices/{body['id']}/lines"),
    }


_AMOUNTS: Final[Json] = {
    "amount_overpaid": 0,
    "amount_paid": 0,
    "amount_shipping": 0,
    "ending_balance": None,
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "starting_balance": 0,
    "total_pretax_credit_amounts": [],
}

# A draft's state: nothing tried, nothing settled.
_COLLECTION: Final[Json] = {
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "collection_method": "charge_automatically",
    "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
    "status": "draft",
    "status_transitions": {
        "finalized_at": None,
        "marked_uncollectible_at": None,
        "paid_at": None,
        "voided_at": None,
    },
}


def _automatic_tax(*, enabled: bool) -> Json:
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": None,
    }


def _parent(subscription: "Periods") -> Json:
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": subscription.body["metadata"],
            "subscription": subscription.id,
        },
        "type": "subscription_details",
    }
