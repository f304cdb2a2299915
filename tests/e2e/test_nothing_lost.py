"""A process is killed at every named point, on the first copy of an event and on a second one: nothing is lost, and
nothing counts twice.
"""

import itertools
import time

import pytest

from tests.support_pipeline import Pipeline, subscription_event

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ON_THE_WAY_IN = ("after_verify", "after_produce_ack", "after_consume", "in_transaction", "after_commit")
ON_THE_WAY_OUT = ("outbox_claimed", "outbox_sent")
SUBSCRIPTIONS = 3
STATUSES = ("active", "past_due")
START = 1_790_000_000
_numbers = itertools.count(1)


def an_event() -> dict[str, object]:
    """News of one of a few subscriptions: most facts are not the first of theirs."""
    number = next(_numbers)
    return dict(
        subscription_event(
            f"evt_failpoint_{number}",
            created=START + number,
            subscription=f"sub_failpoint_{number % SUBSCRIPTIONS}",
            customer=f"cus_failpoint_{number % SUBSCRIPTIONS}",
            status=STATUSES[number % len(STATUSES)],
        )
    )


async def survived(pipeline: Pipeline) -> None:
    await pipeline.all_ready()
    await pipeline.drained()
    await pipeline.check()


@pytest.mark.parametrize("failpoint", ON_THE_WAY_IN)
async def test_death_on_the_first_copy_loses_nothing(pipeline: Pipeline, failpoint: str) -> None:
    pipeline.arm(failpoint)

    await pipeline.deliver(an_event())

    await pipeline.fired(failpoint)
    await survived(pipeline)


@pytest.mark.parametrize("failpoint", ON_THE_WAY_IN)
async def test_death_on_a_second_copy_adds_nothing(pipeline: Pipeline, failpoint: str) -> None:
    event = an_event()
    await pipeline.deliver(event)
    await pipeline.drained()
    pipeline.arm(failpoint)

    await pipeline.deliver(event)

    await pipeline.fired(failpoint)
    await survived(pipeline)


@pytest.mark.parametrize("failpoint", ON_THE_WAY_OUT)
async def test_death_of_the_relay_says_everything_at_least_once(pipeline: Pipeline, failpoint: str) -> None:
    pipeline.arm(failpoint)

    await pipeline.deliver(an_event())

    await pipeline.fired(failpoint)
    await survived(pipeline)


@pytest.mark.parametrize("failpoint", ON_THE_WAY_OUT)
async def test_death_of_the_relay_while_it_repeats_itself_keeps_the_order(pipeline: Pipeline, failpoint: str) -> None:
    pipeline.arm(failpoint)
    await pipeline.deliver(an_event())
    await pipeline.fired(failpoint)
    pipeline.arm(failpoint)

    await pipeline.fired(failpoint)

    await survived(pipeline)


async def test_nothing_unsigned_gets_in(pipeline: Pipeline) -> None:
    event = an_event()
    now = int(time.time())

    answers = [
        await pipeline.post(event, secret="whsec_of_somebody_else"),
        await pipeline.post(event, at=now - 400),
        await pipeline.post(event, at=now + 400),
        await pipeline.post(event | {"livemode": True}),
    ]

    assert answers == [400, 400, 400, 400]
    await survived(pipeline)
    assert not await pipeline.known([str(event["id"])])
