"""What decisions asked of Stripe: each is answered by a fact, and none is done twice or forgotten, whatever breaks."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consumers.facts import BODY_BYTES_MAX, Facts, Untold
from consumers.stripe_deeds import Deeds
from consumers.stripe_requests import Answers, Requests, Rounds, consumer_of
from models.base import Envelope, Source
from models.stripe_requests import Refund, Request, Retrieve, StripeRequested, Why
from models.topics import STRIPE_EVENTS, STRIPE_REQUESTS
from ops import topics
from ops.local import ports
from ops.local.providers import KafkaServer
from ops.local.waiting import until
from runtime import clock
from runtime.keys import Keyring, UnknownKey
from runtime.stripe_client import Answer, Asking, StripeClient, path
from runtime.stripe_patience import Patience
from store.outbox import EVENT_SOURCE, SPEC_VERSION
from tests.consumers.support_shop import make, paid
from tests.models.support_facts import moment
from tests.support_stripe import KEY, Pretend

MakeTopic = Callable[..., Awaitable[str]]
_numbers = itertools.count(1)


class Killed(BaseException):
    """As if by SIGKILL: nothing that comes after it is done."""


class DyingFacts(Facts):
    """The broker has the facts, and then the process dies before it can move its position."""

    async def tell(self, bodies: Sequence[bytes], received_at: datetime) -> None:
        await super().tell(bodies, received_at)
        raise Killed


class DeafFacts(Facts):
    """The broker is away for some tries."""

    tries = 3

    async def tell(self, bodies: Sequence[bytes], received_at: datetime) -> None:
        if self.tries:
            self.tries -= 1
            raise Untold("away")
        await super().tell(bodies, received_at)


class BadRelease(Deeds):
    """Our own bugs: one deed that breaks, one answer that no topic takes, one that shows nothing."""

    async def do(self, cause: str, request: Request) -> list[Answer]:
        match request:
            case Retrieve(object_id="breaks"):
                raise KeyError("the customer's secret")
            case Retrieve(object_id="large"):
                return [Answer({"id": "large", "object": "customer", "name": "x" * BODY_BYTES_MAX}, clock.now())]
            case Retrieve(object_id="empty"):
                return [Answer({}, clock.now())]
        return await super().do(cause, request)


@dataclass(frozen=True, slots=True)
class Post:
    """Where requests are put and facts are found."""

    options: dict[str, Any]
    requests: str
    facts: str
    keyring: Keyring
    deeds: Deeds
    group: str

    async def ask(self, *asked: Request | bytes) -> list[str]:
        """Put requests where the relay puts them; their ids."""
        ids = [f"evt-{next(_numbers)}" for _ in asked]
        producer = AIOKafkaProducer(**self.options)
        await producer.start()
        for cause, request in zip(ids, asked, strict=True):
            value = request if isinstance(request, bytes) else _said(request)
            await producer.send_and_wait(self.requests, value, key=b"ac_1", headers=_headers(cause))
        await producer.stop()
        return ids

    @asynccontextmanager
    async def answering(self, facts: type[Facts] = Facts) -> AsyncIterator[asyncio.Task[None]]:
        """The consumer at work."""
        consumer = consumer_of(self.options, self.group, self.requests)
        await consumer.start()
        async with facts(self.options, self.keyring, livemode=False, topic=self.facts) as telling:
            answers = Answers(self.deeds, telling, clock.now, livemode=False)
            rounds = Rounds(answers, Patience(pause_seconds_first=0.01, pause_seconds_max=0.05))
            working = asyncio.create_task(Requests(consumer, rounds, batch_max=100).run())
            yield working
            working.cancel()
            with suppress(asyncio.CancelledError, Killed):
                await working
        await consumer.stop()

    async def told(self) -> list[dict[str, Any]]:
        """Every fact so far, opened."""
        return [event for event, _ in await self.told_with_envelopes()]

    async def told_with_envelopes(self) -> list[tuple[dict[str, Any], Envelope]]:
        found = []
        for record in await _all_of(self.options, self.facts):
            headers = dict(record.headers)
            try:
                body = self.keyring.decrypt(headers["key_id"].decode(), record.value, headers["fact"])
            except (KeyError, UnknownKey):  # Another test's: a process of ours has but one topic to write to.
                continue
            envelope = Envelope.from_headers(headers)
            assert record.key == envelope.partition_key.encode()
            found.append((json.loads(body), envelope))
        return found

    async def position(self) -> int:
        """How far the group has come."""
        consumer = AIOKafkaConsumer(**self.options, group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        try:
            return await consumer.committed(TopicPartition(self.requests, 0)) or 0
        finally:
            await consumer.stop()

    async def until_at(self, offset: int) -> None:
        """Return when everything before *offset* is answered."""

        async def is_there() -> bool:
            return await self.position() == offset

        await until(is_there, 20)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    Keyring.generate(tmp_path / "edge.json", datetime.now(UTC))
    return Keyring.from_file(tmp_path / "edge.json")


@pytest.fixture
async def post(kafka: KafkaServer, topic: MakeTopic, keyring: Keyring, deeds: Deeds) -> Post:
    options = {"bootstrap_servers": kafka.bootstrap_servers}
    return Post(options, await topic(), await topic(partitions=3), keyring, deeds, f"requests-{next(_numbers)}")


def retrieve(name: str, kind: str = "customer", why: Why = Why.DRIFT) -> Retrieve:
    return Retrieve(object_kind=kind, object_id=name, why=why)


async def test_each_request_is_answered_by_what_stripe_shows_or_by_why_not(post: Post, client: StripeClient) -> None:
    customer = await make(client, "customers", metadata={"account_id": "acme"})
    intent = await paid(client)
    causes = await post.ask(
        retrieve(customer["id"]),
        retrieve("cus_nobody"),
        Refund(payment_intent_id=intent["id"], amount_minor=100),
        b"not a request",
        retrieve("acct_1", kind="account"),
    )

    async with post.answering():
        await post.until_at(5)

    told = {event["request"]["cause"]: (event, envelope) for event, envelope in await post.told_with_envelopes()}
    assert {cause: event["type"] for cause, (event, _) in told.items()} == {
        causes[0]: "customer.retrieved",
        causes[1]: "stripe.request.failed",
        causes[2]: "refund.retrieved",
        f"{post.requests}:0:3": "stripe.request.failed",
        causes[4]: "stripe.request.failed",
    }
    reasons = {event["data"]["object"].get("reason") for event, _ in told.values() if "failed" in event["type"]}
    assert reasons == {"resource_missing", "unreadable", "unknown_object_kind"}
    shown, envelope = told[causes[0]]
    assert shown["data"]["object"]["id"] == customer["id"]
    assert (envelope.source, envelope.customer, envelope.account) == (Source.STRIPE, customer["id"], "acme")


async def test_whoever_dies_before_moving_on_answers_again_and_gives_no_money_twice(
    post: Post, client: StripeClient, pretend: Pretend
) -> None:
    intent = await paid(client)
    await post.ask(Refund(payment_intent_id=intent["id"], amount_minor=100))

    async with post.answering(DyingFacts) as working:
        with pytest.raises(Killed):
            await working
    assert await post.position() == 0
    async with post.answering():
        await post.until_at(1)

    assert [event["type"] for event in await post.told()] == ["refund.retrieved"] * 2
    assert len(pretend.things("refund")) == 1


async def test_while_the_broker_is_away_nothing_is_forgotten_and_nothing_done_twice(
    post: Post, client: StripeClient, pretend: Pretend
) -> None:
    intent = await paid(client)
    await post.ask(*(Refund(payment_intent_id=intent["id"], amount_minor=100 + number) for number in range(5)))

    async with post.answering(DeafFacts):
        await post.until_at(5)

    given_back = [refund["amount"] for refund in reversed(pretend.things("refund"))]
    assert given_back == [100, 101, 102, 103, 104], "one after the other, as they were asked"
    assert sorted(event["data"]["object"]["amount"] for event in await post.told()) == given_back


@pytest.mark.parametrize("kind", ["reset", "error", "hang"])
async def test_while_stripe_is_away_requests_wait_and_then_all_are_answered(
    post: Post, client: StripeClient, pretend: Pretend, kind: str
) -> None:
    customer = await make(client, "customers")
    await post.ask(retrieve(customer["id"]), retrieve("cus_nobody"))
    pretend.fault(kind)

    async with post.answering():
        await until(lambda: any(entry.fault for entry in pretend.desk.journal.entries), 10)
        assert await post.position() == 0
        assert not await post.told()
        pretend.heal()
        await post.until_at(2)

    assert [event["type"] for event in await post.told()] == ["customer.retrieved", "stripe.request.failed"]


async def test_fifty_who_want_to_see_one_object_ask_once(post: Post, client: StripeClient, pretend: Pretend) -> None:
    customer = await make(client, "customers")
    await post.ask(*[retrieve(customer["id"])] * 50)

    async with post.answering():
        await post.until_at(50)

    assert len(list(pretend.asked("GET", path("customers", customer["id"])))) == 1
    assert len(await post.told()) == 1


async def test_a_third_of_all_requests_broken_every_refund_is_made_once_and_told(
    post: Post, client: StripeClient, pretend: Pretend
) -> None:
    intents = [await paid(client) for _ in range(5)]
    sums = [(intent["id"], 100 + number) for intent in intents for number in range(4)]
    faults = [pretend.fault(kind, path="/v1/refunds", share=0.15) for kind in ("error", "error_after", "reset_after")]
    faults += [pretend.fault(kind, path="/v1/refunds", count=1) for kind in ("rate_limit", "hang_after")]
    await post.ask(*(Refund(payment_intent_id=intent, amount_minor=amount) for intent, amount in sums))

    async with post.answering():
        await post.until_at(20)

    assert all(fault.struck for fault in faults)
    assert Counter((one["payment_intent"], one["amount"]) for one in pretend.things("refund")) == Counter(sums)
    told = [event["data"]["object"] for event in await post.told()]
    assert Counter((one["payment_intent"], one["amount"]) for one in told) == Counter(sums)


async def test_our_own_mistake_is_told_and_holds_up_nobody(post: Post, client: StripeClient) -> None:
    customer = await make(client, "customers")
    await post.ask(*(retrieve(name) for name in ("breaks", "large", "empty", customer["id"])))

    async with replace(post, deeds=BadRelease(client, Asking())).answering():
        await post.until_at(4)

    told = {event["data"]["object"]["id"]: event["data"]["object"].get("reason") for event in await post.told()}
    assert told == {
        "breaks": "our_mistake",
        "large": "answer_too_large",
        "empty": "our_mistake",
        customer["id"]: None,
    }


async def test_the_process_starts_by_its_settings_answers_and_ends_when_told(
    kafka: KafkaServer, keyring: Keyring, tmp_path: Path, client: StripeClient, pretend: Pretend
) -> None:
    customer = await make(client, "customers")
    options = {"bootstrap_servers": kafka.bootstrap_servers}
    async with topics.connected(options, wanted=(STRIPE_EVENTS, STRIPE_REQUESTS)) as ours:
        await ours.apply()
    group, port = f"requests-{next(_numbers)}-{ports.free_port()}", ports.free_port()
    post = Post(options, STRIPE_REQUESTS.name, STRIPE_EVENTS.name, keyring, Deeds(client, Asking()), group)
    (cause,) = await post.ask(retrieve(customer["id"]))
    told = {
        "PATH": os.environ["PATH"],
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_GROUP": group,
        "EDGE_KEYS_FILE": str(tmp_path / "edge.json"),
        "STRIPE_API_KEY": KEY,
        "STRIPE_API_BASE": pretend.address,
        "METRICS_PORT": str(port),
        "SETTLE_SECONDS": "0.1",
    }
    one = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consumers.stripe_requests", env=told, stderr=asyncio.subprocess.PIPE
    )
    try:
        await until(lambda: _has_answered(port), 30)
    finally:
        one.send_signal(signal.SIGTERM)
        _, log = await one.communicate()
    assert one.returncode == 0, log.decode()
    assert KEY not in log.decode()
    assert cause in {event["request"]["cause"] for event in await post.told()}


async def _has_answered(port: int) -> bool:
    """Whether the process has counted an answer."""
    with suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as asking, asking.get("/metrics") as counted:
            return 'answered_total{outcome="shown"} 1.0' in await counted.text()
    return False


async def _all_of(options: dict[str, Any], name: str) -> list[Any]:
    """Every record of a topic, a partition after the other."""
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.set_topics([name])
        places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        for place in places:
            while await consumer.position(place) < ends[place]:
                found += (await consumer.getmany(place, timeout_ms=1_000)).get(place, [])
        return found
    finally:
        await consumer.stop()


def _said(request: Request) -> bytes:
    subject = request.object_id if isinstance(request, Retrieve) else "x_1"
    event = StripeRequested(subject=subject, account_id="ac_1", as_of=moment(0), request=request)
    return event.model_dump_json().encode()


def _headers(cause: str) -> list[tuple[str, bytes]]:
    told = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": cause,
        "ce_type": "billing.stripe.requested.v1",
        "ce_source": EVENT_SOURCE,
        "ce_subject": "x_1",
        "ce_time": "2026-01-01T00:00:00Z",
        "content-type": "application/json",
    }
    return [(name, value.encode()) for name, value in told.items()]
