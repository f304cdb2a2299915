"""What our design rests on in Faust, mode and aiokafka.  An upgrade that changes one of these fails here first."""

import inspect
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import faust
import mode
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust import streams as faust_streams
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from ops.local.providers import KafkaServer
from streams.transport import PositionedConsumer, PositionedTransport
from streams.worker import TimelyWorker
from tests.streams.support import committed, new_group, produce, until

MakeTopic = Callable[..., Awaitable[str]]


@pytest.mark.parametrize(
    ("package", "pinned"), [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")]
)
def test_these_are_the_versions_that_were_tried(package: str, pinned: str) -> None:
    assert version(package) == pinned


def test_the_stream_iterator_is_the_compiled_one() -> None:
    assert faust_streams._CStreamIterator is not None, "the one in Python acknowledges stale generations"


async def test_an_exception_that_leaves_an_agent_acknowledges_its_event(kafka: KafkaServer, topic: MakeTopic) -> None:
    """Why ours ends the process instead."""
    name, group, seen = await topic(), new_group(), []
    app = faust.App(
        group,
        broker=f"kafka://{kafka.bootstrap_servers}",
        broker_commit_interval=0.1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        stream_wait_empty=False,
    )
    app._create_directories = lambda: None

    async def fails(stream: faust.StreamT[bytes]) -> None:
        async for value in stream:
            seen.append(value)
            raise ValueError("a bug of ours")

    app.agent(app.topic(name, value_type=bytes, value_serializer="raw"), name="fails")(fails)
    await app.start()
    try:
        await until(app.consumer.assignment)
        await produce(kafka, name, [b"fact"])
        await until(lambda: seen)
    finally:
        await app.stop()

    assert await committed(kafka, group, name) == 1


def test_the_seam_of_the_positions_is_where_it_was() -> None:
    assert issubclass(PositionedConsumer, driver.Consumer)
    assert inspect.iscoroutinefunction(driver.Consumer.seek_to_committed)
    for asked in ("earliest_offsets", "highwaters", "seek_wait", "assignment"):
        assert hasattr(driver.Consumer, asked)
    assert "self.Consumer(" in inspect.getsource(driver.Transport.create_consumer)
    assert PositionedTransport.Consumer is PositionedConsumer


def test_faust_seeks_after_its_signal_so_a_seek_in_the_signal_would_be_overwritten() -> None:
    resumes = inspect.getsource(faust.tables.recovery.Recovery._resume_streams)

    assert resumes.index("on_rebalance_complete.send()") < resumes.index("consumer.perform_seek()")
    assert resumes.index("consumer.perform_seek()") < resumes.index("consumer.resume_flow()")


def test_a_rebalance_empties_the_buffer_and_then_waits_for_acknowledgements() -> None:
    """Why one task reads and another commits: a half-collected batch in the reader would be waited for, for ever."""
    revokes = inspect.getsource(faust.App._on_partitions_revoked)

    assert revokes.index("self.flow_control.clear") < revokes.index("self._consumer_wait_empty")
    assert "self._unacked_messages" in inspect.getsource(faust_consumer.Consumer.wait_empty)


def test_a_static_member_does_not_leave_its_group() -> None:
    leaves = inspect.getsource(GroupCoordinator._maybe_leave_group)

    assert "self._group_instance_id is None" in leaves


def test_faust_installs_its_signal_handlers_where_ours_replace_them() -> None:
    installs = inspect.getsource(mode.Worker._install_signal_handlers_unix)

    assert "self.loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)" in installs
    assert "self.loop.add_signal_handler(signal.SIGINT, self._on_sigint)" in installs
    assert "self.install_signal_handlers()" in inspect.getsource(mode.Worker.default_on_first_start)
    assert TimelyWorker.install_signal_handlers is not mode.Worker.install_signal_handlers


def test_an_unacknowledged_stream_hands_out_events_and_shares_its_channel() -> None:
    assert "enable_acks=False" in inspect.getsource(faust_streams.Stream.noack)
    assert "yield self.current_event" in inspect.getsource(faust_streams.Stream.events)
    assert inspect.iscoroutinefunction(faust_streams.Stream.ack)
