"""Whatever anybody asks, the pretend Stripe answers as Stripe would, and never breaks."""

from collections.abc import Iterator

import pytest

from simulator.dice import Dice
from simulator.server.resources.all import ROUTES
from simulator.server.routes import Route
from tests.simulator_server.support import Pretend

VALUES = (
    *("", "x", "0", "-1", "1", "2000", "999999999999999999", "99999999999999999999", "1.5", "true", "false", "null"),
    *("usd", "eur", "now", "month", "payment", "subscription", "setup", "card", "once", "all", "void", "%00", "%ff"),
    *("pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required", "4242424242424242"),
    *("https%3A%2F%2Fx.example", "winning_evidence", "name%3A%22x%22", "1769846400", "customer", "data.customer"),
)
SUFFIXES = ("", "", "", "", "[]", "[0]", "[a]", "[0][price]", "[0][quantity]", "[enabled]", "[metadata][a]", "[gte]")
TIMES = 60


def forms(route: Route, ids: list[str], dice: Dice) -> Iterator[str]:
    """Requests that are half right: known names, and values that fit elsewhere."""
    names = [*route.accepts.fields, "expand", "pony"]
    for _ in range(TIMES):
        chosen = {*route.accepts.needs, *dice.choices(names, k=dice.randint(0, 4))}
        yield "&".join(
            f"{name}{dice.one_of(SUFFIXES)}={dice.one_of(ids) if dice.happens(0.5) else dice.one_of(VALUES)}"
            for name in sorted(chosen)
        )


MAKES = (
    ("customer", "/v1/customers", "name=x&payment_method=pm_card_visa"),
    ("price", "/v1/prices", "currency=usd&unit_amount=500&product_data[name]=x&recurring[interval]=month"),
    ("paid", "/v1/payment_intents", "amount=2000&currency=usd&confirm=true&payment_method=pm_card_visa"),
    ("open", "/v1/payment_intents", "amount=2000&currency=usd"),
    ("endpoint", "/v1/webhook_endpoints", "url=https://x.example&enabled_events[]=*"),
    ("refund", "/v1/refunds", "payment_intent={paid}&amount=5"),
    ("subscription", "/v1/subscriptions", "customer={customer}&items[0][price]={price}"),
    ("schedule", "/v1/subscription_schedules", "from_subscription={subscription}"),
    ("item", "/v1/invoiceitems", "customer={customer}&amount=5&currency=usd"),
    ("invoice", "/v1/invoices", "customer={customer}&pending_invoice_items_behavior=include"),
    ("coupon", "/v1/coupons", "percent_off=10&duration=once"),
)


async def ids_of(pretend: Pretend) -> list[str]:
    """The ids of one thing of most kinds, and of what came with it."""
    made: dict[str, str] = {}
    for name, path, form in MAKES:
        status, body, _ = await pretend.ask("POST", path, form.format(**made))
        assert status == 200, body
        made[name] = body["id"]
        made |= {f"{name} {inner}": body[inner] for inner in ("latest_charge", "product") if body.get(inner)}
        made |= {f"{name} {one['id']}": one["id"] for one in body.get("items", {"data": []})["data"]}
    return [*made.values(), "nobody"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_request_breaks_anything(pretend: Pretend, method: str) -> None:
    ids, dice = await ids_of(pretend), Dice(f"hostile {method}")
    seen = set()
    for route in ROUTES:
        if route.method != method:
            continue
        for form in forms(route, ids, dice):
            path = route.path.replace("{id}", dice.one_of(ids)).replace("{method}", dice.one_of(ids))
            url, sent = (path, form) if method == "POST" else (f"{path}?{form}", "")
            status, told, _ = await pretend.ask(method, url, sent)
            assert status in {200, 400, 402, 404}, (method, url, sent, told)
            assert (status == 200) != ("error" in told), told
            seen.add(status)

    assert {400, 404} <= seen
    assert method == "DELETE" or 200 in seen  # Half right, not all wrong.
