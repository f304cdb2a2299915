"""What a gap is, on a log that really has it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ops.local.providers import KafkaServer
from store.intake import Gap
from streams.gaps import KafkaGapJudge
from tests.streams.support import new_group, produce

MakeTopic = Callable[..., Awaitable[str]]


def _judge(kafka: KafkaServer) -> KafkaGapJudge:
    return KafkaGapJudge({"bootstrap_servers": kafka.bootstrap_servers})


async def _produce_in_a_transaction(kafka: KafkaServer, name: str, values: list[bytes], *, commit: bool = True) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=new_group())
    async with producer:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(name, value, partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await _until_log_ends_at(kafka, name, len(values) + 1)  # The marker is written after the answer.


async def _until_log_ends_at(kafka: KafkaServer, name: str, offset: int) -> None:
    where = TopicPartition(name, 0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers) as consumer:
        deadline = time.monotonic() + 10
        while (await consumer.end_offsets([where]))[where] != offset:
            assert time.monotonic() < deadline, "no marker was written"
            await asyncio.sleep(0.01)


async def test_facts_that_retention_took_before_we_had_them_are_lost(kafka: KafkaServer, topic: MakeTopic) -> None:
    name = await topic()
    await produce(kafka, name, [b"fact"] * 10)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(name, 0): RecordsToDelete(before_offset=6)})
    await admin.close()

    assert await _judge(kafka).judge(name, 0, expected=5, first=6) is Gap.LOST
    assert await _judge(kafka).judge(name, 0, expected=6, first=9) is Gap.SKIPPED


async def test_a_record_in_between_was_skipped_by_ourselves(kafka: KafkaServer, topic: MakeTopic) -> None:
    name = await topic()
    await produce(kafka, name, [b"fact"] * 10)

    assert await _judge(kafka).judge(name, 0, expected=4, first=5) is Gap.SKIPPED


async def test_a_transactions_marker_is_a_hole(kafka: KafkaServer, topic: MakeTopic) -> None:
    name = await topic()
    await _produce_in_a_transaction(kafka, name, [b"zero", b"one"])  # The marker is at offset 2.
    await produce(kafka, name, [b"three"])

    assert await _judge(kafka).judge(name, 0, expected=2, first=3) is Gap.HOLE
    assert await _judge(kafka).judge(name, 0, expected=1, first=3) is Gap.SKIPPED


async def test_an_aborted_record_counts_as_one_because_faust_reads_it_too(kafka: KafkaServer, topic: MakeTopic) -> None:
    name = await topic()
    await _produce_in_a_transaction(kafka, name, [b"zero"], commit=False)
    await produce(kafka, name, [b"two"])

    assert await _judge(kafka).judge(name, 0, expected=0, first=2) is Gap.SKIPPED
    assert await _judge(kafka).judge(name, 0, expected=1, first=2) is Gap.HOLE


async def test_a_marker_at_the_end_of_the_log_is_no_record(kafka: KafkaServer, topic: MakeTopic) -> None:
    name = await topic()
    await _produce_in_a_transaction(kafka, name, [b"zero"])

    assert await _judge(kafka).holds_record(name, 0, start=0, end=2)
    assert not await _judge(kafka).holds_record(name, 0, start=1, end=2)
