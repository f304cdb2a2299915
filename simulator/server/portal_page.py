"""The billing portal's page: here a customer changes plan, puts in a card, cancels, resumes, and sees the invoices."""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.desk import Desk
from simulator.server.html import alert, field, form, link, money, page, paragraph, price_words, select, table
from simulator.subscriptions import ENDS

PLACE: Final = "/p/session/{id}"
KIND: Final = "billing_portal.session"
INVOICES_MAX: Final = 24

_CARD: Final = "Test card number or token"


class Page:
    """Answers at /p/session."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """The page, and what its forms post to."""
        return [web.get(PLACE, self._show), web.post(PLACE, self._act)]

    async def _show(self, request: web.Request) -> web.Response:
        return self._page(self._session(request))

    async def _act(self, request: web.Request) -> web.Response:
        """Do what the form asks, and show how it stands then."""
        session = self._session(request)
        said = {name: str(value) for name, value in (await request.post()).items()}
        act = _ACTS.get(said.get("action", ""))
        if act is None:
            return self._page(session, "There is no such thing to do here.", 400)
        try:
            act(session, said)
        except Refused as refused:
            return self._page(session, refused.message, refused.status)
        after = (session.body["flow"] or {}).get("after_completion") or {}
        if after.get("type") == "redirect":
            raise web.HTTPSeeOther(after["redirect"]["return_url"])
        return self._page(session)

    def _session(self, request: web.Request) -> Any:
        session = self._desk.world.shelf.get(KIND, request.match_info["id"])
        if session is None:
            raise web.HTTPNotFound(text="There is no such portal session.")
        return session

    def _page(self, session: Any, trouble: str | None = None, status: int = 200) -> web.Response:
        shelf = self._desk.world.shelf
        mine = {
            kind: [one.body for one in shelf.all(kind) if one.body["customer"] == session.body["customer"]]
            for kind in ("subscription", "invoice")
        }
        allowed = {name for name, feature in session.configuration.body["features"].items() if feature["enabled"]}
        living = [body for body in mine["subscription"] if body["status"] not in ENDS]
        parts = [alert(trouble), _flow(session.body["flow"])]
        parts += [_subscription(body, self._prices(), allowed) for body in living]
        if "payment_method_update" in allowed:
            parts.append(form("update_card", [field("card", _CARD, required=True)], "Update card"))
        if "invoice_history" in allowed:
            parts.append(_invoices(mine["invoice"][:INVOICES_MAX]))
        if session.body["return_url"]:
            parts.append(link(session.body["return_url"], "Return"))
        return page("Your plan", parts, status)

    def _prices(self) -> list[Json]:
        """What can be subscribed to."""
        prices = (one.body for one in self._desk.world.shelf.all("price"))
        return [body for body in prices if body["active"] and body["recurring"]]


def _flow(flow: Json | None) -> str:
    """The one thing that this visit is for, where it needs no more than a yes."""
    if not flow or flow["type"] != "subscription_update_confirm":
        return ""
    return form("confirm", (), "Confirm")


def _subscription(body: Json, prices: list[Json], allowed: set[str]) -> str:
    """How one subscription stands, and what can be done with it."""
    held = [item["price"] for item in body["items"]["data"]]
    currencies = {price["currency"] for price in held}
    offered = [(price["id"], price_words(price)) for price in prices if price["currency"] in currencies]
    parts = [paragraph(f"{'; '.join(price_words(price) for price in held)} ({body['status']})")]
    known = {"subscription": body["id"]}
    if "subscription_update" in allowed:
        parts.append(form("change_plan", [select("price", "Plan", offered)], "Change plan", **known))
    if body["cancel_at_period_end"] or body["cancel_at"]:
        parts.append(form("resume", (), "Don't cancel", **known))
    elif "subscription_cancel" in allowed:
        parts.append(form("cancel", (), "Cancel plan", **known))
    return "".join(parts)


def _invoices(bills: list[Json]) -> str:
    return table(
        (body["number"] or "draft", money(body["total"], body["currency"]), str(body["status"])) for body in bills
    )


def _confirm(session: Any) -> None:
    """Change the plan as the link already said."""
    told = (session.body["flow"] or {}).get("subscription_update_confirm")
    if told is None:
        raise Refused("There is nothing to confirm here.")
    for item in told["items"]:
        session.change_plan(told["subscription"], item.get("price", ""))


_ACTS: Final[dict[str, Callable[[Any, dict[str, str]], object]]] = {
    "change_plan": lambda session, said: session.change_plan(said.get("subscription", ""), said.get("price", "")),
    "confirm": lambda session, _: _confirm(session),
    "update_card": lambda session, said: session.update_card(said.get("card", "")),
    "cancel": lambda session, said: session.cancel(said.get("subscription", "")),
    "resume": lambda session, said: session.resume(said.get("subscription", "")),
}
