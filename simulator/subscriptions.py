"""Subscriptions: everything that Stripe lets happen to one, as verbs.

`body` is Stripe's object in its newest shape (the period on the items).  Each verb changes it the way Stripe does,
records one event a change, and puts what follows on the world's agenda.  Several verbs in one second are several events
with one `created`: that is how ties come about, here as in Stripe.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Final

from simulator import invoices
from simulator.catalog import PLAN_OFFERS, Offer, price_for, support_for
from simulator.clock import DAY_SECONDS, HOUR_SECONDS, months_after
from simulator.happenings import Json
from simulator.prices import plan_of

if TYPE_CHECKING:
    from simulator.customers import Customer
    from simulator.world import World

ENDS: Final = frozenset({"canceled", "incomplete_expired"})
RENEWING: Final = frozenset({"trialing", "active", "past_due"})

RETRY_PAUSES_SECONDS: Final = (3 * DAY_SECONDS, 5 * DAY_SECONDS, 7 * DAY_SECONDS)
INCOMPLETE_SECONDS: Final = 23 * HOUR_SECONDS
TRIAL_WILL_END_SECONDS: Final = 3 * DAY_SECONDS

# What a new subscription shows as null.
_UNSET: Final = """
    application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at
    days_until_due default_source description ended_at latest_invoice next_pending_invoice_item_invoice on_behalf_of
    pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule test_clock
    transfer_data trial_end trial_start
""".split()


class Subscription:
    """One subscription, from its first event to its end."""

    def __init__(
        self,
        world: "World",
        customer: "Customer",
        lookup_key: str,
        *,
        quantity: int = 1,
        with_support: bool = False,
        account_id: str | None = None,
        when_retries_end: str = "canceled",
        when_trial_ends_unpaid: str = "create_invoice",
    ) -> None:
        self.world = world
        self.customer = customer
        self._when_retries_end = when_retries_end
        self._period_number = 0  # The n of "anchor + n months", which is the current period's end.
        self._agreed_end: int | None = None
        self._next_offer: Offer | None = None
        self.truth: list[Json] = []  # The body after every change, in the order in which it truly happened.
        offer = PLAN_OFFERS[lookup_key]
        self.body = _body(world, customer, offer, quantity, account_id)
        self.body["trial_settings"]["end_behavior"]["missing_payment_method"] = when_trial_ends_unpaid
        if with_support:
            # First, so that whoever takes the first item for the plan is wrong.
            self.body["items"]["data"].insert(0, _item(world, self.id, support_for(offer), 1))
        world.subscriptions[self.id] = self
        world.shelf.put(self)

    # What it is.

    @property
    def id(self) -> str:
        """Stripe's id of the subscription."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def is_live(self) -> bool:
        """Whether anything can still happen to it."""
        return self.status not in ENDS

    @property
    def plan_item(self) -> Json:
        """The item whose price is one of a plan."""
        return next(item for item in self._items if item["price"]["lookup_key"])

    @property
    def offer(self) -> Offer:
        """What is subscribed to."""
        return PLAN_OFFERS[self.plan_item["price"]["lookup_key"]]

    @property
    def period_end(self) -> int:
        """When the current period is over."""
        return int(self.plan_item["current_period_end"])

    @property
    def _items(self) -> list[Json]:
        items: list[Json] = self.body["items"]["data"]
        return items

    # How it begins.

    def start(self, *, pays: bool = True) -> None:
        """Begin as Checkout does: incomplete until the first invoice is paid, for 23 hours at most."""
        self._begin_cycle()
        self.body["status"] = "incomplete" if self.offer.amount_minor else "active"
        invoice = invoices.draft(self, "subscription_create")
        self.body["latest_invoice"] = invoice.id
        self._begin()
        invoice.finalize()
        if not self.offer.amount_minor or pays:
            invoice.pay()
        if self.status == "incomplete" and pays:
            self._change(status="active")
        elif self.status == "incomplete":
            invoice.fail()
            self._later(INCOMPLETE_SECONDS, self._expire)

    def start_trial(self, days: int) -> None:
        """Begin with *days* that cost nothing."""
        end = self.world.now + days * DAY_SECONDS
        self._set_period(self.world.now, end)
        self.body |= {
            "status": "trialing",
            "trial_start": self.world.now,
            "trial_end": end,
            "billing_cycle_anchor": end,
        }
        invoice = invoices.draft(self, "subscription_create", free_of_charge=True)
        self.body["latest_invoice"] = invoice.id
        self._begin()
        invoice.finalize()
        invoice.pay()
        self._later(days * DAY_SECONDS - TRIAL_WILL_END_SECONDS, self._warn_of_trial_end)

    def complete(self) -> None:
        """Pay the first invoice after all."""
        if self.status == "incomplete":
            self._change(status="active")

    # What people do with it.

    def upgrade(self, lookup_key: str) -> None:
        """Change the plan now; the difference is billed at once."""
        before = self.offer
        body_before = deepcopy(self.body)
        self._reprice(PLAN_OFFERS[lookup_key])
        self._record("updated", body_before)
        if self.offer.interval != before.interval:
            self._restart_cycle()
        if self.status == "active":
            invoice = invoices.draft(self, "subscription_update")
            self._change(latest_invoice=invoice.id)
            invoice.finalize()
            invoice.pay()

    def downgrade(self, lookup_key: str) -> None:
        """Change the plan when the period is over, by a schedule."""
        self._next_offer = PLAN_OFFERS[lookup_key]
        self._change(schedule=self.world.dice.identifier("sub_sched"))

    def set_quantity(self, quantity: int) -> None:
        """Subscribe for another number of seats, from now on."""
        before = deepcopy(self.body)
        self.plan_item["quantity"] = quantity
        self._record("updated", before)

    def cancel_at_period_end(self) -> None:
        """Let it run out."""
        self._change(
            cancel_at_period_end=True,
            cancel_at=self.period_end,
            canceled_at=self.world.now,
            cancellation_details=_cancellation("cancellation_requested"),
        )

    def keep(self) -> None:
        """Take the cancellation at the period's end back."""
        self._change(
            cancel_at_period_end=False, cancel_at=None, canceled_at=None, cancellation_details=_cancellation(None)
        )

    def cancel_now(self, reason: str = "cancellation_requested") -> None:
        """End it in this second."""
        self.body |= {
            "status": "canceled",
            "ended_at": self.world.now,
            "canceled_at": self.body["canceled_at"] or self.world.now,
            "cancellation_details": _cancellation(reason),
        }
        self._record("deleted")

    def pause_collection(self) -> None:
        """Stop asking for money.  The status does not change; nothing that we show does."""
        self._change(pause_collection={"behavior": "void", "resumes_at": None})

    def resume_collection(self) -> None:
        """Ask for money again."""
        self._change(pause_collection=None)

    def resume(self) -> None:
        """Come back from `paused`, with a new period from now."""
        if self.status != "paused":
            return
        self._restart_cycle(status="active")
        self._record("resumed")

    def use_card(self) -> None:
        """Put another card on file."""
        self._change(default_payment_method=self.world.dice.identifier("pm"))

    def note(self, **metadata: str) -> None:
        """Add to the metadata."""
        self._change(metadata=self.body["metadata"] | metadata)

    # What time does with it.

    def _warn_of_trial_end(self) -> None:
        if self.status == "trialing":
            self._record("trial_will_end")

    def _expire(self) -> None:
        if self.status == "incomplete":
            self._change(status="incomplete_expired", ended_at=self.world.now)

    def _renew(self, due: int) -> None:
        """Begin the next period, unless life went another way since this was put on the agenda."""
        if due != self.period_end or self.status not in RENEWING:
            return
        if self.body["cancel_at_period_end"]:
            self.cancel_now()
        elif self._trial_ends_unpaid():
            self._change(status="paused")
            self._record("paused")
        else:
            self._bill_next_period()

    def _trial_ends_unpaid(self) -> bool:
        pauses = self.body["trial_settings"]["end_behavior"]["missing_payment_method"] == "pause"
        return self.status == "trialing" and pauses and self.customer.card_declines

    def _bill_next_period(self) -> None:
        before = deepcopy(self.body)
        self._fall_back_to_next_offer()
        self._move_to_next_period()
        invoice = invoices.draft(self, "subscription_cycle")
        self.body["latest_invoice"] = invoice.id
        if self.status == "trialing":
            self.body["status"] = "active"
        self._record("updated", before)
        self._release_schedule()
        invoice.finalize()
        self._collect(invoice, RETRY_PAUSES_SECONDS)

    def _move_to_next_period(self) -> None:
        start = self.period_end
        self._period_number += 1
        self._set_period(
            start, months_after(self.body["billing_cycle_anchor"], self._period_number * self.offer.months)
        )

    def _fall_back_to_next_offer(self) -> None:
        if not self._next_offer:
            return
        if self._next_offer.interval != self.offer.interval:
            self.body["billing_cycle_anchor"], self._period_number = self.period_end, 0
        self._reprice(self._next_offer)

    def _release_schedule(self) -> None:
        if self._next_offer:
            self._next_offer = None
            self._change(schedule=None)

    def _collect(self, invoice: invoices.Invoice, pauses: tuple[int, ...]) -> None:
        if not self.is_live or invoice.is_paid:
            return
        if not (self.customer.card_declines and self.offer.amount_minor):
            invoice.pay()
            if self.status == "past_due":
                self._change(status="active")
        elif pauses:
            invoice.fail(self.world.now + pauses[0])
            if self.status == "active":
                self._change(status="past_due")
            self._later(pauses[0], lambda: self._collect(invoice, pauses[1:]))
        else:
            invoice.fail()
            self._give_up()

    def _give_up(self) -> None:
        if self._when_retries_end == "unpaid":
            self._change(status="unpaid")
        else:
            self.cancel_now("payment_failed")

    # How a change is made and told.

    def _begin(self) -> None:
        self._record("created")
        self._agree_on_renewal()

    def _restart_cycle(self, **changes: object) -> None:
        """A new anchor, now: what Stripe does when the interval changes, or a paused one comes back."""
        before = deepcopy(self.body)
        self.body |= changes
        self._begin_cycle()
        self._record("updated", before)

    def _begin_cycle(self) -> None:
        self._period_number = 1
        self.body["billing_cycle_anchor"] = self.world.now
        self._set_period(self.world.now, months_after(self.world.now, self.offer.months))

    def _change(self, **changes: object) -> None:
        before = deepcopy(self.body)
        self.body |= changes
        self._record("updated", before)

    def _record(self, kind: str, before: Json | None = None) -> None:
        assert not self.truth or self.truth[-1]["status"] not in ENDS, "nothing happens after the end"
        self.world.record(f"customer.subscription.{kind}", self.body, before, by_request=kind == "created")
        self.truth.append(deepcopy(self.body))
        if kind == "updated":
            self._agree_on_renewal()

    def _agree_on_renewal(self) -> None:
        """Every period's end is on the agenda once; a period that was cut short lets its old end pass."""
        due = self.period_end
        if self._agreed_end != due:
            self._agreed_end = due
            self.world.at(due, lambda: self._renew(due))

    def _later(self, pause_seconds: int, action: Callable[[], None]) -> None:
        self.world.at(self.world.now + pause_seconds, action)

    def _reprice(self, offer: Offer) -> None:
        """All items of a subscription are billed by one interval: the add-on goes along with the plan."""
        for item in self._items:
            new = offer if item["price"]["lookup_key"] else support_for(offer)
            price = price_for(self.world, new)
            item.update({"price": price, "plan": plan_of(price)})

    def _set_period(self, start: int, end: int) -> None:
        for item in self._items:
            item.update({"current_period_start": start, "current_period_end": end})


def _cancellation(reason: str | None) -> Json:
    return {"comment": None, "feedback": None, "reason": reason}


def _item(world: "World", subscription_id: str, offer: Offer, quantity: int) -> Json:
    price = price_for(world, offer)
    return {
        "id": world.dice.identifier("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now,
        "current_period_end": world.now,
        "current_period_start": world.now,
        "discounts": [],
        "metadata": {},
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _body(world: "World", customer: "Customer", offer: Offer, quantity: int, account_id: str | None) -> Json:
    subscription_id = world.dice.identifier("sub")
    return {
        "id": subscription_id,
        "object": "subscription",
        **dict.fromkeys(_UNSET),
        **_terms(),
        "billing_cycle_anchor": world.now,
        "cancel_at_period_end": False,
        "cancellation_details": _cancellation(None),
        "created": world.now,
        "currency": "usd",
        "customer": customer.id,
        "default_payment_method": customer.body["invoice_settings"]["default_payment_method"],
        "default_tax_rates": [],
        "discounts": [],
        "items": {
            "object": "list",
            "data": [_item(world, subscription_id, offer, quantity)],
            "has_more": False,
            "total_count": 1,
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "livemode": False,
        "metadata": {"account_id": account_id} if account_id else {},
        "start_date": world.now,
        "status": "incomplete",
    }


def _terms() -> Json:
    """How it is billed and paid for: the same for everybody."""
    return {
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_mode": {"flexible": None, "type": "classic", "updated_at": None},
        "collection_method": "charge_automatically",
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "payment_settings": {
            "payment_method_options": {
                "card": {"network": None, "request_three_d_secure": "automatic"},
                "us_bank_account": {"financial_connections": {"filters": {}}, "verification_method": "automatic"},
            },
            "payment_method_types": None,
            "save_default_payment_method": "on_subscription",
        },
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
