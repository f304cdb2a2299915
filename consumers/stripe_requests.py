"""`python -m consumers.stripe_requests`: asks Stripe what decisions asked, and tells each answer as a fact.

Its position is Kafka's, and is moved only when the broker has the answer to everything before it: what cannot be had is
answered too, by a fact that says why.  A crash on the way means that some of it is read again; then the deeds have the
same names, and Stripe does none of them twice.  While Stripe or Kafka are away, the requests in hand are kept and asked
again, round by round, for as long as it takes.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from random import random
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Counter, Gauge

from consumers.facts import BODY_BYTES_MAX, Facts, Untold
from consumers.stripe_deeds import Deeds
from consumers.stripe_lanes import Asked, Lane, lanes, read, settles_in
from models import stripe_answers
from models.stripe_answers import Failure, Told
from models.topics import STRIPE_REQUESTS
from runtime import clock, garbage, health, kafka, logs, settings
from runtime.keys import Keyring
from runtime.settings import StripeRequestsSettings
from runtime.stripe_client import API_VERSION, Answer, Asking, Refused, StripeClient, StripeTrouble
from runtime.stripe_patience import Patience

PROCESS: Final = "stripe-requests"
HELD_SECONDS_MAX: Final = 24 * 60 * 60
"""How long requests may be in hand while Stripe is away.  Heartbeats go on meanwhile, so a dead process is seen."""

UNREADABLE: Final = "unreadable"
TOO_LARGE: Final = "answer_too_large"
OUR_MISTAKE: Final = "our_mistake"

ANSWERED: Final = Counter(
    "stripe_requests_answered", "Requests that have their fact, by what became of them", ["outcome"]
)
POSTPONED: Final = Counter("stripe_requests_postponed", "Requests that wait for the next round, by why", ["reason"])
IN_HAND: Final = Gauge("stripe_requests_in_hand", "Requests that were read and are not answered")

log = logs.get_logger(__name__)


class Answers:
    """Does what was asked, and tells what came of it."""

    def __init__(
        self, deeds: Deeds, facts: Facts, now: Callable[[], datetime], *, livemode: bool, settle_seconds: float = 0.0
    ) -> None:
        self._settle_seconds = settle_seconds
        self._deeds = deeds
        self._facts = facts
        self._now = now
        self._livemode = livemode

    async def go_on(self, lane: Lane) -> StripeTrouble | Untold | None:
        """Answer what is in a lane, in order; what kept it from its end, if anything did."""
        while lane:
            try:
                await self._answer(lane[0])
            except (StripeTrouble, Untold) as trouble:
                POSTPONED.labels(_reason(trouble)).inc()
                return trouble
            lane.popleft()
            IN_HAND.dec()
        return None

    async def _answer(self, asked: Asked) -> None:
        await asyncio.sleep(settles_in(asked, self._now(), self._settle_seconds))
        bodies, outcome = await self._bodies(asked)
        await self._facts.tell(bodies, self._now())
        ANSWERED.labels(outcome).inc()

    async def _bodies(self, asked: Asked) -> tuple[list[bytes], str]:
        """What is to be told, and in a word what it is.  Raises what may be otherwise the next time."""
        if asked.request is None:
            return [self._failed(asked, Refused(UNREADABLE))], UNREADABLE
        try:
            answers = await self._deeds.do(asked.cause, asked.request)
            bodies = [stripe_answers.shown(answer.object, self._told(asked, answer)) for answer in answers]
        except Refused as refused:
            return [self._failed(asked, refused)], "refused"
        except StripeTrouble:
            raise
        except Exception:  # Whatever we did wrong, the others behind it are not to wait for its repair.
            log.exception("a request could not be carried out", cause=asked.cause, kind=asked.request.kind)
            return [self._failed(asked, Refused(OUR_MISTAKE))], OUR_MISTAKE
        if max(map(len, bodies)) > BODY_BYTES_MAX:
            return [self._failed(asked, Refused(TOO_LARGE))], TOO_LARGE
        return bodies, "shown"

    def _told(self, asked: Asked, answer: Answer) -> Told:
        return Told(
            cause=asked.cause,
            answered_at=answer.answered_at,
            api_version=API_VERSION,
            livemode=self._livemode,
            request_id=answer.request_id,
            idempotency_key=answer.idempotency_key,
        )

    def _failed(self, asked: Asked, refused: Refused) -> bytes:
        log.warning("stripe will not", cause=asked.cause, subject=asked.subject, reason=refused.reason)
        failure = Failure(
            subject=asked.subject,
            kind=asked.request.kind if asked.request else None,
            reason=refused.reason,
            customer=asked.customer,
            status=refused.status,
            param=refused.param,
        )
        return stripe_answers.failed(failure, Told(asked.cause, self._now(), API_VERSION, self._livemode))


class Rounds:
    """Goes round with what is in hand until all of it is answered."""

    def __init__(self, answers: Answers, patience: Patience, die: Callable[[], float] = random) -> None:
        self._answers = answers
        self._patience = patience
        self._die = die

    async def finish(self, asked: Sequence[Asked]) -> None:
        """Return when the broker has the answer to each."""
        left, tries = lanes(asked), 0
        IN_HAND.set(sum(map(len, left)))
        while left:
            troubles = await asyncio.gather(*(self._answers.go_on(lane) for lane in left))
            left = [lane for lane in left if lane]
            if left:
                tries += 1
                reasons = sorted({_reason(trouble) for trouble in troubles if trouble})
                log.warning("requests wait for the next round", lanes=len(left), reasons=reasons)
                await asyncio.sleep(self._pause(tries))

    def _pause(self, tries: int) -> float:
        """There is no last round: what was asked for is not forgotten because it took long."""
        return self._patience.pause(min(tries, self._patience.retries_max), float("inf"), self._die()) or 0.0


class Requests:
    """The topic, read batch by batch."""

    def __init__(self, consumer: AIOKafkaConsumer, rounds: Rounds, batch_max: int) -> None:
        self._consumer = consumer
        self._rounds = rounds
        self._batch_max = batch_max

    async def run(self) -> None:
        """Answer what is asked, until cancelled."""
        while True:
            batch = await self._consumer.getmany(timeout_ms=1_000, max_records=self._batch_max)
            if batch:
                await self._rounds.finish([read(record) for records in batch.values() for record in records])
                await self._commit({where: records[-1].offset + 1 for where, records in batch.items()})

    async def _commit(self, positions: dict[TopicPartition, int]) -> None:
        """Move on.  A partition that was given to somebody else meanwhile is theirs: they ask again, to no harm."""
        ours = {where: offset for where, offset in positions.items() if where in self._consumer.assignment()}
        try:
            if ours:
                await self._consumer.commit(ours)
        except (CommitFailedError, IllegalStateError) as lost:
            log.warning("partitions were taken away", error=type(lost).__name__)


def _reason(trouble: StripeTrouble | Untold) -> str:
    return trouble.reason if isinstance(trouble, StripeTrouble) else type(trouble).__name__.lower()


def consumer_of(options: dict[str, Any], group: str, topic: str = STRIPE_REQUESTS.name) -> AIOKafkaConsumer:
    """Who reads the requests; a new group begins with the oldest."""
    return AIOKafkaConsumer(
        topic,
        **options,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_interval_ms=HELD_SECONDS_MAX * 1_000,
    )


async def answer(config: StripeRequestsSettings) -> None:
    """Answer requests until SIGTERM or SIGINT.  Nothing in hand is finished first: it will be read again."""
    options, keyring = kafka.client_options(config), Keyring.from_file(config.edge_keys_file)
    patience = Patience(pause_seconds_max=config.round_pause_seconds_max)
    consumer = consumer_of(options, config.kafka_group)
    async with StripeClient.of(config) as stripe, Facts(options, keyring, livemode=config.stripe_livemode) as facts:
        deeds = Deeds(stripe, Asking(within_seconds=config.ask_seconds_max))
        answering = Answers(
            deeds, facts, clock.now, livemode=config.stripe_livemode, settle_seconds=config.settle_seconds
        )
        rounds = Rounds(answering, patience)
        try:
            await consumer.start()
            answers = await health.serve(config.metrics_host, config.metrics_port, facts.ready)
            garbage.settle()
            try:
                await Requests(consumer, rounds, config.batch_records_max).run()
            finally:
                await answers.cleanup()
        finally:
            await consumer.stop()


async def until_told_to_stop(config: StripeRequestsSettings) -> None:
    """Run until a signal comes."""
    working = asyncio.create_task(answer(config))
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, working.cancel)
    with suppress(asyncio.CancelledError):
        await working


def main() -> None:
    """Run until SIGTERM."""
    config = settings.load(StripeRequestsSettings)
    logs.configure(PROCESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(until_told_to_stop(config))
        except KafkaError as error:  # The supervisor starts us anew, and there is nothing in hand to lose.
            log.critical("process ends", error=type(error).__name__, reason=str(error))
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
