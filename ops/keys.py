"""`billing keys rotate`: a new key seals from now on, and old ones go when nothing can be sealed with them any more."""

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from models.base import Model
from models.topics import STRIPE_EVENTS
from ops import connection, console
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.plainly import plainly
from runtime import clock
from runtime.keys import Keyring
from runtime.settings import EdgeKeysSettings, StoreKeysSettings

app = typer.Typer(help="The keys that seal raw bodies.", no_args_is_help=True)


class Ring(StrEnum):
    """One keyring."""

    EDGE = "edge"  # Seals what is in the topic.
    STORE = "store"  # Seals what the database keeps.


KEEP: Final[Mapping[Ring, timedelta]] = {
    Ring.EDGE: timedelta(milliseconds=STRIPE_EVENTS.retention_ms),
    Ring.STORE: timedelta(days=365 * 100),  # Conflicting copies are kept for good, and so is what opens them.
}
assert set(KEEP) == set(Ring), "every keyring says how long it keeps"


class Rotated(Model):
    """What a rotation did to one keyring.  Ids only: a key is never shown."""

    ring: Ring
    file: Path
    primary: str
    kept: tuple[str, ...]
    dropped: tuple[str, ...]


Only = Annotated[Ring | None, typer.Option("--only", help="This keyring alone.")]


@app.callback()
def _keys() -> None:
    """Make `rotate` a command of its own name: typer would swallow the name of a lone one."""


@app.command()
def rotate(only: Only = None, as_json: AsJson = False) -> None:
    """Give each keyring a new primary key.  Running processes see it at their next use."""
    with plainly():
        done = [_rotate(ring) for ring in ([only] if only else Ring)]
    if as_json:
        console.show_json([one.model_dump(mode="json") for one in done])
        return
    rows = [(one.ring.value, one.primary, len(one.kept), len(one.dropped)) for one in done]
    console.show_table(("keyring", "seals now with", "kept", "dropped"), rows)


def _rotate(ring: Ring) -> Rotated:
    path = _file(ring)
    try:
        before = _ids(path)
        Keyring.rotate(path, clock.now(), KEEP[ring])
    except ValueError:
        raise CannotStart(f"{path} is not a keyring.") from None
    after = _ids(path)
    primary = next(key_id for key_id in after if key_id not in before)
    kept = tuple(key_id for key_id in before if key_id in after)
    dropped = tuple(key_id for key_id in before if key_id not in after)
    return Rotated(ring=ring, file=path, primary=primary, kept=kept, dropped=dropped)


def _file(ring: Ring) -> Path:
    if ring is Ring.EDGE:
        return connection.settings(EdgeKeysSettings).edge_keys_file
    return connection.settings(StoreKeysSettings).store_keys_file


def _ids(path: Path) -> list[str]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict) or not isinstance(found.get("keys"), dict):
        raise ValueError("not a keyring")  # noqa: TRY004  # A file's content, not an argument's type.
    return list(found["keys"])
