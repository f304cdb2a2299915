"""People: each with dice of their own, and what a step of their lives does at Stripe."""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from simulator.catalog import PACKS
from simulator.dice import Dice
from simulator.disputes import LOSING, WINNING
from simulator.happenings import Json
from simulator.scenarios.stage import HOME, Declined, Stage
from simulator.scenarios.steps import ChangePlan, Checkout, Dispute, Portal, Refund, Step

CODE: Final = "QUARTER"
LIVING: Final = frozenset({"active", "trialing", "past_due"})
EVIDENCE: Final = {"wins": WINNING, "loses": LOSING}


class Shop:
    """What the platform sells: Stripe's prices by lookup key, and a code for a quarter off."""

    def __init__(self, stage: Stage, prices: Mapping[str, str]) -> None:
        self.stage = stage
        self.prices = prices
        self.tally: Counter[str] = Counter()


class Person:
    """Somebody, and what is known of them on the platform."""

    def __init__(self, shop: Shop, seed: int, number: int) -> None:
        self.dice = Dice(f"{seed}/person/{number}")
        self.number = number
        self._shop = shop
        self._stage = shop.stage
        self._account_id = f"acct-{number:05}"
        self._email = f"person{number}@subscriber.example"
        self._customer_id: str | None = None
        self._bought: list[str] = []  # The payment intents of a guest, the last one last.

    async def take(self, step: Step) -> None:
        """Do what the step says; what cannot be done is counted and left."""
        if not self.dice.happens(step.chance):
            return
        try:
            await self._do(step)
        except Declined:
            self._shop.tally["refused"] += 1

    async def _do(self, step: Step) -> None:
        tally = self._shop.tally
        match step:
            case Step(checkout=Checkout() as checkout):
                await self._check_out(checkout)
            case Step(portal=Portal() as visit):
                await self._visit_portal(visit)
                tally["portal visits"] += 1
            case Step(change_plan=ChangePlan() as change):
                await self._change_plan(change)
            case Step(cancel=str() as when):
                await self._cancel(when)
                tally["cancellations"] += 1
            case Step(refund=Refund() as refund):
                await self._refund(refund)
                tally["refunds"] += 1
            case Step(dispute=Dispute() as dispute):
                await self._dispute(dispute)
                tally["disputes"] += 1
            case Step(do=str() as deed):
                await getattr(self, f"_{deed}")()
                tally[deed] += 1

    async def _check_out(self, wish: Checkout) -> None:
        bought = self.dice.one_of(wish.buy)
        session = await self._stage.ask("post", "/v1/checkout/sessions", **await self._basket(wish, bought))
        self._shop.tally["checkouts"] += 1
        if wish.leave:
            await self._stage.page(session["url"], action="leave")
            self._shop.tally["walked away"] += 1
            return
        about = {"email": self._email} if wish.guest else {}
        code = {"promotion_code": CODE} if wish.promotion else {}
        for card in (*wish.declined, self.dice.one_of(wish.card)):
            status = await self._stage.page(session["url"], action="pay", card=card, **about, **code)
            if status == HTTPStatus.OK:  # The bank asks.
                await self._stage.page(session["url"], action="authenticate")
        seen = await self._stage.ask("get", f"/v1/checkout/sessions/{session['id']}")
        if seen["payment_intent"]:
            self._bought.append(seen["payment_intent"])

    async def _basket(self, wish: Checkout, bought: str) -> Json:
        stage, pack = self._stage, PACKS.get(bought)
        basket: Json = {
            "mode": "payment" if pack else "subscription",
            "line_items": [{"price": self._shop.prices[bought], "quantity": 1}],
            "success_url": f"{HOME}/thanks",
            "cancel_url": f"{HOME}/plans",
            "client_reference_id": self._account_id,
            "allow_promotion_codes": wish.promotion,
        }
        if pack:
            metadata = {"kind": "credits", "credits": str(pack.credits), "pack": bought}
            basket |= {"metadata": metadata, "payment_intent_data": {"metadata": metadata}}
        elif wish.trial_days:
            basket |= {"subscription_data": {"trial_period_days": wish.trial_days}}
        if wish.guest:
            return basket
        if self._customer_id is None:
            metadata = {"account_id": self._account_id}
            made = await stage.ask("post", "/v1/customers", email=self._email, metadata=metadata)
            self._customer_id = made["id"]
        return basket | {"customer": self._customer_id}

    async def _visit_portal(self, visit: Portal) -> None:
        customer_id = self._customer()
        session = await self._stage.ask(
            "post", "/v1/billing_portal/sessions", customer=customer_id, return_url=f"{HOME}/account"
        )
        if visit.card is not None:
            form = {"action": "update_card", "card": self.dice.one_of(visit.card)}
        else:
            form = {"action": visit.do or "change_plan", "subscription": (await self._subscription())["id"]}
            if visit.plan is not None:
                form["price"] = self._shop.prices[self.dice.one_of(visit.plan)]
        if await self._stage.page(session["url"], **form) >= HTTPStatus.BAD_REQUEST:
            raise Declined("the Portal would not")
        if visit.do == "cancel":
            self._shop.tally["cancellations"] += 1

    async def _change_plan(self, change: ChangePlan) -> None:
        subscription = await self._subscription()
        item, price = subscription["items"]["data"][0], self._shop.prices[self.dice.one_of(change.to)]
        if item["price"]["id"] == price:
            return
        if change.when == "now":
            await self._stage.ask(
                "post",
                f"/v1/subscriptions/{subscription['id']}",
                items=[{"id": item["id"], "price": price}],
                proration_behavior="always_invoice",
            )
            self._shop.tally["upgrades"] += 1
            return
        schedule = await self._stage.ask("post", "/v1/subscription_schedules", from_subscription=subscription["id"])
        phase = schedule["phases"][0]
        now = {
            "items": [{"price": item["price"]["id"], "quantity": item["quantity"]}],
            "start_date": phase["start_date"],
            "end_date": phase["end_date"],
        }
        await self._stage.ask(
            "post",
            f"/v1/subscription_schedules/{schedule['id']}",
            end_behavior="release",
            proration_behavior="none",
            phases=[now, {"items": [{"price": price, "quantity": item["quantity"]}]}],
        )
        self._shop.tally["downgrades"] += 1

    async def _cancel(self, when: str) -> None:
        where = f"/v1/subscriptions/{(await self._subscription())['id']}"
        if when == "now":
            await self._stage.ask("delete", where)
        else:
            await self._stage.ask("post", where, cancel_at_period_end=True)

    async def _refund(self, refund: Refund) -> None:
        charge = await self._charge()
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = max(1, int(left * refund.part))
        await self._stage.ask("post", "/v1/refunds", charge=charge["id"], amount=amount)

    async def _dispute(self, dispute: Dispute) -> None:
        charge = await self._charge()
        words = {"reason": dispute.reason, "inquiry": dispute.inquiry}
        opened = await self._stage.pretend(f"charge/{charge['id']}/dispute", **words)
        if dispute.evidence != "none":
            evidence = {"uncategorized_text": EVIDENCE[dispute.evidence]}
            await self._stage.ask("post", f"/v1/disputes/{opened['id']}", evidence=evidence, submit=True)

    async def _warn(self) -> None:
        await self._stage.pretend(f"charge/{(await self._charge())['id']}/warn")

    async def _resume(self) -> None:
        where = f"/v1/subscriptions/{(await self._subscription())['id']}"
        await self._stage.ask("post", where, cancel_at_period_end=False)

    async def _pause(self) -> None:
        where = f"/v1/subscriptions/{(await self._subscription())['id']}"
        await self._stage.ask("post", where, pause_collection={"behavior": "void"})

    async def _unpause(self) -> None:
        where = f"/v1/subscriptions/{(await self._subscription())['id']}"
        await self._stage.ask("post", where, pause_collection="")

    async def _authenticate(self) -> None:
        """Tell the bank that it is really them, for whatever waits for that."""
        for intent in await self._stage.each("/v1/payment_intents", customer=self._customer()):
            if intent["status"] == "requires_action":
                await self._stage.pretend(f"payment_intent/{intent['id']}/authenticate")

    async def _delete(self) -> None:
        await self._stage.ask("delete", f"/v1/customers/{self._customer()}")
        self._customer_id = None

    def _customer(self) -> str:
        if self._customer_id is None:
            raise Declined("no customer")
        return self._customer_id

    async def _subscription(self) -> Json:
        """The one that lives."""
        found = await self._stage.each("/v1/subscriptions", customer=self._customer(), status="all")
        for subscription in found:
            if subscription["status"] in LIVING:
                return subscription
        raise Declined("no subscription")

    async def _charge(self) -> Json:
        """What was paid last, and of which something is left."""
        whose = {"customer": self._customer_id} if self._customer_id else {"payment_intent": self._last_bought()}
        for charge in await self._stage.each("/v1/charges", **whose):
            taken = charge["status"] == "succeeded" and charge["captured"] and not charge["disputed"]
            if taken and charge["amount_refunded"] < charge["amount_captured"]:
                return charge
        raise Declined("no charge")

    def _last_bought(self) -> str:
        if not self._bought:
            raise Declined("nothing bought")
        return self._bought[-1]
