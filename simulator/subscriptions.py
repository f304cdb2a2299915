"""Subscriptions: everything that Stripe lets happen to one, as verbs.

`body` is Stripe's object in its newest shape (the period on the items).  Each verb changes it the way Stripe does,
records one event a change, and puts what follows on the world's agenda.  Several verbs in one second are several events
with one `created`: that is how ties come about, here as in Stripe.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from simulator.catalog import PLAN_OFFERS, Offer, offer_of, price_for, support_for
from simulator.clock import DAY_SECONDS, HOUR_SECONDS
from simulator.coupons import redeem
from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.invoice_items import pending_of
from simulator.invoice_lines import line_of_invoice_item
from simulator.invoices import Invoice
from simulator.payment_methods import PaymentMethod
from simulator.payment_trials import check_ahead, refusal_ahead
from simulator.refusals import invalid
from simulator.subscription_bodies import STAYING, cancellation, subscription_body, tax_settings
from simulator.subscription_items import item_body, items_asked, months_of, owed_for, prorate
from simulator.subscription_periods import BILLED, ENDS, RENEWING, Periods
from simulator.things import merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

__all__ = ["ENDS", "Subscription"]

INCOMPLETE_SECONDS: Final = 23 * HOUR_SECONDS
TRIAL_WILL_END_SECONDS: Final = 3 * DAY_SECONDS

_NOTHING: Final[Json] = {}
_KEEP: Final = "keep"  # What nobody asked to change: None asks for nothing to be there.


class Subscription(Periods):
    """One subscription, from its first event to its end."""

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
        super().__init__(world, customer, body or subscription_body(world, customer, account_id))
        self._when_retries_end = when_retries_end
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
        body = subscription_body(world, payer, None) | fields | {"metadata": merged_metadata({}, metadata)}
        made = items_asked(world, body["id"], (), items)
        if currency and currency != made[0]["price"]["currency"]:
            raise invalid(f"The price specified only supports `{made[0]['price']['currency']}`.", "currency")
        method_id = default_payment_method or payer.default_payment_method
        trial = _trial_end(world, trial_period_days, trial_end)
        if trial is None and payment_behavior == "error_if_incomplete" and owed_for(made):
            check_ahead(world, payer, method_id)
        if default_payment_method:
            PaymentMethod.named(world, default_payment_method, "default_payment_method")
        redeemed = redeem(world, discounts, customer=payer.id, subscription=body["id"])
        subscription = cls(world, payer, body=body)
        subscription._set_items(made)
        if automatic_tax:
            subscription.become(automatic_tax=tax_settings(enabled=bool(automatic_tax["enabled"])))
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

    @property
    def offer(self) -> Offer:
        """The plan that is subscribed to."""
        offer = offer_of(self.plan_item["price"])
        assert offer is not None, "the story knows what it sells"
        return offer

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

    def update(
        self,
        *,
        items: Sequence[Json] | None = None,
        proration_behavior: str = "create_prorations",
        payment_behavior: str = "allow_incomplete",
        proration_date: int | None = None,
        billing_cycle_anchor: str | None = None,
        trial_end: int | str | None = None,
        off_session: bool = False,
        **asked_for: Any,
    ) -> None:
        """Change it; a change of what is billed is prorated."""
        self._check_live()
        new = None if items is None else items_asked(self.world, self.id, self.items, items)
        changes = self._changes(**asked_for)
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

    def _changes(
        self,
        *,
        metadata: Json | None = _NOTHING,
        discounts: Sequence[Json] | str | None = _KEEP,
        automatic_tax: Json | None = None,
        payment_settings: Json | None = None,
        default_payment_method: str | None = None,
        pause_collection: Json | str | None = _KEEP,
        **asked_for: Any,
    ) -> Json:
        """What was asked for, as changes of the body."""
        changes = self._ending(asked_for)
        if default_payment_method:
            PaymentMethod.named(self.world, default_payment_method, "default_payment_method")
            changes["default_payment_method"] = default_payment_method
        if automatic_tax is not None:
            changes["automatic_tax"] = tax_settings(enabled=bool(automatic_tax["enabled"]))
        if payment_settings:
            changes["payment_settings"] = self.body["payment_settings"] | payment_settings
        if metadata != _NOTHING:
            changes["metadata"] = merged_metadata(self.body["metadata"], metadata)
        if pause_collection != _KEEP:
            pause: Any = pause_collection
            changes["pause_collection"] = {"resumes_at": None} | pause if pause else None
        if discounts != _KEEP:
            redeemed: Any = discounts
            self._take_discounts(redeemed)
            changes["discounts"] = self.body["discounts"]
        return changes

    def _ending(self, asked_for: Json) -> Json:
        """What was asked for of its end, in the place of what asked for it."""
        changes = dict(asked_for)
        leaves = changes.pop("cancel_at_period_end", None)
        moment, details = changes.pop("cancel_at", _KEEP), changes.pop("cancellation_details", None)
        if leaves is not None and leaves != self.body["cancel_at_period_end"]:
            changes |= self._leaving(details) if leaves else STAYING
        elif details:
            changes["cancellation_details"] = self.body["cancellation_details"] | details
        if moment != _KEEP:
            changes |= self._leaving_at(moment)
        return changes

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
        self._change(**STAYING)

    def cancel_now(self, reason: str = "cancellation_requested", details: Json | None = None) -> None:
        """End it in this second."""
        self.become(
            status="canceled",
            ended_at=self.world.now,
            canceled_at=self.body["canceled_at"] or self.world.now,
            cancellation_details=cancellation(reason) | (details or {}),
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

    def renew(self, due: int) -> None:
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

    def _bank_pays(self) -> bool:
        return refusal_ahead(self.world, self.customer, self.body["default_payment_method"]) is None

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
            "cancellation_details": cancellation("cancellation_requested") | (details or {}),
        }

    def _leaving_at(self, moment: int | str | None) -> Json:
        if not moment:
            return STAYING
        end = self.period_end if isinstance(moment, str) else moment
        reason = cancellation("cancellation_requested")
        return {"cancel_at": end, "canceled_at": self.world.now, "cancellation_details": reason}

    def _plan_for(self, changes: Json) -> None:
        """Put on the agenda what a change says will happen later."""
        end, pause = changes.get("cancel_at"), changes.get("pause_collection")
        if end and not self.body["cancel_at_period_end"]:
            self.world.at(end, lambda: self.cancel_now() if self.is_live and self.body["cancel_at"] == end else None)
        if pause and pause["resumes_at"]:
            self.world.at(pause["resumes_at"], lambda: self.resume_collection() if self.is_live else None)


def _give_back(subscription: Subscription) -> None:
    prorate(subscription, subscription.items, (), subscription.world.now, whole=False)


def _trial_end(world: "World", days: int | None, end: int | str | None) -> int | None:
    if isinstance(end, int):
        return end
    return world.now + days * DAY_SECONDS if days else None
