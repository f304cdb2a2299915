"""`billing sign` and `billing send`: one event, signed and posted as Stripe would.

The event is a file, `-` for what comes in by the pipe, or the name of a fixture such as `invoice.paid`.  A fixture is
the same bytes every time, so sending it twice shows what becomes of a duplicate.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ops import connection, console
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.plainly import plainly
from runtime import clock
from simulator import fixtures, shapes
from simulator.delivery import Try, post
from simulator.signing import signature_header

NO_ID: Final = "none"

Event = Annotated[str, typer.Argument(help="A file, `-` for standard input, or an event type such as invoice.paid.")]
Url = Annotated[str | None, typer.Option("--url", help="Where to; the running local stack's door if not given.")]
SecretFile = Annotated[Path | None, typer.Option("--secret-file", help="What it is signed with; as above.")]
ApiVersion = Annotated[str, typer.Option("--api-version", help=f"A fixture's shape: {', '.join(shapes.API_VERSIONS)}.")]


def sign(
    event: Event,
    secret_file: SecretFile = None,
    api_version: ApiVersion = shapes.BASIL,
    as_json: AsJson = False,
) -> None:
    """Print the Stripe-Signature header of an event, as of now."""
    with plainly():
        header = signature_header(_body(event, api_version), (_secret(secret_file),), int(_wall_seconds()))
    if as_json:
        console.show_json({"stripe_signature": header})
    else:
        typer.echo(header)


def send(
    event: Event,
    url: Url = None,
    secret_file: SecretFile = None,
    api_version: ApiVersion = shapes.BASIL,
    as_json: AsJson = False,
) -> None:
    """Post an event once, as Stripe would, and show the answer.  Exit status 0 only for a 2xx."""
    with plainly():
        body = _body(event, api_version)
        one = asyncio.run(post(url or _url(), _secret(secret_file), body, _wall_seconds))
    _show(_id_of(body), one, as_json=as_json)
    raise typer.Exit(0 if one.accepted else 1)


def _body(event: str, api_version: str) -> bytes:
    """The bytes as they are: what was signed once must not be changed by reading it."""
    if event == "-":
        return sys.stdin.buffer.read()
    if Path(event).is_file():
        return Path(event).read_bytes()
    if event in fixtures.names():
        return fixtures.fixture(event, _known(api_version))
    raise CannotStart(f"{event} is neither a file nor a fixture.  There are: {', '.join(fixtures.names())}.")


def _known(api_version: str) -> str:
    if api_version not in shapes.API_VERSIONS:
        raise CannotStart(f"No fixture has the shape of {api_version}, only of {', '.join(shapes.API_VERSIONS)}.")
    return api_version


def _id_of(body: bytes) -> str:
    """The event's id, for who reads the answer alone: a body that is none is posted all the same."""
    try:
        event = json.loads(body)
    except ValueError:
        return NO_ID
    return str(event.get("id", NO_ID)) if isinstance(event, dict) else NO_ID


def _url() -> str:
    url, _ = connection.webhook()
    return url


def _secret(secret_file: Path | None) -> str:
    if secret_file is not None:
        return secret_file.read_text(encoding="utf-8").strip()
    _, secret = connection.webhook()
    return secret


def _show(event_id: str, one: Try, *, as_json: bool) -> None:
    milliseconds = round((one.answered_at - one.sent_at) * 1000, 1)
    if as_json:
        console.show_json(
            {"event_id": event_id, "status": one.status, "error": one.error, "answer": one.text, "ms": milliseconds}
        )
    elif one.status is None:
        console.problem(f"{event_id}: no answer ({one.error}).")
    else:
        console.say(f"{event_id}: {one.status} after {milliseconds} ms. {one.text.strip()}".rstrip())


def _wall_seconds() -> float:
    return clock.now().timestamp()
