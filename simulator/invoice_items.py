"""Invoice items: what is put aside until the next invoice, or put on a draft that there is."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.customers import customer_named
from simulator.happenings import Json
from simulator.invoice_lines import pricing_of
from simulator.prices import price_named
from simulator.refusals import invalid, missing
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.subscription_periods import Periods
    from simulator.world import World

_NOTHING: Final[Json] = {}


class InvoiceItem(Thing):
    """One thing owed, on no invoice yet or on one."""

    kind: ClassVar[str] = "invoiceitem"
    price: Json | None = None
    subscription_id: str | None = None
    subscription_item: str | None = None

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        customer: str,
        amount: int | None = None,
        currency: str | None = None,
        pricing: Json | None = None,
        quantity: int = 1,
        invoice: str | None = None,
        subscription: str | None = None,
        discounts: list[Json] | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """Put something aside for *customer*, or on a draft."""
        customer_named(world, customer)
        price = price_named(world, pricing["price"], "pricing[price]").body if pricing and "price" in pricing else None
        if price is None and amount is None:
            raise invalid("You must pass either `amount` or `pricing[price]`.", "amount", "parameter_missing")
        draft: Any = world.shelf.get("invoice", invoice) if invoice else None
        if invoice and draft is None:
            raise missing("invoice", invoice, "invoice")
        owed = amount if amount is not None else price["unit_amount"] * quantity if price else 0
        assert not discounts, "discounts on invoice items are not pretended"
        body = _body(world, customer, owed, currency or (price or {}).get("currency") or "usd", quantity)
        body |= {"invoice": invoice, "metadata": merged_metadata({}, metadata), "pricing": pricing_of(price)} | fields
        if subscription:
            body["parent"] = _parent(subscription)
        item = cls(world, body)
        item.price, item.subscription_id = price, subscription
        world.record("invoiceitem.created", item.body, by_request=True)
        if draft is not None:
            draft.take(item)
        else:
            world.pending_items.setdefault(customer, []).append(item)
        return item

    @classmethod
    def prorate(cls, subscription: "Periods", item: Json, amount: int, words: str) -> Self:
        """What a change in the middle of a period costs, or gives back."""
        world, price = subscription.world, item["price"]
        body = _body(world, subscription.customer.id, amount, price["currency"], item["quantity"])
        period = {"end": item["current_period_end"], "start": world.now}
        body |= {"description": words, "discountable": False, "period": period, "proration": True}
        body |= {"parent": _parent(subscription.id), "pricing": pricing_of(price)}
        made = cls(world, body)
        made.price, made.subscription_id, made.subscription_item = price, subscription.id, item["id"]
        world.record("invoiceitem.created", made.body)
        world.pending_items.setdefault(subscription.customer.id, []).append(made)
        return made

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change it, while it is on no invoice that is final."""
        self._check_open()
        self.become(metadata=merged_metadata(self.body["metadata"], metadata), **changes)

    def delete(self) -> None:
        """It is not owed after all."""
        self._check_open()
        pending = self.world.pending_items.get(self.body["customer"], [])
        if self in pending:
            pending.remove(self)
        self.world.record("invoiceitem.deleted", self.body, by_request=True)
        self.world.shelf.remove(self)

    def _check_open(self) -> None:
        invoice = self.world.shelf.get("invoice", self.body["invoice"] or "")
        if invoice is not None and invoice.body["status"] != "draft":
            raise invalid("This invoice item is on an invoice that is no draft any more.", "invoiceitem")


def pending_of(world: "World", customer_id: str, subscription_id: str | None) -> list[InvoiceItem]:
    """What waits for the next invoice of *customer_id*: of that subscription, or of none; it waits no longer."""
    waiting: list[InvoiceItem] = world.pending_items.get(customer_id, [])
    taken = [item for item in waiting if item.subscription_id in {None, subscription_id}]
    for item in taken:
        waiting.remove(item)
    return taken


def _parent(subscription_id: str) -> Json:
    return {
        "subscription_details": {"subscription": subscription_id},
        "type": "subscription_details",
    }


def _body(world: "World", customer_id: str, amount: int, currency: str, quantity: int) -> Json:
    return {
        "id": world.dice.identifier("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer_id,
        "date": world.now,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": None,
        "period": {"end": world.now, "start": world.now},
        "pricing": None,
        "proration": False,
        "quantity": quantity,
        "tax_rates": [],
        "test_clock": None,
    }
