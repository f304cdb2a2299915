"""A tour of the whole API: one visit at least at every place, by somebody who runs a small company on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from stripe._encode import _api_encode

from simulator.shapes import NEWEST
from tests.simulator_server.support import Pretend

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, and what it was answered."""

    method: str
    path: str
    form: str
    status: int
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.form}"


@dataclass(slots=True)
class Tour:
    """Asks, and remembers what was asked and answered."""

    pretend: Pretend
    api_version: str = NEWEST
    visits: list[Visit] = field(default_factory=list)

    async def get(self, path: str, **params: Any) -> Body:
        return await self._visit("GET", path, _form(params))

    async def post(self, path: str, *, expected: int = 200, **params: Any) -> Body:
        return await self._visit("POST", path, _form(params), expected)

    async def delete(self, path: str, **params: Any) -> Body:
        return await self._visit("DELETE", path, _form(params))

    async def page(self, address: str, **said: str) -> int:
        """Fill in the form of a hosted page."""
        async with self.pretend.http.post(address, data=said, allow_redirects=False) as answer:
            await answer.read()
            return answer.status

    async def _visit(self, method: str, path: str, form: str, expected: int = 200) -> Body:
        url, sent = (path, form) if method == "POST" else (f"{path}?{form}" if form else path, "")
        status, body, _ = await self.pretend.ask(method, url, sent, Stripe_Version=self.api_version)
        assert status == expected, f"{method} {url} {sent}: {status} {body}"
        self.visits.append(Visit(method, path, form, status, body))
        told: Body = body
        return told


def _form(params: Body) -> str:
    return urlencode(list(_api_encode(params)))


async def take(pretend: Pretend, api_version: str = NEWEST) -> list[Visit]:
    """The visits of the whole tour, by somebody who reads one version."""
    tour = Tour(pretend, api_version)
    async for _ in _stations(tour):
        await pretend.advance(seconds=60)
    return tour.visits


async def _stations(tour: Tour) -> AsyncIterator[None]:
    """Station after station: what one makes is what the next needs."""
    prices = await _catalog(tour)
    yield
    customer = await _customers(tour)
    yield
    card = await _cards(tour, customer)
    yield
    await _coupons(tour)
    yield
    await _payments(tour, customer, card)
    yield
    await _refunds_and_disputes(tour, customer)
    yield
    await _subscriptions(tour, customer, prices)
    yield
    await _schedules(tour, customer, prices)
    yield
    await _invoices(tour, customer, prices)
    yield
    await _checkout(tour, customer, prices)
    yield
    await _portal(tour, customer, prices)
    yield
    await _endpoints(tour)
    await _events(tour)
    await _farewell(tour, prices)


async def _catalog(tour: Tour) -> dict[str, str]:
    """Two plans and a pack."""
    prices = {}
    for name, amount in (("mid", 2900), ("high", 9900)):
        product = await tour.post("/v1/products", name=name, description="a plan", metadata={"plan": name})
        price = await tour.post(
            "/v1/prices",
            product=product["id"],
            currency="usd",
            unit_amount=amount,
            recurring={"interval": "month"},
            lookup_key=f"tour_{name}",
            metadata={"plan": name},
        )
        prices[name] = price["id"]
    pack = await tour.post("/v1/prices", product_data={"name": "pack"}, currency="usd", unit_amount=500)
    prices["pack"] = pack["id"]
    await tour.post(f"/v1/prices/{pack['id']}", nickname="500 credits", metadata={"kind": "credits"})
    await tour.post(f"/v1/products/{pack['product']}", description="credits", active=True)
    await tour.get("/v1/prices", lookup_keys=["tour_mid"], active=True, type="recurring", expand=["data.product"])
    await tour.get("/v1/prices/search", query='lookup_key:"tour_mid"')
    await tour.get(f"/v1/prices/{pack['id']}")
    await tour.get("/v1/products", active=True, limit=3)
    await tour.get("/v1/products/search", query='metadata["plan"]:"mid"')
    await tour.get(f"/v1/products/{pack['product']}")
    return prices


async def _customers(tour: Tour) -> str:
    customer = await tour.post(
        "/v1/customers",
        email="ada@subscriber.example",
        name="Ada",
        address={"line1": "1 Row", "country": "US", "postal_code": "94110", "state": "CA", "city": "San Francisco"},
        metadata={"account_id": "acct-1"},
    )
    customer_id = str(customer["id"])
    await tour.post(f"/v1/customers/{customer_id}", phone="+14155550100", metadata={"since": "2026"})
    await tour.get(f"/v1/customers/{customer_id}", expand=["subscriptions"])
    await tour.get("/v1/customers", email="ada@subscriber.example", created={"gte": 0})
    await tour.get("/v1/customers/search", query='metadata["account_id"]:"acct-1"')
    return customer_id


async def _cards(tour: Tour, customer: str) -> str:
    card = await tour.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)
    card_id = str(card["id"])
    await tour.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": card_id})
    await tour.post(f"/v1/payment_methods/{card_id}", card={"exp_month": 12, "exp_year": 2040})
    await tour.get(f"/v1/payment_methods/{card_id}")
    await tour.get("/v1/payment_methods", customer=customer, type="card")
    await tour.get(f"/v1/customers/{customer}/payment_methods", type="card")
    await tour.get(f"/v1/customers/{customer}/payment_methods/{card_id}")
    other = await tour.post(
        "/v1/payment_methods",
        type="card",
        card={"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"},
    )
    await tour.post(f"/v1/payment_methods/{other['id']}/attach", customer=customer)
    await tour.post(f"/v1/payment_methods/{other['id']}/detach")
    return card_id


async def _coupons(tour: Tour) -> None:
    coupon = await tour.post("/v1/coupons", percent_off=20, duration="repeating", duration_in_months=3, name="spring")
    once = await tour.post("/v1/coupons", id="OFF5", amount_off=500, currency="usd", duration="once")
    await tour.post(f"/v1/coupons/{coupon['id']}", name="Spring", metadata={"a": "b"})
    await tour.get(f"/v1/coupons/{coupon['id']}")
    await tour.get("/v1/coupons")
    code = await tour.post("/v1/promotion_codes", promotion={"type": "coupon", "coupon": once["id"]}, code="FIVE")
    await tour.post(f"/v1/promotion_codes/{code['id']}", metadata={"a": "b"})
    await tour.get(f"/v1/promotion_codes/{code['id']}")
    await tour.get("/v1/promotion_codes", code="FIVE", active=True)
    await tour.delete(f"/v1/coupons/{coupon['id']}")


async def _payments(tour: Tour, customer: str, card: str) -> None:
    paid = await tour.post(
        "/v1/payment_intents",
        amount=950,
        currency="usd",
        customer=customer,
        payment_method=card,
        confirm=True,
        off_session=True,
        metadata={"kind": "credits"},
    )
    await tour.get(f"/v1/payment_intents/{paid['id']}", expand=["latest_charge.balance_transaction", "customer"])
    await tour.get("/v1/payment_intents", customer=customer)
    await tour.get("/v1/payment_intents/search", query='metadata["kind"]:"credits"')
    charge = str(paid["latest_charge"])
    await tour.get(f"/v1/charges/{charge}", expand=["refunds", "payment_intent"])
    await tour.post(f"/v1/charges/{charge}", metadata={"note": "x"})
    await tour.get("/v1/charges", payment_intent=paid["id"])
    await tour.get("/v1/charges/search", query='metadata["note"]:"x"')
    await tour.get("/v1/balance")
    transactions = await tour.get("/v1/balance_transactions", limit=1)
    await tour.get(f"/v1/balance_transactions/{transactions['data'][0]['id']}")
    held = await tour.post("/v1/payment_intents", amount=700, currency="eur", capture_method="manual")
    await tour.post(f"/v1/payment_intents/{held['id']}", description="held", customer=customer)
    held = await tour.post(f"/v1/payment_intents/{held['id']}/confirm", payment_method="pm_card_visa")
    await tour.post(f"/v1/payment_intents/{held['id']}/capture", amount_to_capture=600)
    gone = await tour.post("/v1/payment_intents", amount=900, currency="usd")
    await tour.post(f"/v1/payment_intents/{gone['id']}/cancel", cancellation_reason="abandoned")
    await tour.post(
        "/v1/payment_intents",
        expected=402,
        amount=950,
        currency="usd",
        payment_method="pm_card_chargeDeclinedInsufficientFunds",
        confirm=True,
        return_url="https://platform.example/back",
    )
    await tour.post(
        "/v1/payment_intents",
        amount=950,
        currency="usd",
        payment_method="pm_card_threeDSecure2Required",
        confirm=True,
        return_url="https://platform.example/back",
    )


async def _paid(tour: Tour, token: str) -> Body:
    return await tour.post(
        "/v1/payment_intents",
        amount=2_000,
        currency="usd",
        payment_method=token,
        confirm=True,
        return_url="https://platform.example/back",
    )


async def _refunds_and_disputes(tour: Tour, customer: str) -> None:
    paid = await _paid(tour, "pm_card_visa")
    refund = await tour.post("/v1/refunds", payment_intent=paid["id"], amount=500, reason="requested_by_customer")
    await tour.post("/v1/refunds", charge=paid["latest_charge"])
    await tour.post(f"/v1/refunds/{refund['id']}", metadata={"a": "b"})
    await tour.get(f"/v1/refunds/{refund['id']}", expand=["charge"])
    await tour.get("/v1/refunds", payment_intent=paid["id"])
    pending = await _paid(tour, "pm_card_pendingRefund")
    unwanted = await tour.post("/v1/refunds", payment_intent=pending["id"])
    await tour.post(f"/v1/refunds/{unwanted['id']}/cancel")
    await _paid(tour, "pm_card_createDispute")
    await tour.pretend.advance(days=1)
    (dispute,) = (await tour.get("/v1/disputes"))["data"]
    await tour.get(f"/v1/disputes/{dispute['id']}", expand=["charge", "payment_intent"])
    await tour.post(f"/v1/disputes/{dispute['id']}", evidence={"uncategorized_text": "winning_evidence"}, submit=False)
    await tour.post(f"/v1/disputes/{dispute['id']}/close")
    await _paid(tour, "pm_card_createIssuerFraudRecord")
    await tour.pretend.advance(days=1)
    warnings = await tour.get("/v1/radar/early_fraud_warnings")
    await tour.get(f"/v1/radar/early_fraud_warnings/{warnings['data'][0]['id']}")


async def _subscriptions(tour: Tour, customer: str, prices: dict[str, str]) -> None:
    made = await tour.post(
        "/v1/subscriptions",
        customer=customer,
        items=[{"price": prices["mid"], "quantity": 2}],
        discounts=[{"coupon": "OFF5"}],
        metadata={"account_id": "acct-1"},
        expand=["latest_invoice.payments", "customer"],
    )
    place = f"/v1/subscriptions/{made['id']}"
    item = made["items"]["data"][0]["id"]
    await tour.post(
        place, items=[{"id": item, "price": prices["high"], "quantity": 1}], proration_behavior="always_invoice"
    )
    await tour.post(place, cancel_at_period_end=True, cancellation_details={"comment": "too dear"})
    await tour.post(place, cancel_at_period_end=False, pause_collection={"behavior": "void"})
    await tour.post(place, pause_collection="")
    await tour.get(place)
    await tour.get("/v1/subscriptions", customer=customer, status="all", price=prices["high"])
    await tour.get("/v1/subscriptions/search", query="status:'active'")
    await tour.get("/v1/subscription_items", subscription=made["id"])
    await tour.get(f"/v1/subscription_items/{item}")
    await tour.post(f"/v1/subscription_items/{item}", quantity=3, proration_behavior="none")
    more = await tour.post("/v1/subscription_items", subscription=made["id"], price=prices["mid"], quantity=1)
    await tour.delete(f"/v1/subscription_items/{more['id']}", proration_behavior="none")
    await tour.post("/v1/invoices/create_preview", subscription=made["id"])
    await tour.delete(place, cancellation_details={"feedback": "other"})
    trial = await tour.post(
        "/v1/subscriptions",
        customer=customer,
        items=[{"price": prices["mid"]}],
        trial_period_days=14,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    await tour.delete(f"/v1/subscriptions/{trial['id']}")
    cardless = await tour.post("/v1/customers", name="Without a card")
    paused = await tour.post(
        "/v1/subscriptions",
        customer=cardless["id"],
        items=[{"price": prices["mid"]}],
        trial_period_days=1,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    await tour.pretend.advance(days=2)
    card = await tour.post("/v1/payment_methods/pm_card_visa/attach", customer=cardless["id"])
    await tour.post(f"/v1/subscriptions/{paused['id']}", default_payment_method=card["id"])
    await tour.post(f"/v1/subscriptions/{paused['id']}/resume", billing_cycle_anchor="now")


async def _schedules(tour: Tour, customer: str, prices: dict[str, str]) -> None:
    made = await tour.post("/v1/subscriptions", customer=customer, items=[{"price": prices["high"]}])
    schedule = await tour.post("/v1/subscription_schedules", from_subscription=made["id"])
    place = f"/v1/subscription_schedules/{schedule['id']}"
    now = schedule["phases"][0]
    await tour.post(
        place,
        end_behavior="release",
        phases=[
            {
                "items": [{"price": prices["high"], "quantity": 1}],
                "start_date": now["start_date"],
                "end_date": now["end_date"],
            },
            {"items": [{"price": prices["mid"], "quantity": 1}], "duration": {"interval": "month"}},
        ],
    )
    await tour.get(place)
    await tour.get("/v1/subscription_schedules", customer=customer)
    await tour.post(f"{place}/release")
    other = await tour.post("/v1/subscription_schedules", from_subscription=made["id"])
    await tour.post(f"/v1/subscription_schedules/{other['id']}/cancel")


async def _invoices(tour: Tour, customer: str, prices: dict[str, str]) -> None:
    item = await tour.post("/v1/invoiceitems", customer=customer, amount=1_500, currency="usd", description="a thing")
    await tour.get(f"/v1/invoiceitems/{item['id']}")
    await tour.get("/v1/invoiceitems", customer=customer)
    await tour.post(f"/v1/invoiceitems/{item['id']}", description="another thing")
    gone = await tour.post("/v1/invoiceitems", customer=customer, amount=1, currency="usd")
    await tour.delete(f"/v1/invoiceitems/{gone['id']}")
    draft = await tour.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include", auto_advance=False
    )
    place = f"/v1/invoices/{draft['id']}"
    await tour.post(place, description="for a thing")
    await tour.get(f"{place}/lines", limit=5)
    await tour.post(f"{place}/finalize", auto_advance=False)
    await tour.post(f"{place}/pay")
    paid = await tour.get(place, expand=["payments", "customer"])
    await tour.get("/v1/invoices", customer=customer, status="paid")
    await tour.get("/v1/invoices/search", query="status:'paid'")
    payments = await tour.get("/v1/invoice_payments", invoice=paid["id"])
    await tour.get(f"/v1/invoice_payments/{payments['data'][0]['id']}", expand=["payment.payment_intent"])
    note = await tour.post("/v1/credit_notes", invoice=paid["id"], amount=300, refund_amount=300, reason="duplicate")
    await tour.post(f"/v1/credit_notes/{note['id']}", memo="sorry")
    await tour.get(f"/v1/credit_notes/{note['id']}")
    await tour.get("/v1/credit_notes", invoice=paid["id"])
    for fate in ("void", "mark_uncollectible", "send"):
        await tour.post("/v1/invoiceitems", customer=customer, amount=900, currency="usd")
        other = await tour.post(
            "/v1/invoices",
            customer=customer,
            pending_invoice_items_behavior="include",
            collection_method="send_invoice",
            days_until_due=30,
        )
        await tour.post(f"/v1/invoices/{other['id']}/finalize")
        await tour.post(f"/v1/invoices/{other['id']}/{fate}")
        if fate == "send":
            owed = await tour.post("/v1/credit_notes", invoice=other["id"], amount=100)
            await tour.post(f"/v1/credit_notes/{owed['id']}/void")
            await tour.post(f"/v1/invoices/{other['id']}/pay", paid_out_of_band=True)
    unwanted = await tour.post("/v1/invoices", customer=customer)
    await tour.delete(f"/v1/invoices/{unwanted['id']}")
    await tour.post(
        "/v1/invoices/create_preview",
        customer=customer,
        subscription_details={"items": [{"price": prices["high"], "quantity": 1}]},
    )


async def _checkout(tour: Tour, customer: str, prices: dict[str, str]) -> None:
    urls = {"success_url": "https://platform.example/done?s={CHECKOUT_SESSION_ID}"}
    bought = await tour.post(
        "/v1/checkout/sessions",
        mode="payment",
        line_items=[{"price": prices["pack"], "quantity": 2}],
        client_reference_id="acct-1",
        metadata={"kind": "credits", "credits": "1000"},
        payment_intent_data={"metadata": {"kind": "credits", "credits": "1000"}},
        allow_promotion_codes=True,
        cancel_url="https://platform.example/back",
        **urls,
    )
    place = f"/v1/checkout/sessions/{bought['id']}"
    await tour.post(place, metadata={"pack": "credits_500"})
    await tour.get(place, expand=["line_items", "customer"])
    await tour.get(f"{place}/line_items")
    await tour.get("/v1/checkout/sessions", status="open")
    assert await tour.page(bought["url"], action="pay", card="4242424242424242", email="eve@guest.example") == 303
    await tour.get(place, expand=["payment_intent"])
    subscribed = await tour.post(
        "/v1/checkout/sessions",
        mode="subscription",
        customer=customer,
        line_items=[{"price": prices["mid"], "quantity": 1}],
        subscription_data={"metadata": {"account_id": "acct-1"}, "trial_period_days": 7},
        **urls,
    )
    assert await tour.page(subscribed["url"], action="pay", card="4242424242424242") == 303
    await tour.get(f"/v1/checkout/sessions/{subscribed['id']}", expand=["subscription.latest_invoice"])
    saved = await tour.post("/v1/checkout/sessions", mode="setup", customer=customer, currency="usd", **urls)
    assert await tour.page(saved["url"], action="pay", card="5555555555554444") == 303
    setup = await tour.get(f"/v1/checkout/sessions/{saved['id']}")
    await tour.get(f"/v1/setup_intents/{setup['setup_intent']}")
    await tour.get("/v1/setup_intents", customer=customer)
    late = await tour.post(
        "/v1/checkout/sessions", mode="payment", line_items=[{"price": prices["pack"], "quantity": 1}], **urls
    )
    await tour.post(f"/v1/checkout/sessions/{late['id']}/expire")


async def _portal(tour: Tour, customer: str, prices: dict[str, str]) -> None:
    configuration = await tour.post(
        "/v1/billing_portal/configurations",
        business_profile={"headline": "Billing"},
        features={
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        },
    )
    place = f"/v1/billing_portal/configurations/{configuration['id']}"
    await tour.post(place, features={"invoice_history": {"enabled": True}}, metadata={"a": "b"})
    await tour.get(place)
    await tour.get("/v1/billing_portal/configurations", active=True)
    await tour.post(
        "/v1/billing_portal/sessions",
        customer=customer,
        configuration=configuration["id"],
        return_url="https://platform.example/account",
    )
    assert prices


async def _endpoints(tour: Tour) -> None:
    endpoint = await tour.post(
        "/v1/webhook_endpoints",
        url="https://platform.example/webhooks",
        enabled_events=["*"],
        api_version="2025-03-31.basil",
    )
    place = f"/v1/webhook_endpoints/{endpoint['id']}"
    await tour.post(place, enabled_events=["invoice.paid"], disabled=True, description="ours")
    await tour.get(place)
    await tour.get("/v1/webhook_endpoints")
    await tour.delete(place)


async def _events(tour: Tour) -> None:
    events = await tour.get("/v1/events", limit=100, delivery_success=True)
    await tour.get("/v1/events", types=["invoice.paid"], created={"gte": 0})
    await tour.get(f"/v1/events/{events['data'][0]['id']}")
    thin = await tour.get("/v2/core/events", limit=5)
    await tour.get(f"/v2/core/events/{thin['data'][0]['id']}")


async def _farewell(tour: Tour, prices: dict[str, str]) -> None:
    leaving = await tour.post("/v1/customers", name="Somebody who leaves")
    await tour.delete(f"/v1/customers/{leaving['id']}")
    await tour.get(f"/v1/customers/{leaving['id']}")
    product = await tour.post("/v1/products", name="a whim")
    await tour.delete(f"/v1/products/{product['id']}")
    await tour.post("/v1/customers", expected=400, pony="x")
    await tour.post(f"/v1/prices/{prices['mid']}", active=False)
