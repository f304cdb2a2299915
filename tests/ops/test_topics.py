"""`billing topics`: what is there against what is listed, on a real broker."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from models.topics import DAY_MS, Topic
from ops import topics
from ops.local.providers import KafkaServer
from ops.topics import Kind, Topics

Make = Callable[..., Awaitable[str]]


def _listed(name: str, partitions: int = 3, retention_ms: int = DAY_MS) -> Topic:
    return Topic(
        name=name, key="account", partitions=partitions, retention_ms=retention_ms, written_by=("us",), read_by=("us",)
    )


@pytest.fixture
async def admin(kafka: KafkaServer) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def name(topic: Make) -> str:
    """A topic of one partition that is there already."""
    return await topic(partitions=1)


async def _steps(ours: Topics, name: str) -> list[Kind]:
    """What is to be done about one topic; the broker is shared, and has topics of other tests too."""
    return [step.kind for step in await ours.plan() if step.topic == name]


async def test_a_topic_that_is_missing_is_planned_made_and_then_in_order(
    admin: AIOKafkaAdminClient, kafka: KafkaServer
) -> None:
    wanted = (_listed("billing.made-by-apply"),)
    async with topics.connected({"bootstrap_servers": kafka.bootstrap_servers}, wanted=wanted) as ours:
        assert await _steps(ours, "billing.made-by-apply") == [Kind.CREATE]

        await ours.apply()

        assert await _steps(ours, "billing.made-by-apply") == []
        found = (await ours.found())["billing.made-by-apply"]
        assert found.partitions == 3
        assert found.configs["retention.ms"] == str(DAY_MS)
    await admin.delete_topics(["billing.made-by-apply"])


async def test_partitions_grow_and_retention_follows_the_list(admin: AIOKafkaAdminClient, name: str) -> None:
    ours = Topics(admin, 1, (_listed(name, partitions=4),))

    assert set(await _steps(ours, name)) == {Kind.GROW, Kind.CONFIGURE}
    await ours.apply()

    assert (await ours.found())[name].partitions == 4
    assert await _steps(ours, name) == []


async def test_partitions_never_become_fewer_a_person_decides(admin: AIOKafkaAdminClient, topic: Make) -> None:
    name = await topic(partitions=4)
    ours = Topics(admin, 1, (_listed(name, partitions=2),))

    await ours.apply()

    assert (await ours.found())[name].partitions == 4
    assert await _steps(ours, name) == [Kind.DECIDE]


async def test_what_somebody_else_set_on_a_topic_stays(admin: AIOKafkaAdminClient, topic: Make) -> None:
    name = await topic(partitions=3, **{"segment.ms": "60000"})

    await Topics(admin, 1, (_listed(name),)).apply()

    assert (await Topics(admin, 1, (_listed(name),)).found())[name].configs["segment.ms"] == "60000"


async def test_a_topic_of_ours_that_nobody_lists_is_named_and_left_alone(
    admin: AIOKafkaAdminClient, topic: Make
) -> None:
    stranger = await topic(name="billing.nobody-lists-me")
    ours = Topics(admin, 1, ())

    assert await _steps(ours, stranger) == [Kind.DECIDE]
    await ours.apply()

    assert stranger in await ours.found()


async def test_a_name_that_kafka_refuses_is_an_error_and_not_a_silence(admin: AIOKafkaAdminClient) -> None:
    with pytest.raises(Exception, match="no spaces please"):
        await Topics(admin, 1, (_listed("billing.no spaces please"),)).apply()
