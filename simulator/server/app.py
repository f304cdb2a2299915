"""The way of a request: key, place, limit, form, idempotency, the deed, the answer; and whatever goes wrong on it.

What fails before the deed was begun leaves no trace; what fails after it has an answer that is kept.
"""

import asyncio
import json
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server import expand
from simulator.server.desk import Desk
from simulator.server.errors import error_of, our_fault, too_fast
from simulator.server.faults import Fault, FaultKind
from simulator.server.forms import Raw, read_form
from simulator.server.idempotency import Saved
from simulator.server.journal import Entry, summary, without_secrets
from simulator.server.keys import check_key
from simulator.server.parameters import many, text
from simulator.server.requests import Asking
from simulator.server.routes import Call, Route, Routes
from simulator.server.show import show
from simulator.server.versions import shape_version
from simulator.shapes import wire

BODY_BYTES_MAX: Final = 1 << 19

_EXPAND: Final = many(text)
_BREAKS: Final = frozenset({FaultKind.HANG, FaultKind.RESET})
_BREAKS_AFTER: Final = frozenset({FaultKind.HANG_AFTER, FaultKind.RESET_AFTER})
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER without lingering: the peer reads a reset, not an end.


class Lost(Exception):
    """There will be no answer: a fault took the connection."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class _Understood:
    """A request as far as it can be understood before anything is done."""

    route: Route
    call: Call
    expand: list[str]
    api_version: str
    idempotency_key: str | None
    asked: str

    @property
    def may_be_repeated(self) -> bool:
        """Whether there is a key under which its answer is kept."""
        return bool(self.idempotency_key) and self.route.method == "POST"


class Api:
    """Answers every request under /v1 and /v2."""

    def __init__(self, desk: Desk, routes: Routes) -> None:
        self._desk = desk
        self._routes = routes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to any request at all, or a broken connection where a fault asks for one."""
        entry = self._desk.journal.open(_entry(self._desk, request))
        try:
            saved = await self._answer(request, entry)
        except Refused as refused:
            saved = self._refusal(refused, entry, self._desk.api_version)
        except Lost as lost:
            return await self._lose(request, lost.fault)
        entry.status = saved.status
        return _response(saved, entry)

    async def _answer(self, request: web.Request, entry: Entry) -> Saved:
        """Lead the request to its end."""
        desk = self._desk
        check_key(request.headers.get("Authorization"))
        route, ids = self._routes.find(request.method, request.path)
        fault = desk.faults.draw(request.method, request.path)
        entry.fault = fault.kind if fault else None
        _strike_first(fault)
        if not desk.bucket.lets_through():
            raise too_fast()
        understood = await self._understand(request, entry, route, ids)
        if not understood.may_be_repeated:
            saved = await self._begin(understood, entry, fault)
        else:
            saved = await self._begin_once(understood, entry, fault)
        if fault and fault.kind in _BREAKS_AFTER and not entry.replayed:
            raise Lost(fault)
        return saved

    async def _understand(self, request: web.Request, entry: Entry, route: Route, ids: dict[str, str]) -> _Understood:
        raw = await _raw(request)
        entry.params = without_secrets(raw)
        paths = raw.pop("expand", {})
        asked = json.dumps([request.method, request.path, raw, paths], sort_keys=True)
        return _Understood(
            route=route,
            call=Call(self._desk, request.path, ids, route.accepts.read(raw)),
            expand=expand.checked(_EXPAND("expand", {"0": paths} if isinstance(paths, str) else paths)),
            api_version=shape_version(request.headers.get("Stripe-Version", self._desk.api_version)),
            idempotency_key=request.headers.get("Idempotency-Key"),
            asked=asked,
        )

    async def _begin_once(self, understood: _Understood, entry: Entry, fault: Fault | None) -> Saved:
        """Do it, unless it was done: then what was answered is answered again."""
        keys, key = self._desk.keys, understood.idempotency_key or ""
        saved = keys.claim(key, understood.asked, self._desk.world.now)
        if saved:
            entry.replayed, entry.fault = True, None
            if fault:
                fault.spare()
            return saved
        try:
            saved = await self._begin(understood, entry, fault)
            keys.save(key, saved)
        finally:
            keys.release(key)
        return saved

    async def _begin(self, understood: _Understood, entry: Entry, fault: Fault | None) -> Saved:
        """Do it, and have an answer whatever comes."""
        version = understood.api_version
        if fault and fault.kind is FaultKind.SLOW:
            await self._pause(fault.pause_seconds)
        if fault and fault.kind is FaultKind.ERROR:
            return self._refusal(our_fault(), entry, version)
        try:
            body = self._do(understood, entry)
        except Refused as refused:
            return self._refusal(refused, entry, version)
        except Exception as error:  # noqa: BLE001  # The pretend Stripe's own bug: a 500 that says so.
            traceback.print_exc(file=sys.stderr)
            return self._refusal(our_fault(f"The pretend Stripe broke: {error!r}"), entry, version)
        if fault and fault.kind is FaultKind.ERROR_AFTER:
            return self._refusal(our_fault(), entry, version)
        return Saved(200, wire(body), entry.request_id)

    def _do(self, understood: _Understood, entry: Entry) -> Json:
        """The deed: between two awaits, and the world knows whose request it is."""
        world = self._desk.world
        world.request = Asking(entry.request_id, understood.idempotency_key)
        try:
            answer = understood.route.answer(understood.call)
        finally:
            world.request = None
        shown = show(self._desk, answer, understood.api_version, understood.expand)
        entry.answer = summary(shown)
        return shown

    def _refusal(self, refused: Refused, entry: Entry, api_version: str) -> Saved:
        told = error_of(refused, entry.request_id, api_version)
        entry.error = without_secrets(told["error"])
        return Saved(refused.status, wire(told), entry.request_id)

    async def _lose(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """Give no answer: at once, or after everybody has lost patience."""
        if fault.kind in {FaultKind.HANG, FaultKind.HANG_AFTER}:
            await self._pause(fault.pause_seconds)
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
            request.transport.abort()
        return web.Response()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when all are leaving."""
        try:
            await asyncio.wait_for(self._desk.leaving.wait(), seconds)
        except TimeoutError:
            return


def _strike_first(fault: Fault | None) -> None:
    """What strikes before anybody has looked at the request."""
    if fault and fault.kind in _BREAKS:
        raise Lost(fault)
    if fault and fault.kind is FaultKind.RATE_LIMIT:
        raise too_fast()


def _entry(desk: Desk, request: web.Request) -> Entry:
    return Entry(
        request_id=desk.dice.identifier("req", 14),
        at=desk.world.now,
        method=request.method,
        path=without_secrets(request.path),
        idempotency_key=request.headers.get("Idempotency-Key"),
        stripe_version=request.headers.get("Stripe-Version"),
    )


async def _raw(request: web.Request) -> dict[str, Raw]:
    """What the request says, in its query and in its form."""
    try:
        body = await request.text()
    except (UnicodeDecodeError, LookupError) as error:
        raise Refused("Invalid request: the form is not UTF-8.") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(f"Invalid request: it has {BODY_BYTES_MAX} bytes at most.", status=413) from error
    pairs = [pair for said in (request.rel_url.raw_query_string, body) for pair in parse_qsl(said, True)]
    return read_form(pairs)


def _response(saved: Saved, entry: Entry) -> web.Response:
    headers = {
        "Request-Id": entry.request_id,
        "Content-Type": "application/json",
        "Date": formatdate(entry.at, usegmt=True),  # By the world's clock, as all that is shown.
    }
    if entry.stripe_version:
        headers["Stripe-Version"] = entry.stripe_version
    if entry.idempotency_key:
        headers["Idempotency-Key"] = entry.idempotency_key
    if entry.replayed:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": saved.request_id}
    if saved.status == web.HTTPTooManyRequests.status_code:
        headers["Retry-After"] = "1"
    if saved.status >= web.HTTPInternalServerError.status_code and entry.idempotency_key:
        headers["Stripe-Should-Retry"] = "false"  # It is kept: whoever asks again is answered the same.
    return web.Response(body=saved.body, status=saved.status, headers=headers)
