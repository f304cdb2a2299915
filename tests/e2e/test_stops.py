"""Where going on would lose facts, a worker stops before its first one, says why, and leaves everything as it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from ops.local.errors import CannotStart
from tests.support_pipeline import Pipeline, running, subscription_event, until

pytestmark = pytest.mark.e2e

TOPIC = "stripe.events"
WORKER = "books-0"
EVENTS = 5
POSITIONS = "SELECT * FROM consumer_positions ORDER BY partition"


async def test_a_worker_stops_where_retention_took_facts_that_it_never_had(tmp_path: Path) -> None:
    async with worker_away(tmp_path / "home") as pipeline:
        before = await pipeline.rows(POSITIONS)
        await deliver(pipeline, "while_away")
        await forget_everything(pipeline)

        with pytest.raises(CannotStart, match="the facts between are lost to us"):
            await pipeline.stack.start(WORKER)

        assert await pipeline.rows(POSITIONS) == before


async def test_a_worker_stops_where_a_topic_was_recreated_under_its_old_name(tmp_path: Path) -> None:
    async with worker_away(tmp_path / "home") as pipeline:
        before = await pipeline.rows(POSITIONS)
        await recreate(pipeline)

        with pytest.raises(CannotStart, match="the topic was recreated"):
            await pipeline.stack.start(WORKER)

        assert await pipeline.rows(POSITIONS) == before


@asynccontextmanager
async def worker_away(home: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose only worker has taken some facts and then left."""
    async with running(home, names=("ingress", WORKER, "relay")) as pipeline:
        await deliver(pipeline, "before")
        await pipeline.drained()
        await pipeline.stack.supervisor.retire(WORKER)
        yield pipeline


async def deliver(pipeline: Pipeline, when: str) -> None:
    """Events of one customer, so that they lie in one partition."""
    for number in range(EVENTS):
        event_id = f"evt_{when}_{number}"
        await pipeline.deliver(subscription_event(event_id, created=number, subscription="sub_1", customer="cus_1"))


@asynccontextmanager
async def admin_of(pipeline: Pipeline) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.stack.kafka.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def forget_everything(pipeline: Pipeline) -> None:
    """As retention does when nobody reads for a week; -1 is the end of the log."""
    async with admin_of(pipeline) as admin:
        await admin.delete_records({TopicPartition(TOPIC, number): RecordsToDelete(-1) for number in range(12)})


async def recreate(pipeline: Pipeline) -> None:
    async with admin_of(pipeline) as admin:
        await admin.delete_topics([TOPIC])

        async def gone() -> bool:
            return TOPIC not in await admin.list_topics()

        await until(gone, 20, f"{TOPIC} is gone")
        await admin.create_topics([NewTopic(TOPIC, 12, 1)])
