"""Fate: what no API of Stripe's can ask for, because banks and cardholders decide it.

`POST /_pretend/{kind}/{id}/{deed}`, with the deed's own words as a JSON object.  Payment methods by test number bring
most of it by themselves, later; this is for whoever wants it now.
"""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from simulator.disputes import Dispute
from simulator.fraud_warnings import EarlyFraudWarning
from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.desk import Desk
from simulator.server.replies import asked_of, bad
from simulator.shapes import NEWEST, render_object

Deed = Callable[..., object]
"""Something that happens to a thing, with its words by name."""


def _dispute(charge: Any, reason: str = "fraudulent", *, inquiry: bool = False, amount: int | None = None) -> Json:
    return Dispute.open(charge, reason, inquiry=inquiry, amount=amount).body


DEEDS: Final[dict[tuple[str, str], Deed]] = {
    ("charge", "dispute"): _dispute,
    ("charge", "warn"): lambda charge: EarlyFraudWarning.issue(charge).body,
    ("checkout.session", "settle"): lambda session, succeeds=True: session.settle(succeeds=succeeds),
    ("dispute", "escalate"): lambda dispute: dispute.escalate(),
    ("dispute", "lose"): lambda dispute: dispute.lose(),
    ("dispute", "win"): lambda dispute: dispute.win(),
    ("payment_intent", "authenticate"): lambda intent, succeeds=True: intent.authenticate(succeeds=succeeds),
    ("payment_intent", "settle"): lambda intent, succeeds=True: intent.settle(succeeds=succeeds),
    ("payment_method", "renew_by_bank"): lambda method: method.renew_by_bank(),
    ("refund", "fail"): lambda refund: refund.fail(),
    ("refund", "succeed"): lambda refund: refund.succeed(),
    ("webhook_endpoint", "become_thin"): lambda endpoint: endpoint.become_thin(),
    ("webhook_endpoint", "roll_secret"): lambda endpoint: {"secret": endpoint.roll_secret()},
    ("webhook_endpoint", "take_secret"): lambda endpoint, secret: endpoint.take_secret(secret),
}


class Fate:
    """Answers what is under /_pretend and names a thing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """The one place, for all deeds."""
        return [web.post("/_pretend/{kind}/{id}/{deed}", self._do)]

    async def _do(self, request: web.Request) -> web.Response:
        """Let it happen, and show what came of it: something new, or the thing itself."""
        words = await asked_of(request)
        place = request.match_info
        deed = DEEDS.get((place["kind"], place["deed"]))
        thing = self._desk.world.shelf.get(place["kind"], place["id"])
        if deed is None or thing is None:
            raise web.HTTPNotFound(text="There is no such thing, or nothing of the kind happens to it.")
        try:
            came_of_it = deed(thing, **words)
        except Refused as refused:
            raise bad(refused.message) from refused
        except TypeError as error:
            raise bad(f"Those are not the words for that: {error}") from error
        body = came_of_it if isinstance(came_of_it, dict) else thing.body
        return web.json_response(render_object(body, NEWEST) if "object" in body else body)
