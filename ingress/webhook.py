"""Stripe's door: `python -m ingress.webhook`.  POST /webhooks/stripe, 2xx when Kafka has it, and no database behind it.

`/livez` and `/readyz` are on the door itself, for whoever balances load.  Several processes share the port
(SO_REUSEPORT), so `/metrics` there would be those of any of them, and public: it is on the door only when that listens
on loopback and METRICS_PORT names no port of this process's own.
"""

import asyncio
import signal
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

import uvloop
from aiohttp import web
from prometheus_client import Counter

from ingress import signature
from ingress.answers import Answer, Words
from ingress.bodies import Bodies
from ingress.connections import Server, connection_of
from ingress.judge import Judge, doubted
from ingress.producer import Producer, Unacknowledged
from models.envelopes import Sealed
from models.topics import STRIPE_EVENTS
from runtime import clock, garbage, health, kafka, logs, tracing
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from runtime.metrics import LATENCY_SECONDS_BUCKETS, LoopHistogram
from runtime.settings import IngressSettings, load
from runtime.tracing import Span, SpanKind, Tracer

WEBHOOK_PATH: Final = "/webhooks/stripe"
BACKLOG: Final = 1_024
CLEANUP_SECONDS_MAX: Final = 1.0

REQUESTS = Counter("ingress_requests_total", "Requests at Stripe's door, by what became of them", ["outcome"])
COUNTS = {answer: REQUESTS.labels(answer.value) for answer in Answer}
SECONDS = LoopHistogram("ingress_request_seconds", "From headers to answer", buckets=LATENCY_SECONDS_BUCKETS)

log = logs.get_logger(__name__)


class Door:
    """Hears one request after another and answers each."""

    def __init__(
        self,
        settings: IngressSettings,
        keyring: Keyring,
        producer: Producer,
        failpoints: Failpoints,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        secrets = tuple(secret.get_secret_value().encode() for secret in settings.stripe_webhook_secrets)
        self._judge = Judge(secrets, keyring, livemode=settings.stripe_livemode)
        self._producer = producer
        self._failpoints = failpoints
        self._now = now
        self._words = Words(settings.retry_after_seconds)
        self._hearing_count = 0
        self._bodies = Bodies(settings.body_bytes_max, settings.bodies_bytes_max, settings.body_seconds_max)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request at all."""
        self._hearing_count += 1
        try:
            return await connection_of(request).answer(lambda: self._route(request))
        finally:
            self._hearing_count -= 1
            if self._hearing_count == 0:
                self._failpoints.rest()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case path if path == WEBHOOK_PATH:
                return await self._count(request)
            case "/livez" if request.method == "GET":
                return health.lives()
            case "/readyz" if request.method == "GET":
                return await health.ready_or_not(self._producer.ready)
            case "/metrics" if request.method == "GET" and shows_metrics(self._settings):
                return health.counted()
        return self._say(Answer.NO_SUCH_PLACE, request)

    async def _count(self, request: web.BaseRequest) -> web.StreamResponse:
        began = clock.monotonic()
        try:
            answer = await self._hear(request)
        except Exception as error:  # noqa: BLE001  # Whatever we got wrong, Stripe shall send it again.
            _tell_of(error)
            answer = Answer.OUR_BUG
        finally:
            SECONDS.observe(clock.monotonic() - began)
        return self._say(answer, request)

    def _say(self, answer: Answer, request: web.BaseRequest) -> web.StreamResponse:
        COUNTS[answer].inc()
        if connection_of(request).leaving or not request.content.is_eof():
            return self._words.last(answer)  # The rest of the body is not ours to wait for.
        return self._words.to(request, answer)

    async def _hear(self, request: web.BaseRequest) -> Answer:
        """From the cheapest question to the dearest: most of what is hostile ends before its body is read."""
        if request.method != "POST":
            return Answer.NO_SUCH_METHOD
        if refused := self._bodies.at_first_sight(request):
            return refused
        received_at = self._now()
        claim = signature.read(
            request.headers.get("Stripe-Signature"), received_at, self._settings.signature_age_seconds_max
        )
        if isinstance(claim, signature.Doubt):
            return doubted(claim)
        with self._bodies.holding() as body:
            if refused := await body.read(request):
                return refused
            return await self._answer(claim, body.whole(), received_at)

    async def _answer(self, claim: signature.Claim, body: bytes, received_at: datetime) -> Answer:
        verdict = await self._judged(claim, body, received_at)
        if isinstance(verdict, Answer):
            return verdict
        self._failpoints.reach("after_verify", (verdict.id,))
        try:
            return await self._pass_on(verdict)
        except Exception as error:  # noqa: BLE001  # As in `_count`, but here we know whose trouble it is.
            _tell_of(error, fact_id=verdict.id, topic=STRIPE_EVENTS.name)
            return Answer.OUR_BUG

    async def _judged(self, claim: signature.Claim, body: bytes, received_at: datetime) -> Sealed | Answer:
        return await self._judge.judge(claim, body, received_at)

    async def _pass_on(self, fact: Sealed) -> Answer:
        try:
            await self._publish(fact)
        except Unacknowledged:
            return Answer.UNACKNOWLEDGED
        self._failpoints.reach("after_produce_ack", (fact.id,))
        return Answer.ACCEPTED

    async def _publish(self, fact: Sealed) -> None:
        await self._producer.publish(fact.key, fact.value, fact.headers)


class TracedDoor(Door):
    """A door that of a sample of the requests also tells where their time went.

    What a request says of a trace of its own is not heard: Stripe says nothing, and the sampling is not for strangers.
    """

    def __init__(  # noqa: PLR0917  # A door's, and its tracer.
        self,
        settings: IngressSettings,
        keyring: Keyring,
        producer: Producer,
        failpoints: Failpoints,
        now: Callable[[], datetime],
        tracer: Tracer,
    ) -> None:
        super().__init__(settings, keyring, producer, failpoints, now)
        self._tracer = tracer
        self._request: ContextVar[Span | None] = ContextVar("request", default=None)

    async def _count(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._tracer.samples():
            return await super()._count(request)
        about: tracing.Attributes = {
            "http.request.method": request.method if request.method == "POST" else "_OTHER",
            "http.route": WEBHOOK_PATH,
            "url.path": WEBHOOK_PATH,
            "url.scheme": "http",
        }
        span = self._tracer.begin(f"POST {WEBHOOK_PATH}", SpanKind.SERVER, attributes=about)
        here = self._request.set(span)
        try:
            with tracing.lasting(span), tracing.named(span):
                answer = await super()._count(request)
                _tell_status(span, answer.status)
        finally:
            self._request.reset(here)
        return answer

    async def _judged(self, claim: signature.Claim, body: bytes, received_at: datetime) -> Sealed | Answer:
        span = self._request.get()
        if span is None:
            return await super()._judged(claim, body, received_at)
        with tracing.lasting(span.child("verify")):
            envelope = self._judge.verify(claim, body, received_at)
        if isinstance(envelope, Answer):
            return envelope
        with tracing.lasting(span.child("seal")):
            return self._judge.seal(envelope, body)

    async def _publish(self, fact: Sealed) -> None:
        request = self._request.get()
        if request is None:
            await super()._publish(fact)
            return
        topic = STRIPE_EVENTS.name
        about = tracing.sending(topic) | {"messaging.message.id": fact.id}
        with tracing.lasting(request.child(f"send {topic}", SpanKind.PRODUCER, about)) as span:
            span.tell(tracing.place(await self._producer.publish(fact.key, fact.value, [*fact.headers, span.header])))


def shows_metrics(settings: IngressSettings) -> bool:
    """Whether the door itself shows metrics: only to this machine, and only when nowhere else."""
    if settings.metrics_port is not None:
        return False
    try:
        return ip_address(settings.ingress_host).is_loopback
    except ValueError:
        return settings.ingress_host == "localhost"


async def serve(settings: IngressSettings, stop: asyncio.Event, tracer: Tracer | None = None) -> None:
    """Keep Stripe's door open until *stop*, then finish what is in hand."""
    producer = Producer(kafka.client_options(settings), settings.produce_seconds_max, clock.monotonic)
    keyring, failpoints = Keyring.from_file(settings.edge_keys_file), Failpoints(settings.failpoints_dir)
    if tracer is None:
        door = Door(settings, keyring, producer, failpoints, clock.now)
    else:
        door = TracedDoor(settings, keyring, producer, failpoints, clock.now, tracer)
    server = Server(door.handle, settings)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=CLEANUP_SECONDS_MAX)
    await runner.setup()
    await producer.start()
    aside = await _serve_metrics(settings, producer)
    site = web.TCPSite(runner, settings.ingress_host, settings.ingress_port, backlog=BACKLOG, reuse_port=True)
    await site.start()
    garbage.settle()
    log.info("the door is open", host=settings.ingress_host, port=settings.ingress_port)
    await stop.wait()
    log.info("the door closes")
    await site.stop()
    await server.finish(settings.stop_seconds_max)
    await runner.cleanup()
    await producer.stop(settings.produce_seconds_max)
    if aside is not None:
        await aside.cleanup()


async def _serve_metrics(settings: IngressSettings, producer: Producer) -> web.AppRunner | None:
    if settings.metrics_port is None:
        return None
    return await health.serve(settings.metrics_host, settings.metrics_port, producer.ready)


def _tell_of(error: Exception, **fact: str) -> None:
    """Log what broke and where, and with which fact; never its words, which may quote the body."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    log.error("bug", error=type(error).__name__, file=where.filename, line=where.lineno, **fact)


def _tell_status(span: Span, status: int) -> None:
    span.tell({"http.response.status_code": status})
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(status))


async def _run(settings: IngressSettings, tracer: Tracer | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, tracer)


def main() -> None:
    """Run Stripe's door as settings say, until SIGTERM."""
    settings = load(IngressSettings)
    logs.configure("ingress")
    tracer = tracing.configure("ingress", settings)
    with tracing.closing(tracer):
        uvloop.run(_run(settings, tracer))


if __name__ == "__main__":
    main()
