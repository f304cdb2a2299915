import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stripe
import typer
from typer.testing import CliRunner, Result

from ops import deliver
from simulator import fixtures, shapes

SECRET = "whsec_for_these_tests"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "stripe"


@dataclass
class Door:
    """An HTTP server that keeps what was posted, and answers as told."""

    status: int = 200
    url: str = ""
    posts: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def door() -> Iterator[Door]:
    kept = Door()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.posts.append((self.headers["Stripe-Signature"], body))
            self.send_response(kept.status)
            self.end_headers()
            self.wfile.write(b"so be it")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/"
    yield kept
    server.shutdown()
    server.server_close()
    serving.join()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def billing(*arguments: object, given: bytes | None = None) -> Result:
    app = typer.Typer()
    app.command("sign")(deliver.sign)
    app.command("send")(deliver.send)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


def test_a_signed_event_passes_stripes_own_check(secret_file: Path) -> None:
    body = fixtures.fixture("invoice.paid")

    header = billing("sign", "invoice.paid", "--secret-file", secret_file).stdout.strip()

    assert stripe.WebhookSignature.verify_header(body, header, SECRET, tolerance=300)


def test_a_script_gets_the_header_in_a_document(secret_file: Path) -> None:
    told = json.loads(billing("sign", "invoice.paid", "--secret-file", secret_file, "--json").stdout)

    assert told["stripe_signature"].startswith("t=")


def test_what_comes_in_by_the_pipe_is_signed_as_it_is(secret_file: Path) -> None:
    body = b'{"id":  "evt_1"}\n\n'

    header = billing("sign", "-", "--secret-file", secret_file, given=body).stdout.strip()

    assert stripe.WebhookSignature.verify_header(body, header, SECRET, tolerance=300)


@pytest.mark.parametrize("api_version", shapes.API_VERSIONS)
def test_a_fixture_is_posted_as_stripe_would(door: Door, secret_file: Path, api_version: str) -> None:
    name = "customer.subscription.updated"

    result = billing("send", name, "--url", door.url, "--secret-file", secret_file, "--api-version", api_version)

    assert result.exit_code == 0
    assert "200" in result.stdout
    ((header, body),) = door.posts
    assert body == fixtures.fixture(name, api_version)
    assert json.loads(body)["api_version"] == api_version
    assert stripe.WebhookSignature.verify_header(body, header, SECRET, tolerance=300)


def test_sending_a_fixture_twice_sends_a_duplicate(door: Door, secret_file: Path) -> None:
    for _ in range(2):
        billing("send", "invoice.paid", "--url", door.url, "--secret-file", secret_file)

    first, second = door.posts
    assert first[1] == second[1]


def test_a_file_is_posted_byte_for_byte(door: Door, secret_file: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(b'{"id": "evt_mine",\r\n "name": "Zo\xc3\xab"}')

    result = billing("send", event, "--url", door.url, "--secret-file", secret_file, "--json")

    assert door.posts[0][1] == event.read_bytes()
    assert json.loads(result.stdout) | {"ms": 0} == {
        "event_id": "evt_mine",
        "status": 200,
        "error": None,
        "answer": "so be it",
        "ms": 0,
    }


def test_a_refusal_is_shown_and_is_no_success(door: Door, secret_file: Path) -> None:
    door.status = 400

    result = billing("send", "invoice.paid", "--url", door.url, "--secret-file", secret_file)

    assert result.exit_code == 1
    assert "400" in result.stdout


def test_nobody_at_home_is_said_in_a_sentence(secret_file: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"

        result = billing("send", "invoice.paid", "--url", url, "--secret-file", secret_file)

    assert result.exit_code == 1
    assert "no answer" in result.stderr


@pytest.mark.parametrize("event", ["no.such.event", "no/such/file.json"])
def test_an_unknown_fixture_names_those_there_are(secret_file: Path, event: str) -> None:
    result = billing("sign", event, "--secret-file", secret_file)

    assert result.exit_code == 1
    assert "customer.subscription.created" in result.stderr


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_the_committed_fixtures_are_what_the_pretend_stripe_says(file: Path) -> None:
    name, _, api_version = file.stem.partition("@")

    assert file.read_bytes() == fixtures.fixture(name, api_version)


def test_a_signature_is_of_this_very_moment(secret_file: Path) -> None:
    header = billing("sign", "invoice.paid", "--secret-file", secret_file).stdout

    assert abs(int(header.split(",")[0].removeprefix("t=")) - time.time()) < 60
