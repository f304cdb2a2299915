"""The strings behind the stage: clock, faults and journal, outside /v1.  No key is asked for."""

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from simulator.books import books_of
from simulator.clock import DAY_SECONDS
from simulator.happenings import Json
from simulator.server.desk import Desk
from simulator.server.replies import asked_of, bad

PREFIX: Final = "/_pretend"


class Control:
    """Answers what is under /_pretend."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """The places under /_pretend."""
        return [
            web.get(f"{PREFIX}/now", self._now),
            web.get(f"{PREFIX}/books", self._books),
            web.post(f"{PREFIX}/advance", self._advance),
            web.get(f"{PREFIX}/journal", self._journal),
            web.get(f"{PREFIX}/faults", self._faults),
            web.post(f"{PREFIX}/faults", self._add_fault),
            web.delete(f"{PREFIX}/faults", self._clear_faults),
        ]

    async def _now(self, _: web.Request) -> web.Response:
        return web.json_response(self._standing())

    async def _advance(self, request: web.Request) -> web.Response:
        """Let time pass: `{"seconds": n}`, `{"days": n}` or `{"to": second}`."""
        until = _until(await asked_of(request), self._desk.world.now)
        if until < self._desk.world.now:
            raise bad("Time does not go back.")
        await self._desk.advance(until)
        return web.json_response(self._standing())

    async def _books(self, _: web.Request) -> web.Response:
        """How everything truly stands, read off the objects and never off events; and how often what has happened."""
        world = self._desk.world
        books = books_of(world)
        return web.json_response(
            {
                "subscriptions": {of: asdict(state) for of, state in books.states.items()},
                **asdict(books.money),
                "events": Counter(one.type for one in world.happenings),
            }
        )

    async def _journal(self, _: web.Request) -> web.Response:
        return web.json_response(self._desk.journal.shown())

    async def _faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._desk.faults.shown())

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            self._desk.faults.add(await asked_of(request))
        except ValueError as error:
            raise bad(str(error)) from error
        return await self._faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._desk.faults.clear()
        return await self._faults(request)

    def _standing(self) -> Json:
        world = self._desk.world
        return {"now": world.now, "event_count": len(world.happenings)}


def _until(asked: dict[str, Any], now: int) -> int:
    """The second until which time shall pass."""
    match asked:
        case {"seconds": int(length), **others} if not others:
            return now + length
        case {"days": int(length), **others} if not others:
            return now + length * DAY_SECONDS
        case {"to": int(moment), **others} if not others:
            return moment
    raise bad("One of seconds, days or to is needed, and whole.")
