import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from ops.local.providers import KafkaServer
from tests.ingress.support import Door, open_door, provision


@pytest.fixture(scope="session")
def events_topic(kafka: KafkaServer) -> KafkaServer:
    """The Kafka that has the topic `stripe.events`."""
    asyncio.run(provision(kafka.bootstrap_servers))
    return kafka


@pytest.fixture(scope="session")
def door(events_topic: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The door as shipped, shared by all tests that leave it as it was."""
    opened = open_door(tmp_path_factory.mktemp("door"), events_topic.bootstrap_servers)
    yield opened
    assert opened.close() == [0], opened.log.read_text()


@pytest.fixture
def own_door(events_topic: KafkaServer, tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """A door with settings of the test's own."""
    opened: list[Door] = []

    def make(processes: int = 1, bootstrap_servers: str = events_topic.bootstrap_servers, **settings: str) -> Door:
        opened.append(open_door(tmp_path, bootstrap_servers, processes, **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session
    await asyncio.sleep(0)  # A closed transport lets go of its socket in the next turn of the loop.
