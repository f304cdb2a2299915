"""Subscription periods: what a subscription is made of, from when to when it is billed, and how its changes are told.

Every change is one event; every period's end is put on the world's agenda once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from simulator.catalog import PLAN_OFFERS
from simulator.clock import DAY_SECONDS, months_after
from simulator.coupons import Discount, redeem
from simulator.customers import Customer
from simulator.happenings import Json
from simulator.invoice_items import pending_of
from simulator.invoice_lines import line_of_invoice_item, line_of_item
from simulator.invoices import Invoice, imagine
from simulator.subscription_items import days_of, items_asked, months_of, proration_lines
from simulator.things import Thing, list_of

if TYPE_CHECKING:
    from simulator.subscription_schedules import SubscriptionSchedule
    from simulator.world import World

ENDS: Final = frozenset({"canceled", "incomplete_expired"})
RENEWING: Final = frozenset({"trialing", "active", "past_due"})
BILLED: Final = frozenset({"active", "past_due"})
UPCOMING_SECONDS: Final = 7 * DAY_SECONDS


class Periods(Thing):
    """A subscription as it is billed, period by period."""

    kind: ClassVar[str] = "subscription"

    def __init__(self, world: "World", customer: Customer, body: Json) -> None:
        super().__init__(world, body)
        self.customer = customer
        self.discounts: list[Discount] = []
        self.schedule: SubscriptionSchedule | None = None
        self.truth: list[Json] = []  # The body after every change, in the order in which it truly happened.
        self._period_number = 0  # The n of "anchor + n periods", which is the current period's end.
        self._agreed_end: int | None = None

    def renew(self, due: int) -> None:
        """What happens when the period that ends then is over."""
        raise NotImplementedError

    def hear_paid(self, invoice: Invoice) -> None:
        """The money for *invoice* has come."""
        raise NotImplementedError

    def hear_processing(self) -> None:
        """A debit is on its way."""
        raise NotImplementedError

    def hear_failed(self, invoice: Invoice, *, is_last: bool) -> None:
        """The money for *invoice* did not come; nobody will try again when it *is_last*."""
        raise NotImplementedError

    def hear_void(self, invoice: Invoice) -> None:
        """Nobody expects the money for *invoice* any more."""
        raise NotImplementedError

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
    def period_end(self) -> int:
        """When the current period is over."""
        return int(self.plan_item["current_period_end"])

    @property
    def latest_invoice(self) -> Invoice | None:
        """The last invoice that was made for it."""
        invoice: Invoice | None = self.world.shelf.get("invoice", self.body["latest_invoice"] or "")
        return invoice

    # What it will cost, and costs.

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

    def _take_discounts(self, asked_for: Sequence[Json] | None) -> None:
        self._keep_discounts(redeem(self.world, asked_for, customer=self.customer.id, subscription=self.id))

    def _keep_discounts(self, discounts: list[Discount]) -> None:
        self.discounts = discounts
        self.become(discounts=[one.id for one in self.discounts])

    # How a change is made and told.

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
            self.world.at(due, lambda: self.renew(due))
            if due - UPCOMING_SECONDS > self.world.now:
                self.world.at(due - UPCOMING_SECONDS, lambda: self._announce_renewal(due))

    def _set_items(self, items: Sequence[Json]) -> None:
        self.become(items=list_of(list(items), f"/v1/subscription_items?subscription={self.id}"))

    def _set_period(self, start: int, end: int) -> None:
        period = {"current_period_start": start, "current_period_end": end}
        self._set_items([item | period for item in self.items])
