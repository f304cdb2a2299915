"""The Faust app of the books: one app is one consumer group is one consumer, so it reads these topics and no others.

The settings are those that were tried together against kills, crashes and broker restarts; what each is for stands
beside it, and tests/streams holds Faust to what they rest on.
"""

from typing import Any, Final

from faust import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from runtime.kafka import client_options
from runtime.settings import BooksSettings
from streams.ending import End
from streams.progress import Progress
from streams.transport import IN_HAND_RECORDS_MAX, PositionedApp, PositionedTransport

POLL_RECORDS_MAX: Final = 500
PARTITION_FETCH_BYTES_MAX: Final = 512 * 1024
"""Of one partition in one fetch: some eighty of Stripe's events, so that every partition's turn comes soon."""

BUFFER_PARCELS_MAX: Final = 2 * IN_HAND_RECORDS_MAX
"""Never reached: the consumer waits before (`streams.transport`).  Faust would make whole partitions wait."""

COMMIT_SECONDS: Final = 0.5
METADATA_AGE_MS_MAX: Final = 10_000


def make_app(settings: BooksSettings, progress: Progress, end: End) -> PositionedApp:
    """The app, without its agent; `ask_positions` is set by whoever opens the database, before the app starts."""
    options = client_options(settings)
    app = PositionedApp(
        settings.kafka_group,
        broker=";".join(f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")),
        broker_credentials=_credentials(options),
        # A worker that comes back under its static id gets its partitions back at once, and its peers lose nothing.
        consumer_group_instance_id=settings.kafka_member_id,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_rebalance_timeout=settings.rebalance_timeout_seconds,
        broker_commit_interval=COMMIT_SECONDS,
        broker_max_poll_records=POLL_RECORDS_MAX,
        consumer_max_fetch_size=PARTITION_FETCH_BYTES_MAX,
        consumer_metadata_max_age_ms=METADATA_AGE_MS_MAX,  # How late new partitions are noticed.
        processing_guarantee="at_least_once",  # "exactly_once" is broken; effects are exactly-once in PostgreSQL.
        stream_buffer_maxsize=BUFFER_PARCELS_MAX,
        stream_wait_empty=True,  # SIGTERM and rebalances wait for the batch in hand.
        topic_allow_declare=False,  # Topics are provisioned from models.topics.
        topic_disable_leader=True,
        # A decode error inside Faust would acknowledge: we take bytes and decode them ourselves.
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        autodiscover=False,
    )
    app.transport = PositionedTransport(app.conf.broker_consumer, app)
    app.progress = progress
    app.end = end
    app.on_partitions_revoked.connect(_forget_progress)  # type: ignore[arg-type]  # It is also told who signals.
    return app


def raw_topic(app: PositionedApp, name: str) -> Any:
    """A topic as bytes.  None is ever made anew, and none is decoded by Faust."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


async def _forget_progress(app: Any, *_revoked: Any, **_others: Any) -> None:
    app.progress.revoked()


def _credentials(options: dict[str, Any]) -> CredentialsT | None:
    """Faust's words for the TLS and SASL that every other Kafka client of ours is given."""
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
