"""Checkout's page: here somebody pays, is declined and tries again, or walks away.

The card is one of Stripe's test numbers, or a token such as `pm_card_visa`; a real number is refused before anybody
has kept it.
"""

from typing import Any, Final

from aiohttp import web

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.desk import Desk
from simulator.server.html import alert, field, form, link, money, page, paragraph, table

PLACE: Final = "/c/pay/{id}"
KIND: Final = "checkout.session"
TITLES: Final = {"payment": "Pay", "setup": "Save a card", "subscription": "Subscribe"}


class Page:
    """Answers at /c/pay."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """The page, and what its forms post to."""
        return [web.get(PLACE, self._show), web.post(PLACE, self._act)]

    async def _show(self, request: web.Request) -> web.Response:
        session = self._session(request)
        return _paying(session) if session.body["status"] == "open" else _closed(session)

    async def _act(self, request: web.Request) -> web.Response:
        """Do what the form asks: pay, authenticate, or leave."""
        session = self._session(request)
        said = {name: str(value) for name, value in (await request.post()).items()}
        if session.body["status"] != "open":
            return _closed(session)
        if said.get("action") == "leave":
            raise web.HTTPSeeOther(session.body["cancel_url"] or "/")
        try:
            _act(session, said)
        except Refused as refused:
            return _paying(session, refused.message, refused.status)
        return _authenticating() if session.body["status"] == "open" else _done(session)

    def _session(self, request: web.Request) -> Any:
        session = self._desk.world.shelf.get(KIND, request.match_info["id"])
        if session is None:
            raise web.HTTPNotFound(text="There is no such checkout session.")
        return session


def _act(session: Any, said: dict[str, str]) -> None:
    match said.get("action"):
        case "pay":
            session.pay(said.get("card", ""), **_buyer(said))
        case "authenticate":
            session.authenticate()
        case "refuse":
            session.authenticate(succeeds=False)
        case _:
            raise Refused("There is no such thing to do here.")


def _authenticating() -> web.Response:
    """The bank asks whether it is really you."""
    parts = [
        paragraph("Your bank wants to know whether it is really you."),
        form("authenticate", (), "It is me"),
        form("refuse", (), "It is not me"),
    ]
    return page("Authenticate", parts)


def _buyer(said: dict[str, str]) -> dict[str, str]:
    """What the buyer tells of themselves."""
    return {name: said[name] for name in ("email", "name", "promotion_code") if said.get(name)}


def _paying(session: Any, trouble: str | None = None, status: int = 200) -> web.Response:
    body: Json = session.body
    parts = [alert(trouble), _basket(session), form("pay", _fields(body), TITLES[body["mode"]])]
    if body["cancel_url"]:
        parts.append(form("leave", (), "Go back"))
    return page(TITLES[body["mode"]], parts, status)


def _fields(body: Json) -> list[str]:
    fields = []
    if not body["customer"]:
        fields.append(field("email", "Email", body["customer_email"] or "", required=True))
        fields.append(field("name", "Name"))
    if body["allow_promotion_codes"]:
        fields.append(field("promotion_code", "Promotion code"))
    return [*fields, field("card", "Test card number or token", "4242424242424242", required=True)]


def _basket(session: Any) -> str:
    lines = [
        (str(line["description"]), f"x {line['quantity']}", money(line["amount_total"], line["currency"]))
        for line in session.line_items
    ]
    body: Json = session.body
    if body["amount_total"] is not None:
        lines.append(("Total", "", money(body["amount_total"], body["currency"])))
    return table(lines)


def _done(session: Any) -> web.Response:
    """On to where the platform wants its customer."""
    target: str | None = session.body["success_url"]
    if target:
        raise web.HTTPSeeOther(target.replace("{CHECKOUT_SESSION_ID}", session.body["id"]))
    return _closed(session)


def _closed(session: Any) -> web.Response:
    complete = session.body["status"] == "complete"
    words = "You're all done here." if complete else "This checkout session has expired."
    status = 200 if complete else 410
    ways_out = [link(session.body["success_url"], "Continue")] if complete and session.body["success_url"] else []
    return page("Thank you" if complete else "Too late", [paragraph(words), *ways_out], status)
