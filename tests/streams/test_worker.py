"""Stopping in time, and speaking to a broker that asks who we are."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from faust import SASLCredentials
from faust.types.auth import SASLMechanism
from pydantic import SecretStr

from runtime.settings import BooksSettings
from streams.app import make_app
from streams.ending import EXIT_STATUS
from streams.progress import Progress

HANGS = """
import asyncio, faust, mode
from streams.ending import end_process
from streams.worker import TimelyWorker

class Hangs(mode.Service):
    async def on_start(self):
        print("started", flush=True)
    async def on_stop(self):
        await asyncio.Event().wait()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
app = faust.App("hangs", web_enabled=False, autodiscover=False)

class Alone(TimelyWorker):
    def on_init_dependencies(self):
        return [Hangs()]

worker = Alone(app, stop_seconds_max=0.5, end=end_process, loop=loop, override_logging=False, quiet=True)
worker.execute_from_commandline()
"""


def test_a_worker_that_does_not_stop_ends_all_the_same(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": root}
    with subprocess.Popen(
        [sys.executable, "-c", HANGS], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert "started" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == EXIT_STATUS


def _settings(**others: object) -> BooksSettings:
    return BooksSettings(
        kafka_bootstrap_servers="one:9092,two:9093",
        database_url="postgresql://nobody@localhost/none",
        edge_keys_file="unused",
        store_keys_file="unused",
        **others,
    )


def test_the_app_is_told_every_broker_and_its_static_place_in_the_group() -> None:
    app = make_app(_settings(worker_ordinal=3), Progress(), print)

    assert [(url.host, url.port) for url in app.conf.broker_consumer] == [("one", 9092), ("two", 9093)]
    assert app.conf.consumer_group_instance_id == "billing.books-3"
    assert app.conf.broker_session_timeout == 6
    assert app.conf.broker_credentials is None
    assert not app.conf.web_enabled


def test_faust_is_given_the_same_sasl_as_every_other_client() -> None:
    settings = _settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="books",
        kafka_sasl_password=SecretStr("not a secret"),
    )

    credentials = make_app(settings, Progress(), print).conf.broker_credentials

    assert isinstance(credentials, SASLCredentials)
    assert credentials.protocol.value == "SASL_SSL"
    assert credentials.mechanism is SASLMechanism.SCRAM_SHA_512
    assert (credentials.username, credentials.password) == ("books", "not a secret")
    assert credentials.ssl_context
    assert "not a secret" not in repr(credentials)
