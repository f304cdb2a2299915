"""The bare door: aiohttp, an HMAC, produce, wait for the acknowledgement.  `python -m bench.bare.ingress`.

The same low-level server, event loop and producer settings as `ingress.webhook`, and nothing else of it: no limits, no
envelope, no key, no seal, no metrics.  With CONSTRUCT_EVENT the check is the library's, as its documentation shows it.
"""

import asyncio
import hmac
import signal
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

import stripe
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from bench.bare.settings import BareIngressSettings
from ops.local import ports
from runtime import kafka
from runtime.settings import load

BATCH_BYTES_MAX: Final = 262_144
BACKLOG: Final = 1_024

Check = Callable[[bytes, str], bool]


def signed(secret: bytes, body: bytes, header: str) -> bool:
    """Whether *header* holds the HMAC of *body*."""
    fields = dict(field.split("=", 1) for field in header.split(","))
    expected = hmac.new(secret, f"{fields['t']}.".encode() + body, sha256).hexdigest()
    return hmac.compare_digest(expected, fields["v1"])


def constructed(secret: str, body: bytes, header: str) -> bool:
    """Whether the library takes it for an event."""
    try:
        stripe.Webhook.construct_event(body, header, secret)
    except (ValueError, stripe.SignatureVerificationError):
        return False
    return True


class BareDoor:
    """Hears, checks, passes on."""

    def __init__(self, check: Check, producer: AIOKafkaProducer, topic: str) -> None:
        self._check = check
        self._producer = producer
        self._topic = topic

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 when Kafka has it."""
        body = await request.read()
        if not self._check(body, request.headers["Stripe-Signature"]):
            return web.Response(status=400)
        await self.pass_on(body)
        return web.Response()

    async def pass_on(self, body: bytes) -> None:
        """Return when Kafka has it."""
        await self._producer.send_and_wait(self._topic, body)


def check_of(settings: BareIngressSettings) -> Check:
    """The check that was asked for."""
    secret = settings.webhook_secret.get_secret_value()
    return partial(constructed, secret) if settings.construct_event else partial(signed, secret.encode())


async def serve(settings: BareIngressSettings, door_of: Callable[..., BareDoor] = BareDoor) -> None:
    """Keep the door open until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    producer = AIOKafkaProducer(
        **kafka.client_options(settings),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=BATCH_BYTES_MAX,
    )
    await producer.start()
    server = web.Server(door_of(check_of(settings), producer, settings.topic).handle, access_log=None)
    runner = web.ServerRunner(server, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, ports.HOST, settings.ingress_port, backlog=BACKLOG, reuse_port=True).start()
    await stop.wait()
    await runner.cleanup()
    await producer.stop()


def main() -> None:
    """Run until SIGTERM."""
    uvloop.run(serve(load(BareIngressSettings)))


if __name__ == "__main__":
    main()
