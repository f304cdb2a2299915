"""Lists that a thing shows only to those who ask for them by `expand[]`."""

from collections.abc import Callable, Iterable
from typing import Final

from simulator.happenings import Json
from simulator.server.desk import Desk
from simulator.server.lists import LIMIT_DEFAULT, Page

_ENDED: Final = frozenset({"canceled", "incomplete_expired"})


def included(desk: Desk, shown: Json, name: str) -> Page | None:
    """The list *name* of the thing that is *shown*, or None where that has no such list."""
    gather = _LISTS.get((shown.get("object", ""), name))
    if gather is None:
        return None
    bodies, url = gather(desk, shown)
    data = list(bodies)
    return Page(data[:LIMIT_DEFAULT], len(data) > LIMIT_DEFAULT, url)


_Gathered = tuple[Iterable[Json], str]


def _subscriptions_of_customer(desk: Desk, customer: Json) -> _Gathered:
    mine = (
        body
        for body in _all(desk, "subscription")
        if body["customer"] == customer["id"] and body["status"] not in _ENDED
    )
    return mine, f"/v1/customers/{customer['id']}/subscriptions"


def _refunds_of_charge(desk: Desk, charge: Json) -> _Gathered:
    mine = (body for body in _all(desk, "refund") if body["charge"] == charge["id"])
    return mine, f"/v1/charges/{charge['id']}/refunds"


def _payments_of_invoice(desk: Desk, invoice: Json) -> _Gathered:
    mine = (body for body in _all(desk, "invoice_payment") if body["invoice"] == invoice["id"])
    return mine, f"/v1/invoice_payments?invoice={invoice['id']}"


def _lines_of_session(desk: Desk, session: Json) -> _Gathered:
    kept = desk.world.shelf.get("checkout.session", session["id"])
    assert kept is not None, "what is shown lies on the shelf"
    lines: list[Json] = kept.line_items
    return lines, f"/v1/checkout/sessions/{session['id']}/line_items"


def _all(desk: Desk, kind: str) -> Iterable[Json]:
    return (thing.body for thing in desk.world.shelf.all(kind))


_LISTS: Final[dict[tuple[str, str], Callable[[Desk, Json], _Gathered]]] = {
    ("customer", "subscriptions"): _subscriptions_of_customer,
    ("charge", "refunds"): _refunds_of_charge,
    ("checkout.session", "line_items"): _lines_of_session,
    ("invoice", "payments"): _payments_of_invoice,
}
