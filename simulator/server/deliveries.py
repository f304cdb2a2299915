"""What the couriers do, to look at and to disturb: under /_pretend, in no shape of Stripe's."""

from typing import Final

from aiohttp import web

from simulator.server.couriers import Couriers
from simulator.server.replies import asked_of, bad
from simulator.webhooks import Disorder

PLACE: Final = "/_pretend/deliveries"
FILTERS: Final = ("event_id", "type", "endpoint")


class Deliveries:
    """Answers what is under /_pretend/deliveries, and /_pretend/disorder."""

    def __init__(self, couriers: Couriers) -> None:
        self._couriers = couriers

    def routes(self) -> list[web.RouteDef]:
        """The places."""
        return [
            web.get(PLACE, self._list),
            web.get(f"{PLACE}/summary", self._summary),
            web.get("/_pretend/disorder", self._disorder),
            web.post("/_pretend/disorder", self._disturb),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Every try, oldest first: `after=number` for what came since, `event_id`, `type`, `endpoint` for some only."""
        after = request.query.get("after", "0")
        if not after.isdecimal():
            raise bad("after is the number of a try.")
        chosen = {name: request.query[name] for name in FILTERS if name in request.query}
        return web.json_response(self._couriers.shown(int(after), **chosen))

    async def _summary(self, _: web.Request) -> web.Response:
        return web.json_response(self._couriers.counted())

    async def _disorder(self, _: web.Request) -> web.Response:
        disorder = self._couriers.disorder
        return web.json_response({name: getattr(disorder, name) for name in Disorder.__dataclass_fields__})

    async def _disturb(self, request: web.Request) -> web.Response:
        """From now on: `{"drop_share": 0.2, "duplicate_share": 0.05, "shuffle_seconds": 60}`; what is not said is 0."""
        try:
            self._couriers.disorder = Disorder(**await asked_of(request))
        except (TypeError, ValueError) as error:
            raise bad(str(error)) from error
        return await self._disorder(request)
