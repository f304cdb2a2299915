"""Subscriptions: everything that Stripe lets happen to one, as verbs.

`body` is Stripe's object in its newest shape (the period on the items).  Each verb changes it the way Stripe does,
records one event a change, and puts what follows on the world's agenda.  Several verbs in one second are several events
with one `created`: that is how ties come about, here as in Stripe.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.bank import Declines, Pays, TakesDays, asked
from simulator.catalog import PLAN_OFFERS, Offer, offer_of, price_for, support_for
from simulator.clock import DAY_SECONDS, HOUR_SECONDS, months_after
from simulator.coupons import Discount, redeem
from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.invoice_items import pending_of
from simulator.invoice_lines import line_of_invoice_item, line_of_item
from simulator.invoices import Invoice, imagine
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused, invalid
from simulator.subscription_items import days_of, item_body, items_asked, months_of, owed_for, prorate, proration_lines
from simulator.things import Thing, list_of, merged_metadata

if TYPE_CHECKING:
    from simulator.subscription_schedules import SubscriptionSchedule
    from simulator.world import World

ENDS: Final = frozenset({"canceled", "incomplete_expired"})
RENEWING: Final = frozenset({"trialing", "active", "past_due"})
BILLED: Final = frozenset({"active", "past_due"})

INCOMPLETE_SECONDS: Final = 23 * HOUR_SECONDS
TRIAL_WILL_END_SECONDS: Final = 3 * DAY_SECONDS
UPCOMING_SECONDS: Final = 7 * DAY_SECONDS

_NOTHING: Final[Json] = {}
_KEEP: Final = "keep"  # What nobody asked to change: None asks for nothing to be there.

# What a new subscription shows as null.
_UNSET: Final = """
    application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at
    days_until_due default_source description ended_at latest_invoice next_pending_invoice_item_invoice on_behalf_of
    pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule test_clock
    transfer_data trial_end trial_start
""".split()


class Subscription(Thing):
    """One subscription, from its first event to its end."""

    kind: ClassVar[str] = "subscription"

    def __init__(
        self,
        world: "World",
        customer: Customer,
        lookup_key: str | None = None,
        *,
        quantity: int = 1,
        with_support: bool = False,
        account_id: str | None = None,
        when_retries_end: str = "canceled",
        when_trial_ends_unpaid: str = "create_invoice",
        body: Json | None = None,
    ) -> None:
        """A subscription to one of the plans, as the story takes it out; with a *body*, just that."""
        super().__init__(world, body or _body(world, customer, account_id))
        self.customer = customer
        self.discounts: list[Discount] = []
        self.schedule: SubscriptionSchedule | None = None
        self.truth: list[Json] = []  # The body after every change, in the order in which it truly happened.
        self._when_retries_end = when_retries_end
        self._period_number = 0  # The n of "anchor + n periods", which is the current period's end.
        self._agreed_end: int | None = None
        self._pending: tuple[Invoice, list[Json]] | None = None
        world.subscriptions[self.id] = self
        if lookup_key:
            self.become(trial_settings={"end_behavior": {"missing_payment_method": when_trial_ends_unpaid}})
            offer = PLAN_OFFERS[lookup_key]
            items = [item_body(world, self.id, price_for(world, offer), quantity)]
            if with_support:
                # First, so that whoever takes the first item for the plan is wrong.
                items.insert(0, item_body(world, self.id, price_for(world, support_for(offer))))
            self._set_items(items)

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        customer: str,
        items: Sequence[Json],
        trial_period_days: int | None = None,
        trial_end: int | str | None = None,
        payment_behavior: str = "allow_incomplete",
        default_payment_method: str | None = None,
        discounts: Sequence[Json] | None = None,
        automatic_tax: Json | None = None,
        payment_settings: Json | None = None,
        billing_cycle_anchor: int | None = None,
        proration_behavior: str = "create_prorations",
        cancel_at_period_end: bool = False,
        off_session: bool = False,
        currency: str | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new subscription, with its first invoice."""
        payer = customer_named(world, customer)
        body = _body(world, payer, None) | fields | {"metadata": merged_metadata({}, metadata)}
        made = items_asked(world, body["id"], (), items)
        if currency and currency != made[0]["price"]["currency"]:
            raise invalid(f"The price specified only supports `{made[0]['price']['currency']}`.", "currency")
        method_id = default_payment_method or payer.default_payment_method
        trial = _trial_end(world, trial_period_days, trial_end)
        if trial is None and payment_behavior == "error_if_incomplete" and owed_for(made):
            _check_bank(world, payer, method_id)
        if default_payment_method:
            PaymentMethod.named(world, default_payment_method, "default_payment_method")
        redeemed = redeem(world, discounts, customer=payer.id, subscription=body["id"])
        subscription = cls(world, payer, body=body)
        subscription._set_items(made)
        if automatic_tax:
            enabled = bool(automatic_tax["enabled"])
            subscription.become(automatic_tax=_automatic_tax(enabled=enabled))
        subscription.become(
            currency=made[0]["price"]["currency"],
            default_payment_method=default_payment_method,
            payment_settings=body["payment_settings"] | (payment_settings or {}),
        )
        subscription._keep_discounts(redeemed)
        assert proration_behavior in {"always_invoice", "create_prorations", "none"}
        subscription._anchor_asked = billing_cycle_anchor
        subscription._open(trial, payment_behavior, off_session=off_session)
        if cancel_at_period_end:
            subscription.cancel_at_period_end()
        return subscription

    _anchor_asked: int | None = None

    # What it is.

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def is_live(self) -> bool:
        """Whether anything can still happen to it."""
        return self.status not in ENDS

    @property
    def items(self) -> list[Json]:
        """What it is made of."""
        items: list[Json] = self.body["items"]["data"]
        return items

    @property
    def plan_item(self) -> Json:
        """The item whose price is one of a plan; the first, if none is."""
        return next((item for item in self.items if item["price"]["lookup_key"] in PLAN_OFFERS), self.items[0])

    @property
    def offer(self) -> Offer:
        """The plan that is subscribed to."""
        offer = offer_of(self.plan_item["price"])
        assert offer is not None, "the story knows what it sells"
        return offer

    @property
    def period_end(self) -> int:
        """When the current period is over."""
        return int(self.plan_item["current_period_end"])

    @property
    def latest_invoice(self) -> Invoice | None:
        """The last invoice that was made for it."""
        invoice: Invoice | None = self.world.shelf.get("invoice", self.body["latest_invoice"] or "")
        return invoice

    # How it begins.

    def start(self, *, pays: bool = True) -> None:
        """Begin as Checkout does: incomplete until the first invoice is paid, for 23 hours at most."""
        mood = self.customer.mood
        if not pays:
            self.customer.card_declines = True
        self._open(None)
        self.customer.mood = mood

    def start_trial(self, days: int) -> None:
        """Begin with *days* that cost nothing."""
        self._open(self.world.now + days * DAY_SECONDS)

    def complete(self) -> None:
        """Pay the first invoice after all."""
        if self.status == "incomplete" and self.latest_invoice:
            self.latest_invoice.collect(off_session=False)

    def _open(
        self, trial_end: int | None, payment_behavior: str = "allow_incomplete", *, off_session: bool = False
    ) -> None:
        free = trial_end is not None
        if trial_end is not None:
            self._set_period(self.world.now, trial_end)
            trial = {"trial_start": self.world.now, "trial_end": trial_end, "billing_cycle_anchor": trial_end}
            self.become(status="trialing", **trial)
        else:
            self._begin_cycle(self._anchor_asked)
        invoice = self._draft("subscription_create", free_of_charge=free)
        waits = bool(invoice.body["total"]) and self.body["collection_method"] == "charge_automatically"
        self.become(latest_invoice=invoice.id)
        if not free:
            self.become(status="incomplete" if waits else "active")
        self._record("created")
        self._agree_on_renewal()
        invoice.finalize()
        if trial_end is not None:
            self.world.at(max(trial_end - TRIAL_WILL_END_SECONDS, self.world.now), self._warn_of_trial_end)
        if waits:
            self.world.later(INCOMPLETE_SECONDS, self._expire)
        if waits and payment_behavior != "default_incomplete":
            invoice.collect(off_session=off_session)

    # What is asked of it.

    def update(  # noqa: C901  Stripe's one verb is many.
        self,
        *,
        items: Sequence[Json] | None = None,
        proration_behavior: str = "create_prorations",
        payment_behavior: str = "allow_incomplete",
        proration_date: int | None = None,
        billing_cycle_anchor: str | None = None,
        cancel_at_period_end: bool | None = None,
        cancel_at: int | str | None = _KEEP,
        cancellation_details: Json | None = None,
        trial_end: int | str | None = None,
        pause_collection: Json | str | None = _KEEP,
        discounts: Sequence[Json] | str | None = _KEEP,
        metadata: Json | None = _NOTHING,
        automatic_tax: Json | None = None,
        payment_settings: Json | None = None,
        default_payment_method: str | None = None,
        off_session: bool = False,
        **changes: Any,
    ) -> None:
        """Change it; a change of what is billed is prorated."""
        self._check_live()
        if default_payment_method:
            PaymentMethod.named(self.world, default_payment_method, "default_payment_method")
            changes["default_payment_method"] = default_payment_method
        if automatic_tax is not None:
            changes["automatic_tax"] = _automatic_tax(enabled=bool(automatic_tax["enabled"]))
        if payment_settings:
            changes["payment_settings"] = self.body["payment_settings"] | payment_settings
        if metadata != _NOTHING:
            changes["metadata"] = merged_metadata(self.body["metadata"], metadata)
        if cancel_at_period_end is not None and cancel_at_period_end != self.body["cancel_at_period_end"]:
            changes |= self._leaving(cancellation_details) if cancel_at_period_end else _STAYING
        elif cancellation_details:
            changes["cancellation_details"] = self.body["cancellation_details"] | cancellation_details
        if cancel_at != _KEEP:
            changes |= self._leaving_at(cancel_at)
        if pause_collection != _KEEP:
            pause: Any = pause_collection
            changes["pause_collection"] = {"resumes_at": None} | pause if pause else None
        if discounts != _KEEP:
            asked_for: Any = discounts
            self._take_discounts(asked_for)
            changes["discounts"] = self.body["discounts"]
        new = None if items is None else items_asked(self.world, self.id, self.items, items)
        if trial_end is not None:
            self._end_trial(trial_end, new, changes)
        elif new is None and billing_cycle_anchor != "now":
            self._change(**changes)
        else:
            self._rebill(
                new or self.items,
                proration_behavior,
                payment_behavior,
                changes,
                at=proration_date or self.world.now,
                anew=billing_cycle_anchor == "now",
                off_session=off_session,
            )
        self._plan_for(changes)

    def cancel(
        self,
        *,
        prorate: bool = False,
        invoice_now: bool = False,
        cancellation_details: Json | None = None,
    ) -> None:
        """End it in this second, and give back what is unused if that is asked."""
        self._check_live()
        if prorate and self.status in BILLED:
            _give_back(self)
        self.cancel_now(details=cancellation_details)
        if invoice_now and self.world.pending_items.get(self.customer.id):
            self._bill_pending()

    def resume(self, *, billing_cycle_anchor: str = "now", **_: object) -> None:
        """Come back from `paused`, with a new period from now; Refused for what is not paused."""
        if self.status != "paused":
            raise invalid("This subscription is not paused, and so it cannot be resumed.", "subscription")
        before = self.body
        self.become(status="active")
        if billing_cycle_anchor == "now":
            self._begin_cycle()
        invoice = self._draft("subscription_update")
        self.become(latest_invoice=invoice.id)
        self._record("updated", before)
        self._record("resumed")
        invoice.finalize()
        invoice.collect()

    # What people of the story do with it.

    def upgrade(self, lookup_key: str) -> None:
        """Change the plan now; the difference is billed at once."""
        self.update(items=self.repriced(lookup_key), proration_behavior="always_invoice")

    def downgrade(self, lookup_key: str) -> None:
        """Change the plan when the period is over, by a schedule."""
        from simulator.subscription_schedules import change_at_period_end

        change_at_period_end(self, self.repriced(lookup_key))

    def repriced(self, lookup_key: str) -> list[Json]:
        """What to ask for another plan: all items are billed by one interval, so the add-on goes along."""
        offer = PLAN_OFFERS[lookup_key]
        asked_for = []
        for item in self.items:
            new = offer if item["price"]["lookup_key"] in PLAN_OFFERS else support_for(offer)
            asked_for.append({"id": item["id"], "price": price_for(self.world, new)["id"]})
        return asked_for

    def set_quantity(self, quantity: int, *, prorated: bool = False) -> None:
        """Subscribe for another number of seats, from now on."""
        behavior = "create_prorations" if prorated else "none"
        self.update(items=[{"id": self.plan_item["id"], "quantity": quantity}], proration_behavior=behavior)

    def cancel_at_period_end(self) -> None:
        """Let it run out."""
        self._change(**self._leaving(None))

    def keep(self) -> None:
        """Take the cancellation at the period's end back."""
        self._change(**_STAYING)

    def cancel_now(self, reason: str = "cancellation_requested", details: Json | None = None) -> None:
        """End it in this second."""
        self.become(
            status="canceled",
            ended_at=self.world.now,
            canceled_at=self.body["canceled_at"] or self.world.now,
            cancellation_details=_cancellation(reason) | (details or {}),
        )
        schedule, self.schedule = self.schedule, None
        self._record("deleted")
        if schedule:
            schedule.hear_canceled()

    def pause_collection(self) -> None:
        """Stop asking for money.  The status does not change; nothing that we show does."""
        self._change(pause_collection={"behavior": "void", "resumes_at": None})

    def resume_collection(self) -> None:
        """Ask for money again."""
        if self.body["pause_collection"]:
            self._change(pause_collection=None)

    def use_card(self) -> None:
        """Put another card on file."""
        method = PaymentMethod.take(self.world, "pm_card_mastercard")
        method.attach(self.customer.id)
        self._change(default_payment_method=method.id)

    def note_down(self, **metadata: str) -> None:
        """Add to the metadata."""
        self._change(metadata=self.body["metadata"] | metadata)

    # What it hears of its invoices.

    def hear_paid(self, invoice: Invoice) -> None:
        """The money has come."""
        if self._pending and self._pending[0] is invoice:
            self._apply_pending()
        elif self.status == "incomplete" or (
            self.status in {"past_due", "unpaid"} and invoice.id == self.body["latest_invoice"]
        ):
            self._change(status="active")

    def hear_processing(self) -> None:
        """A debit is on its way: Stripe trusts it."""
        if self.status == "incomplete":
            self._change(status="active")

    def hear_failed(self, invoice: Invoice, *, is_last: bool) -> None:
        """The money did not come."""
        if not self.is_live or invoice.body["billing_reason"] == "subscription_create" or self._pending:
            return
        if self.status == "active":
            self._change(status="past_due")
        if is_last and self.status == "past_due":
            self._give_up()

    def hear_void(self, invoice: Invoice) -> None:
        """What was owed is owed no more."""
        if self.status == "incomplete" and invoice.id == self.body["latest_invoice"]:
            self._expire()
        elif self.status in {"past_due", "unpaid"} and invoice.id == self.body["latest_invoice"]:
            self._change(status="active")

    # What time does with it.

    def _warn_of_trial_end(self) -> None:
        if self.status == "trialing":
            self._record("trial_will_end")

    def _expire(self) -> None:
        if self.status == "incomplete":
            self._change(status="incomplete_expired", ended_at=self.world.now)
            invoice = self.latest_invoice
            if invoice and invoice.status == "open":
                invoice.void()

    def _announce_renewal(self, due: int) -> None:
        """Tell of the invoice that is to come, some days before it does."""
        leaves = self.body["cancel_at_period_end"]
        if due == self.period_end and self.status in RENEWING and not leaves:
            self.world.record("invoice.upcoming", self.preview_renewal())

    def preview_renewal(self) -> Json:
        """The invoice of the next period, were nothing to change."""
        return self.preview(self.items, start=self.period_end)

    def preview_change(self, details: Json) -> Json:
        """The next invoice, were the items to change as *details* say."""
        if "items" not in details:
            return self.preview_renewal()
        new = items_asked(self.world, self.id, self.items, details["items"])
        at = details.get("proration_date") or self.world.now
        billed = self.status in BILLED and details.get("proration_behavior") != "none"
        extra = proration_lines(self, new, at) if billed else []
        if details.get("proration_behavior") == "always_invoice":
            return self.preview((), start=self.world.now, extra=extra)
        return self.preview(new, start=self.period_end, extra=extra)

    def preview(self, items: Sequence[Json], *, start: int, extra: Sequence[Json] = ()) -> Json:
        """An invoice of what waits, of *extra* lines and of a whole period of *items* from *start*; nobody keeps it."""
        period = {"current_period_start": start, "current_period_end": self._end_of_period(start, 1)}
        waiting = [line_of_invoice_item(item) for item in self._waiting()]
        whole = [line_of_item(self, item | period) for item in items]
        return imagine(
            self.customer,
            [*waiting, *extra, *whole],
            "upcoming",
            subscription=self,
            discounts=[one for one in self.discounts if one.is_live],
            automatic_tax=bool(self.body["automatic_tax"]["enabled"]),
            id=f"upcoming_{self.world.dice.identifier('in')}",
            next_payment_attempt=start,
            period_start=self.plan_item["current_period_start"],
            period_end=start,
        )

    def _renew(self, due: int) -> None:
        """Begin the next period, unless life went another way since this was put on the agenda."""
        if due != self.period_end or self.status not in RENEWING:
            return
        ending = self.status == "trialing" and self._has_no_card()
        how = self.body["trial_settings"]["end_behavior"]["missing_payment_method"] if ending else None
        if (
            self.body["cancel_at_period_end"]
            or (self.schedule and self.schedule.ends_with_cancel_at(due))
            or how == "cancel"
        ):
            self.cancel_now()
        elif how == "pause":
            self._change(status="paused")
            self._record("paused")
        else:
            self._bill_next_period()

    def _has_no_card(self) -> bool:
        has_one = self.body["default_payment_method"] or self.customer.default_payment_method
        return self.customer.card_declines or not has_one

    def _bill_next_period(self) -> None:
        before = self.body
        end, schedule = self.period_end, self.schedule
        if schedule and (asked_for := schedule.enter_phase_at(end)):
            self._take_phase(asked_for, end)
        self._move_to_next_period(end)
        invoice = self._draft("subscription_cycle")
        self.become(latest_invoice=invoice.id)
        if self.status == "trialing":
            self.become(status="active")
        if schedule and schedule.is_over_at(end):
            self.schedule = None
            self.become(schedule=None)
        self._record("updated", before)
        if schedule and self.schedule is None:
            schedule.hear_over()
        self._settle(invoice)

    def _take_phase(self, asked_for: Sequence[Json], end: int) -> None:
        months = months_of(self.items)
        self._set_items(items_asked(self.world, self.id, self.items, asked_for))
        if months_of(self.items) != months:
            self.become(billing_cycle_anchor=end)
            self._period_number = 0

    def _settle(self, invoice: Invoice) -> None:
        """Collect it, or do what is done while collection is paused."""
        pause = self.body["pause_collection"]
        if pause and pause["behavior"] == "keep_as_draft":
            return
        invoice.finalize()
        if pause and not invoice.is_paid:
            invoice.void() if pause["behavior"] == "void" else invoice.mark_uncollectible()
        elif not invoice.is_paid and self.body["collection_method"] == "charge_automatically":
            invoice.collect_by_calendar()

    def _give_up(self) -> None:
        if self._when_retries_end == "unpaid":
            self._change(status="unpaid")
        else:
            self.cancel_now("payment_failed")

    # How a change of what is billed is billed.

    def _rebill(
        self,
        new: list[Json],
        proration_behavior: str,
        payment_behavior: str,
        changes: Json,
        *,
        at: int,
        anew: bool,
        off_session: bool,
    ) -> None:
        """Go over to the *new* items: now, or once their first invoice is paid."""
        old = self.items
        billed = self.status in BILLED
        # Another interval, and the first payment of what was free, begin a new period.
        restarts = months_of(new) != months_of(old) or (billed and not owed_for(old) and owed_for(new) > 0)
        anew = billed and (anew or restarts)
        prorates = billed and proration_behavior != "none"
        if payment_behavior == "pending_if_incomplete" and prorates and not self._bank_pays():
            self._keep_pending(old, new, at=at, anew=anew)
            return
        before = self.body
        if prorates:
            prorate(self, old, new, at, whole=anew)
        self.become(**changes)
        self._set_items(new)
        if anew:
            self._begin_cycle()
        invoice = None
        if anew or (prorates and proration_behavior == "always_invoice" and self._has_pending()):
            invoice = self._draft("subscription_update", whole=anew)
            self.become(latest_invoice=invoice.id)
        self._record("updated", before)
        if invoice:
            invoice.finalize()
            if self.body["collection_method"] == "charge_automatically":
                invoice.collect(off_session=off_session)

    def _keep_pending(self, old: list[Json], new: list[Json], *, at: int, anew: bool) -> None:
        """Change nothing until it is paid: the update waits, for 23 hours at most."""
        prorate(self, old, new, at, whole=anew)
        invoice = self._draft("subscription_update", whole=anew)
        expires = self.world.now + INCOMPLETE_SECONDS
        update = {"billing_cycle_anchor": None, "expires_at": expires, "subscription_items": new}
        update |= {"trial_end": None, "trial_from_plan": None}
        self._pending = (invoice, new)
        self._change(pending_update=update, latest_invoice=invoice.id)
        invoice.finalize()
        invoice.collect(off_session=False)
        self.world.at(expires, lambda: self._drop_pending(invoice))

    def _apply_pending(self) -> None:
        assert self._pending is not None, "it was heard of"
        before, (_, items) = self.body, self._pending
        self._pending = None
        restarts = months_of(items) != months_of(self.items)
        self._set_items(items)
        self.become(pending_update=None)
        if restarts:
            self._begin_cycle()
        self._record("updated", before)
        self._record("pending_update_applied")

    def _drop_pending(self, invoice: Invoice) -> None:
        if self._pending and self._pending[0] is invoice and self.is_live:
            self._pending = None
            self._change(pending_update=None)
            self._record("pending_update_expired")
            if invoice.status == "open":
                invoice.void()

    def _end_trial(self, trial_end: int | str, new: list[Json] | None, changes: Json) -> None:
        """Another end of the trial; when it is now, the first period begins."""
        before = self.body
        self.become(**changes)
        if new:
            self._set_items(new)
        if trial_end != "now" and isinstance(trial_end, int) and trial_end > self.world.now:
            start = self.body["trial_start"] or self.world.now
            trial = {"trial_start": start, "trial_end": trial_end, "billing_cycle_anchor": trial_end}
            self.become(status="trialing", **trial)
            self._period_number = 0
            self._set_period(self.world.now, trial_end)
            self._record("updated", before)
            return
        self.become(status="active", trial_end=self.world.now)
        self._begin_cycle()
        invoice = self._draft("subscription_update")
        self.become(latest_invoice=invoice.id)
        self._record("updated", before)
        self._settle(invoice)

    def _bill_pending(self) -> None:
        waiting = pending_of(self.world, self.customer.id, self.id)
        invoice = Invoice.draft(
            self.customer,
            [line_of_invoice_item(item) for item in waiting],
            "subscription_update",
            subscription=self,
        )
        invoice.finalize()
        invoice.collect()

    def _draft(self, reason: str, *, free_of_charge: bool = False, whole: bool = True) -> Invoice:
        """A new invoice: of a whole period of the items, if that is billed, and of what was put aside."""
        waiting = [] if free_of_charge else pending_of(self.world, self.customer.id, self.id)
        lines = [line_of_invoice_item(item) for item in waiting]
        if whole:
            lines += [line_of_item(self, item, free_of_charge=free_of_charge) for item in self.items]
        invoice = Invoice.draft(
            self.customer,
            lines,
            reason,
            subscription=self,
            discounts=[one for one in self.discounts if one.is_live],
            automatic_tax=bool(self.body["automatic_tax"]["enabled"]),
            collection_method=self.body["collection_method"],
        )
        for item in waiting:
            item.become(invoice=invoice.id)
        return invoice

    def _has_pending(self) -> bool:
        return any(item.subscription_id in {None, self.id} for item in self._waiting())

    def _waiting(self) -> Sequence[Any]:
        return self.world.pending_items.get(self.customer.id, ())

    def _bank_pays(self) -> bool:
        return _refusal_of_bank(self.world, self.customer, self.body["default_payment_method"]) is None

    def _take_discounts(self, asked_for: Sequence[Json] | None) -> None:
        self._keep_discounts(redeem(self.world, asked_for, customer=self.customer.id, subscription=self.id))

    def _keep_discounts(self, discounts: list[Discount]) -> None:
        self.discounts = discounts
        self.become(discounts=[one.id for one in self.discounts])

    # How a change is made and told.

    def _check_live(self) -> None:
        if not self.is_live:
            raise invalid(
                "A canceled subscription can only update its cancellation_details and metadata.", "subscription"
            )

    def _leaving(self, details: Json | None) -> Json:
        return {
            "cancel_at_period_end": True,
            "cancel_at": self.period_end,
            "canceled_at": self.world.now,
            "cancellation_details": _cancellation("cancellation_requested") | (details or {}),
        }

    def _leaving_at(self, moment: int | str | None) -> Json:
        if not moment:
            return _STAYING
        end = self.period_end if isinstance(moment, str) else moment
        reason = _cancellation("cancellation_requested")
        return {"cancel_at": end, "canceled_at": self.world.now, "cancellation_details": reason}

    def _plan_for(self, changes: Json) -> None:
        """Put on the agenda what a change says will happen later."""
        end, pause = changes.get("cancel_at"), changes.get("pause_collection")
        if end and not self.body["cancel_at_period_end"]:
            self.world.at(end, lambda: self.cancel_now() if self.is_live and self.body["cancel_at"] == end else None)
        if pause and pause["resumes_at"]:
            self.world.at(pause["resumes_at"], lambda: self.resume_collection() if self.is_live else None)

    def _move_to_next_period(self, start: int) -> None:
        self._period_number += 1
        self._set_period(start, self._end_of_period(self.body["billing_cycle_anchor"], self._period_number))

    def _begin_cycle(self, anchor: int | None = None) -> None:
        """A new anchor: what Stripe does when the interval changes, or a paused one comes back."""
        if anchor and anchor > self.world.now:
            self._period_number = 0
            self.become(billing_cycle_anchor=anchor)
            self._set_period(self.world.now, anchor)
            return
        self._period_number = 1
        self.become(billing_cycle_anchor=self.world.now)
        self._set_period(self.world.now, self._end_of_period(self.world.now, 1))

    def _end_of_period(self, anchor: int, number: int) -> int:
        months = months_of(self.items)
        if months is None:
            return anchor + number * days_of(self.items) * DAY_SECONDS
        return months_after(anchor, number * months)

    def attach_schedule(self, schedule: "SubscriptionSchedule | None") -> None:
        """Hang it on a *schedule*, or on none."""
        self.schedule = schedule
        self._change(schedule=schedule.id if schedule else None)

    def _change(self, **changes: Any) -> None:
        before = self.body
        self.become(**changes)
        self._record("updated", before)

    def _record(self, kind: str, before: Json | None = None) -> None:
        assert not self.truth or self.truth[-1]["status"] not in ENDS, "nothing happens after the end"
        self.world.record(f"customer.subscription.{kind}", self.body, before, by_request=kind == "created")
        self.truth.append(self.body)
        if kind == "updated":
            self._agree_on_renewal()

    def _agree_on_renewal(self) -> None:
        """Every period's end is on the agenda once; a period that was cut short lets its old end pass."""
        due = self.period_end
        if self._agreed_end != due:
            self._agreed_end = due
            self.world.at(due, lambda: self._renew(due))
            if due - UPCOMING_SECONDS > self.world.now:
                self.world.at(due - UPCOMING_SECONDS, lambda: self._announce_renewal(due))

    def _set_items(self, items: Sequence[Json]) -> None:
        self.become(items=list_of(list(items), f"/v1/subscription_items?subscription={self.id}"))

    def _set_period(self, start: int, end: int) -> None:
        period = {"current_period_start": start, "current_period_end": end}
        self._set_items([item | period for item in self.items])


def _give_back(subscription: Subscription) -> None:
    prorate(subscription, subscription.items, (), subscription.world.now, whole=False)


def _refusal_of_bank(world: "World", customer: Customer, method_id: str | None) -> Refused | None:
    """What the bank would refuse a payment with, were it asked."""
    method: PaymentMethod | None = world.shelf.get("payment_method", method_id or customer.default_payment_method or "")
    if method is None:
        return Refused(
            "This customer has no attached payment source or default payment method.", code="resource_missing"
        )
    answer = asked(method, mood=customer.mood, authenticated=False)
    if isinstance(answer, Pays | TakesDays):
        return None
    return (
        answer
        if isinstance(answer, Declines)
        else Declines("subscription_payment_intent_requires_action", "authentication_required")
    ).refusal()


def _check_bank(world: "World", customer: Customer, method_id: str | None) -> None:
    if refusal := _refusal_of_bank(world, customer, method_id):
        raise refusal


def _trial_end(world: "World", days: int | None, end: int | str | None) -> int | None:
    if isinstance(end, int):
        return end
    return world.now + days * DAY_SECONDS if days else None


def _cancellation(reason: str | None) -> Json:
    return {"comment": None, "feedback": None, "reason": reason}


_STAYING: Final[Json] = {
    "cancel_at_period_end": False,
    "cancel_at": None,
    "canceled_at": None,
    "cancellation_details": _cancellation(None),
}


def _automatic_tax(*, enabled: bool) -> Json:
    return {"disabled_reason": None, "enabled": enabled, "liability": {"type": "self"} if enabled else None}


def _body(world: "World", customer: Customer, account_id: str | None) -> Json:
    return {
        "id": world.dice.identifier("sub"),
        "object": "subscription",
        **dict.fromkeys(_UNSET),
        **_TERMS,
        "billing_cycle_anchor": world.now,
        "cancel_at_period_end": False,
        "cancellation_details": _cancellation(None),
        "created": world.now,
        "currency": "usd",
        "customer": customer.id,
        "default_payment_method": customer.default_payment_method,
        "default_tax_rates": [],
        "discounts": [],
        "items": list_of([], ""),
        "livemode": False,
        "metadata": {"account_id": account_id} if account_id else {},
        "start_date": world.now,
        "status": "incomplete",
    }


# How it is billed and paid for: the same for everybody, if nothing else is said.
_TERMS: Final[Json] = {
    "automatic_tax": _automatic_tax(enabled=False),
    "billing_mode": {"flexible": None, "type": "classic"},
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
