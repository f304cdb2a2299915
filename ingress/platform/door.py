"""The platform's door: hears one request after another, from the cheapest question to the dearest, and answers each.

Whatever happens, the answer comes within 5 s of the body: 0.9 s for the key, the request's own time, and a moment to
keep the answer or to let the request go.
"""

import re
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Final, TypeVar

from aiohttp import web
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ingress.answers import Answer
from ingress.bodies import Bodies
from ingress.connections import connection_of
from ingress.platform import openapi, problems, routes
from ingress.platform.callers import Callers, Pace
from ingress.platform.calls import Call, Caller, Time, Tools
from ingress.platform.onces import Onces, Said
from ingress.platform.patience import Patience
from ingress.platform.places import Places
from ingress.platform.problems import SEND_AGAIN, Problem, Word, Wrong
from ingress.platform.routes import Route
from ingress.platform.shapes import SubscriptionAsked
from models.base import Model
from models.customers import account_of_platform
from runtime import clock, health
from runtime.keys import Keyring
from runtime.logs import get_logger
from runtime.metrics import LATENCY_SECONDS_BUCKETS
from runtime.settings import PlatformSettings
from runtime.stripe_client import StripeTrouble
from store import door_requests
from store.door_requests import Asked, Claimed
from store.postgres import is_transient

KEY_SECONDS_MAX: Final = 0.9
NAME: Final = re.compile(r"[a-z_]{1,40}")
"""What a field's name looks like.  Anything else is not repeated: somebody may have put a value in its place."""

ERRORS_MAX: Final = 20

REFUSALS_OF_BODIES: Final = {
    Answer.ENCODED: Problem(Word.NOT_JSON, "Send it as it is, without Content-Encoding."),
    Answer.TOO_LARGE: Problem(Word.TOO_LARGE, "No request needs so much."),
    Answer.TOO_SLOW: Problem(Word.TOO_SLOW, "Send the body with its headers."),
    Answer.BROKEN_HTTP: Problem(Word.NOT_HTTP, "The body breaks off, or is framed wrongly."),
    Answer.CROWDED: Problem(Word.NOT_NOW, f"Too much is being read at once. {SEND_AGAIN}", retry_after_seconds=1),
}

REQUESTS: Final = Counter("platform_requests", "Requests at the platform's door", ["route", "status"])
SECONDS: Final = Histogram(
    "platform_request_seconds", "From headers to answer", ["route"], buckets=LATENCY_SECONDS_BUCKETS
)

ResultT = TypeVar("ResultT")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A request whose caller is known."""

    route: Route
    ids: Mapping[str, str]
    caller: Caller
    correlation_id: str
    time: Time


class Door:
    """Answers requests."""

    def __init__(self, settings: PlatformSettings, tools: Tools, keyring: Keyring, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._tools = tools
        self._callers = Callers(tools.tables, now, livemode=settings.stripe_livemode)
        self._pace = Pace(settings.key_requests_per_minute)
        self._now = now
        self._bodies = Bodies(settings.body_bytes_max, settings.bodies_bytes_max, settings.body_seconds_max)
        self._described = openapi.as_bytes()
        self._patience = Patience()
        self._places = Places(settings.callers_max)
        self.onces = Onces(tools.tables, keyring)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request at all."""
        return await connection_of(request).answer(lambda: self._answer(request))

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        response = await self._route(request)
        response.headers["Server"] = "billstream"
        if connection_of(request).leaving or not request.content.is_eof():
            response.force_close()  # The rest of the body is not ours to wait for.
        return response

    async def _route(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "GET", "/livez":
                return health.lives()
            case "GET", "/readyz":
                return await health.ready_or_not(self._tools.tables.ping)
            case "GET", "/openapi.json":
                return web.Response(body=self._described, content_type="application/json")
        return await self._count(request)

    async def _count(self, request: web.BaseRequest) -> web.Response:
        """The answer to a request for what the table of routes holds, counted by its route."""
        began, name, correlation_id = clock.monotonic(), "none", f"req_{token_hex(12)}"
        headers: dict[str, str] = {}
        try:
            route, ids = routes.find(request.method, request.raw_path.partition("?")[0])
            name = route.name
            said = await self._hear(request, route, ids, correlation_id)
        except Problem as problem:
            said, headers = _said(problem, correlation_id), problem.headers()
        finally:
            SECONDS.labels(name).observe(clock.monotonic() - began)
        REQUESTS.labels(name, said.status).inc()
        return _response(said, headers, correlation_id)

    async def _hear(self, request: web.BaseRequest, route: Route, ids: Mapping[str, str], correlation_id: str) -> Said:
        if route.writes:
            self._at_first_sight(request)
        caller = await self._within(
            KEY_SECONDS_MAX, self._callers.identify(request.headers.get("Authorization"), route.scope)
        )
        await self._pace.take(caller, self._now())
        if not route.writes:
            heard = self._heard(route, ids, caller, correlation_id)
            return await self._in_time(heard, self._show(heard))
        key = _idempotency_key(request)
        with self._bodies.holding() as body:
            if refused := await body.read(request):
                raise REFUSALS_OF_BODIES[refused]
            sent = body.whole()
            heard = self._heard(route, ids, caller, correlation_id)
            return await self._in_time(heard, self._do_once(heard, key, sent))

    def _at_first_sight(self, request: web.BaseRequest) -> None:
        """Refuse what its headers alone deserve."""
        if refused := self._bodies.at_first_sight(request):
            raise REFUSALS_OF_BODIES[refused]
        if request.content_type != openapi.JSON:
            raise Problem(Word.NOT_JSON, "Content-Type must be application/json.")

    def _heard(self, route: Route, ids: Mapping[str, str], caller: Caller, correlation_id: str) -> _Heard:
        time = Time(clock.monotonic() + self._settings.platform_seconds_max, clock.monotonic)
        return _Heard(route, ids, caller, correlation_id, time)

    async def _in_time(self, heard: _Heard, answer: Coroutine[Any, Any, Said]) -> Said:
        return await self._within(heard.time.left, answer)

    async def _within(self, seconds_max: float, answer: Coroutine[Any, Any, ResultT]) -> ResultT:
        """What comes of it in that time.  Everything that goes wrong on the way ends as a problem."""
        try:
            return await self._patience.wait(answer, seconds_max)
        except Problem:
            raise
        except StripeTrouble as trouble:
            raise Problem.of_stripe(trouble) from None
        except TimeoutError:
            raise Problem(Word.NO_ANSWER_IN_TIME, SEND_AGAIN, retry_after_seconds=1) from None
        except Exception as error:  # noqa: BLE001  # Whatever we got wrong, the caller hears that it was us.
            raise self._not_theirs(error) from None

    def _not_theirs(self, error: Exception) -> Problem:
        """The database's trouble, or a bug of ours."""
        if is_transient(error):
            log.warning("the database is away", error=type(error).__name__)
            return Problem(Word.NOT_NOW, SEND_AGAIN, retry_after_seconds=self._settings.retry_after_seconds)
        _tell_of(error)
        return Problem(Word.OUR_MISTAKE, SEND_AGAIN)

    async def _show(self, heard: _Heard) -> Said:
        return _shown(heard.route, await heard.route.act(self._call(heard)))

    async def _do_once(self, heard: _Heard, key: str, sent: bytes) -> Said:
        assert heard.route.body is not None, "what is done has a body"
        body = _read(heard.route.body, sent)
        asked = _asked(heard, key, sent)

        async def carry(claimed: Claimed) -> Said:
            call = self._call(heard, body, asked, claimed)
            async with self._places.place(heard.time.left):
                try:
                    return _shown(heard.route, await heard.route.act(call))
                except StripeTrouble as trouble:
                    raise Problem.of_stripe(trouble) from None

        said = await self.onces.once(asked, carry, lambda problem: _said(problem, heard.correlation_id))
        _tell_answered(heard, said)
        return said

    def _call(
        self, heard: _Heard, body: BaseModel | None = None, asked: Asked | None = None, claimed: Claimed | None = None
    ) -> Call:
        if asked is None or claimed is None:
            return Call(self._tools, heard.caller, heard.ids, heard.time)

        async def aim(target: str) -> None:
            async with self._tools.tables.connection() as connection:
                await door_requests.aim(connection, asked, target)

        return Call(
            tools=self._tools,
            caller=heard.caller,
            ids=heard.ids,
            time=heard.time,
            body=body,
            idempotency_key=asked.idempotency_key,
            again=claimed.again,
            target=claimed.target,
            aim=aim,
        )


def _asked(heard: _Heard, key: str, sent: bytes) -> Asked:
    where = heard.route.template.format(**heard.ids)
    told = sha256(b"\n".join([heard.route.method.encode(), where.encode(), sent])).digest()
    return Asked(heard.caller.lineage, key, heard.caller.key_id, told, claim_id=token_hex(8))


def _idempotency_key(request: web.BaseRequest) -> str:
    given = request.headers.getall("Idempotency-Key", [])
    if len(given) != 1 or not re.fullmatch(openapi.IDEMPOTENCY_KEY_PATTERN, given[0]):
        right = "must be given once, with 1 to 255 printable characters: a UUID for each thing to be done, say"
        raise Problem.with_field(Word.IDEMPOTENCY_KEY_INVALID, "Idempotency-Key", right)
    return given[0]


def _read(shape: type[BaseModel], sent: bytes) -> BaseModel:
    """The body in its shape; the problem says field by field what would be right."""
    try:
        return shape.model_validate_json(sent)
    except ValidationError as wrong:
        found = wrong.errors(include_url=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in found):
        raise Problem(Word.BODY_UNREADABLE, "It must be one JSON object, in UTF-8.")
    choices = shape.choices() if issubclass(shape, SubscriptionAsked) else frozenset()
    errors = tuple(dict.fromkeys(_wrong(one, choices) for one in found[:ERRORS_MAX]))
    raise Problem(Word.BODY_INVALID, "; ".join(f"{one.field}: {one.right}" for one in errors), errors)


def _wrong(one: ErrorDetails, choices: frozenset[str]) -> Wrong:
    """One field and what would be right in it.  What stands there is not repeated, nor a name that may be a value."""
    names = [str(part) for part in one["loc"] if part not in choices]
    field = ".".join(names) if all(NAME.fullmatch(name) for name in names) else "(a field of another name)"
    match one["type"]:
        case "extra_forbidden":
            return Wrong(field=field, right="is not known here: leave it out")
        case "union_tag_invalid" | "union_tag_not_found":
            return Wrong(field="action", right=f"must be one of {', '.join(sorted(choices))}")
    return Wrong(field=field or "body", right=one["msg"].removeprefix("Value error, "))


def _shown(route: Route, shown: Model) -> Said:
    return Said(route.status, shown.model_dump_json().encode())


def _said(problem: Problem, correlation_id: str) -> Said:
    return Said(problem.status, problem.shown(correlation_id).model_dump_json().encode())


def _response(said: Said, headers: Mapping[str, str], correlation_id: str) -> web.Response:
    fine = said.status < HTTPStatus.BAD_REQUEST
    response = web.Response(
        status=said.status,
        body=said.body,
        content_type=openapi.JSON if fine else problems.CONTENT_TYPE,
        headers={"Correlation-Id": correlation_id, "Cache-Control": "no-store", **headers},
    )
    if said.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _tell_answered(heard: _Heard, said: Said) -> None:
    """The audit's line: who did what to whom.  What was sent and answered is in no log, nor what a platform calls its
    accounts: it may be somebody's address.
    """
    whose = {f"{name}_id": account_of_platform(one) if name == "account" else one for name, one in heard.ids.items()}
    log.info(
        "a write was answered",
        deed=heard.route.name,
        key_id=heard.caller.key_id,
        correlation_id=heard.correlation_id,
        status=int(said.status),
        replayed=said.replayed,
        **whose,
    )


def _tell_of(error: Exception) -> None:
    """Log what broke and where; never its words, which may quote the body."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    log.error("bug", error=type(error).__name__, file=where.filename, line=where.lineno)
