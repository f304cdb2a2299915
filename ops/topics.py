"""Topics as they are against topics as they should be (`models/topics.py`), and the way from one to the other.

Nothing is ever deleted and no partition is ever taken away: a topic that nobody lists and one with too many partitions
are named, and a person decides.  More partitions move keys to other partitions, so facts of one key that are under way
may pass each other: the fold is order-proof, and the growth is in the plan for everybody to read first.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from models.base import Model
from models.topics import TOPICS, Topic
from ops.local.waiting import until

REPLICATION_MAX: Final = 3
SEEN_SECONDS_MAX: Final = 30.0
_OURS: Final = ("billing.", "stripe.")
_SET_ON_THE_TOPIC: Final = 1  # Kafka's config source DYNAMIC_TOPIC_CONFIG.


class Kind(StrEnum):
    """What has to happen to a topic."""

    CREATE = "create"
    GROW = "grow"
    CONFIGURE = "configure"
    DECIDE = "decide"  # By a person: we never take away.


class Found(Model):
    """One topic as it is."""

    name: str
    partitions: int
    configs: dict[str, str]  # What was set on the topic itself, not the broker's defaults.


class Step(Model):
    """One thing to do, and why."""

    kind: Kind
    topic: str
    why: str


def configs(topic: Topic, replication: int) -> dict[str, str]:
    """Kafka's own names for what the list says.  With three copies a write is acknowledged when two have it."""
    return {
        "cleanup.policy": topic.cleanup.value,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(max(1, replication - 1)),
    }


def plan(wanted: Iterable[Topic], found: Mapping[str, Found], replication: int) -> tuple[Step, ...]:
    """What has to happen, in the order of the list; empty when all is as it should be."""
    listed = tuple(wanted)
    steps = [step for topic in listed for step in _steps(topic, found.get(topic.name), replication)]
    names = {topic.name for topic in listed}
    strangers = sorted(name for name in found if name.startswith(_OURS) and name not in names)
    return (*steps, *(Step(kind=Kind.DECIDE, topic=name, why="it is not in the list") for name in strangers))


def _steps(topic: Topic, found: Found | None, replication: int) -> Iterator[Step]:
    if found is None:
        yield Step(kind=Kind.CREATE, topic=topic.name, why=f"{topic.partitions} partitions, {replication} copies")
        return
    if found.partitions < topic.partitions:
        yield Step(kind=Kind.GROW, topic=topic.name, why=f"{found.partitions} → {topic.partitions} partitions")
    if found.partitions > topic.partitions:
        why = f"{found.partitions} partitions where {topic.partitions} are listed: they never become fewer"
        yield Step(kind=Kind.DECIDE, topic=topic.name, why=why)
    for name, value in configs(topic, replication).items():
        if (present := found.configs.get(name)) != value:
            yield Step(kind=Kind.CONFIGURE, topic=topic.name, why=f"{name} {present or 'unset'} → {value}")


class Topics:
    """The topics of one cluster."""

    def __init__(self, admin: AIOKafkaAdminClient, replication: int, wanted: tuple[Topic, ...] = TOPICS) -> None:
        self._admin = admin
        self._replication = replication
        self._wanted = {topic.name: topic for topic in wanted}

    async def plan(self) -> tuple[Step, ...]:
        """What has to happen to this cluster."""
        return plan(self._wanted.values(), await self.found(), self._replication)

    async def apply(self) -> tuple[Step, ...]:
        """The plan, carried out as far as it only adds, and seen by the brokers; what was planned."""
        found = await self.found()
        steps = plan(self._wanted.values(), found, self._replication)
        await self._create([self._wanted[name] for name in _named(steps, Kind.CREATE)])
        await self._grow([self._wanted[name] for name in _named(steps, Kind.GROW)])
        await self._configure([found[name] for name in _named(steps, Kind.CONFIGURE)])
        if any(step.kind is not Kind.DECIDE for step in steps):
            await until(self._is_seen, SEEN_SECONDS_MAX)
        return steps

    async def _is_seen(self) -> bool:
        """The controller answers before the brokers have heard of it."""
        return all(step.kind is Kind.DECIDE for step in await self.plan())

    async def found(self) -> dict[str, Found]:
        """Every topic that is ours by its name or by the list."""
        described = await self._admin.describe_topics()
        sizes = {topic["topic"]: len(topic["partitions"]) for topic in described if self._concerns_us(topic["topic"])}
        set_on = await self._configs(sizes)
        return {name: Found(name=name, partitions=size, configs=set_on[name]) for name, size in sizes.items()}

    def _concerns_us(self, name: str) -> bool:
        return name in self._wanted or name.startswith(_OURS)

    async def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await self._admin.describe_configs(resources) if resources else []
        return dict(_read_configs(answer) for answers_ in answers for answer in answers_.resources)

    async def _create(self, topics: list[Topic]) -> None:
        new = [
            NewTopic(topic.name, topic.partitions, self._replication, topic_configs=configs(topic, self._replication))
            for topic in topics
        ]
        if new:
            answer = await self._admin.create_topics(new)
            _refuse_errors((name, code, message) for name, code, message in answer.topic_errors)

    async def _grow(self, topics: list[Topic]) -> None:
        if topics:
            await self._admin.create_partitions({topic.name: NewPartitions(topic.partitions) for topic in topics})

    async def _configure(self, found: list[Found]) -> None:
        """The request replaces all that was set on a topic, so what others set goes along."""
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC,
                topic.name,
                topic.configs | configs(self._wanted[topic.name], self._replication),
            )
            for topic in found
        ]
        for answer in await self._admin.alter_configs(resources) if resources else []:
            _refuse_errors((name, code, message) for code, message, _, name in answer.resources)


@asynccontextmanager
async def connected(
    options: Mapping[str, Any],
    replication: int | None = None,
    wanted: tuple[Topic, ...] = TOPICS,
) -> AsyncIterator[Topics]:
    """The topics of the cluster that *options* (`runtime.kafka.client_options`) lead to.

    Without a *replication*, as many copies as there are brokers, three at most.
    """
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        yield Topics(admin, replication or min(brokers, REPLICATION_MAX), wanted)
    finally:
        await admin.close()


def _named(steps: Iterable[Step], kind: Kind) -> list[str]:
    return list(dict.fromkeys(step.topic for step in steps if step.kind is kind))


def _read_configs(answer: tuple[Any, ...]) -> tuple[str, dict[str, str]]:
    """The name of a topic and what was set on it, from one answer of DescribeConfigs."""
    code, message, _, name, entries = answer
    _refuse_errors([(name, code, message)])
    # An entry is name, value, read-only, source, sensitive.
    return name, {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_THE_TOPIC}


def _refuse_errors(answers: Iterable[tuple[str, int, str]]) -> None:
    for name, code, message in answers:
        if code:
            raise for_code(code)(f"{name}: {message}")
