"""`billing api-keys create|ls|revoke|rotate`: who may ask the platform's door for what."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from models import api_keys
from models.api_keys import ApiKey, Claim, Scope
from ops import connection, console
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.plainly import plainly
from runtime import clock
from runtime.settings import DatabaseSettings
from store import api_keys as rows
from store.api_keys import Successor
from store.postgres import Database

LISTED_MAX: Final = 1_000
GRACE_HOURS: Final = 24.0

Result = TypeVar("Result")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, in a word or two.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID")]
Scopes = Annotated[list[Scope], typer.Option("--scope", help="What it allows; again for each scope.")]
Days = Annotated[float | None, typer.Option("--expires-in-days", min=0.01, help="Without it, it does not expire.")]
Grace = Annotated[float, typer.Option("--grace-hours", min=0.0, help="How long the old one is still valid.")]

app = typer.Typer(help="The keys by which platform services prove who they are.", no_args_is_help=True)


@app.command()
def create(name: Name, scope: Scopes, expires_in_days: Days = None, as_json: AsJson = False) -> None:
    """Make a key and show it: once, and never again."""
    settings = connection.settings(DatabaseSettings)
    now = clock.now()
    token, claim = _new(livemode=settings.stripe_livemode)
    if not 0 < len(name.strip()) <= 100:  # noqa: PLR2004  # As long as `models.api_keys` has it.
        raise typer.BadParameter("a name has 1 to 100 characters")
    key = ApiKey(
        key_id=claim.key_id,
        lineage=claim.key_id,
        name=name.strip(),
        livemode=claim.livemode,
        scopes=frozenset(scope),
        created_at=now,
        expires_at=_expiry(now, expires_in_days),
    )
    _run(_with(settings, lambda database: rows.create(database, key, claim.secret_sha256)))
    _show_once(key, token, as_json=as_json)


@app.command("ls")
def list_keys(as_json: AsJson = False) -> None:
    """Every key, the newest first; no secret, since none is kept."""
    found = _run(_with(connection.settings(DatabaseSettings), lambda database: rows.listed(database, LISTED_MAX)))
    if as_json:
        console.show_json([_told(key) for key in found])
    elif found:
        now = clock.now()
        cells = [(key.key_id, key.name, _standing(key, now), _date(key.last_used_at), _scopes(key)) for key in found]
        console.show_table(("key", "name", "stands", "last used", "allows"), cells)
    else:
        console.say("There is no key: `billing api-keys create` makes one.")


@app.command()
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """End a key now: it opens nothing from the next request on."""
    settings = connection.settings(DatabaseSettings)
    if not _run(_with(settings, lambda database: rows.revoke(database, key_id, clock.now()))):
        _give_up(f"There is no key {key_id} to be revoked: see `billing api-keys ls`.")
    if as_json:
        console.show_json({"revoked": key_id})
    else:
        console.say(f"{key_id} opens nothing any more.")


@app.command()
def rotate(
    key_id: KeyId, grace_hours: Grace = GRACE_HOURS, expires_in_days: Days = None, as_json: AsJson = False
) -> None:
    """Make a key that takes another's place; the old one stays valid for a while, to change over in."""
    settings = connection.settings(DatabaseSettings)
    now = clock.now()
    token, claim = _new(livemode=settings.stripe_livemode)
    until = now + timedelta(hours=grace_hours)
    successor = Successor(claim.key_id, claim.secret_sha256, _expiry(now, expires_in_days), until)
    key = _run(_with(settings, lambda database: rows.succeed(database, key_id, successor, now)))
    if key is None:
        _give_up(f"There is no valid key {key_id}: see `billing api-keys ls`.")
    _show_once(key, token, as_json=as_json)
    if not as_json:
        console.say(f"{key_id} is valid until {until:%Y-%m-%d %H:%M} UTC at the latest.")


def _new(*, livemode: bool) -> tuple[str, Claim]:
    token = api_keys.token(token_bytes(api_keys.ID_BYTES + api_keys.SECRET_BYTES), livemode=livemode)
    claim = api_keys.read(token)
    assert claim is not None, "what we make we can read"
    return token, claim


def _expiry(now: datetime, days: float | None) -> datetime | None:
    return None if days is None else now + timedelta(days=days)


def _show_once(key: ApiKey, token: str, *, as_json: bool) -> None:
    if as_json:
        console.show_json(_told(key) | {"token": token})
        return
    console.say(f"{key.key_id} ({key.name}): {_scopes(key)}")
    console.say("This is the key. It is shown now and never again:")
    typer.echo(token)  # Not folded at the terminal's edge: it is copied from here.


def _told(key: ApiKey) -> dict[str, Any]:
    return key.model_dump(mode="json") | {"scopes": sorted(key.scopes)}


def _standing(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if key.expires_at <= now else 'valid until'} {_date(key.expires_at)}"


def _date(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _scopes(key: ApiKey) -> str:
    return ", ".join(sorted(key.scopes))


async def _with(settings: DatabaseSettings, ask: Callable[[Database], Awaitable[Result]]) -> Result:
    """What *ask* finds in the database."""
    async with Database(settings.database_url.get_secret_value(), application_name="billing-operator") as database:
        return await ask(database)


def _give_up(sentence: str) -> NoReturn:
    with plainly():
        raise CannotStart(sentence)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    with plainly():
        return asyncio.run(work)
