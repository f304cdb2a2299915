"""Keys that seal what Stripe said, so that a disk, a backup or a curious reader of the topic holds nothing.

A keyring is a file with one primary key, which seals, and older ones, which only open.  It is meant to be
rotated daily (`billing keys rotate`; nothing does it by itself), and a key stays as long as something sealed with it
may be read.  Each seal is AES-256-GCM with a random nonce in front, bound to a context (the envelope), so that a sealed
body cannot be passed off as another's.  Random nonces are safe up to 2^32 seals a key; a day at 10,000 a second is a
fifth of that.
"""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, AwareDatetime, Base64Bytes, BaseModel, Field, ValidationError, model_validator

from runtime import clock
from runtime.logs import get_logger

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
LOOK_SECONDS: Final = 1.0

log = get_logger(__name__)


class UnknownKey(Exception):
    """The keyring does not hold the key that sealed this: it was dropped, or belongs to another environment."""


class SealBroken(Exception):
    """The bytes, or the context that they were sealed for, are not what was sealed."""


def _whole(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return key


class _Key(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    created: AwareDatetime
    key: Annotated[Base64Bytes, AfterValidator(_whole)] = Field(repr=False)


class _File(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """What the file holds."""

    primary: str
    keys: dict[str, _Key]

    @model_validator(mode="after")
    def _primary_is_there(self) -> Self:
        if self.primary not in self.keys:
            raise ValueError("the primary key is not among the keys")
        return self


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One reading of the file."""

    stamp: tuple[int, int, int]
    primary: str
    ciphers: dict[str, AESGCM] = field(repr=False)


class Keyring:
    """The keys of one file.  The file is looked at again and again, so a rotation needs no restart.

    A new primary seals from the next look on, at most LOOK_SECONDS late; an unknown key is looked for at once.
    """

    def __init__(self, path: Path, loaded: _Loaded, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._loaded = loaded
        self._monotonic = monotonic
        self._looked_at = monotonic()

    @classmethod
    def from_file(cls, path: Path, monotonic: Callable[[], float] = clock.monotonic) -> Self:
        """The keyring in *path*.  Raises OSError when it is not there, ValueError when it is not a keyring."""
        return cls(path, _load(path), monotonic)

    @staticmethod
    def generate(path: Path, now: datetime) -> None:
        """Write a new keyring with one key.  Raises FileExistsError rather than replace one."""
        with _alone(path.parent):
            if path.exists():
                raise FileExistsError(path)
            _write(path, _with_new_primary({}, now))

    @staticmethod
    def rotate(path: Path, now: datetime, keep: timedelta) -> None:
        """Give the keyring a new primary, and drop the keys that sealed nothing within *keep*."""
        with _alone(path.parent):
            since = now - keep - timedelta(seconds=LOOK_SECONDS)  # So late may a process have sealed with it.
            _write(path, _with_new_primary(_still_needed(_read(path).keys, since), now))

    def encrypt(self, plain: bytes, context: bytes) -> tuple[str, bytes]:
        """The primary key's id, and *plain* sealed for *context*."""
        keys = self._look_now_and_then()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return keys.primary, nonce + keys.ciphers[keys.primary].encrypt(nonce, plain, context)

    def decrypt(self, key_id: str, sealed: bytes, context: bytes) -> bytes:
        """What was sealed with *key_id* for *context*.  Raises UnknownKey or SealBroken."""
        cipher = self._look_now_and_then().ciphers.get(key_id) or self._look().ciphers.get(key_id)
        if cipher is None:
            raise UnknownKey(key_id)
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise SealBroken("too short to be sealed")
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except InvalidTag:
            raise SealBroken("not what was sealed") from None

    def _look_now_and_then(self) -> _Loaded:
        """The keys as the file had them a moment ago: looking costs as much as sealing."""
        return self._loaded if self._monotonic() - self._looked_at < LOOK_SECONDS else self._look()

    def _look(self) -> _Loaded:
        """The keys as the file has them now; when it cannot be read, as it had them last."""
        self._looked_at = self._monotonic()
        try:
            if _stamp(self._path) != self._loaded.stamp:
                self._loaded = _load(self._path)
        except (OSError, ValueError) as error:
            log.error("keyring unreadable, going on with the keys in hand", error=type(error).__name__)  # noqa: TRY400  # A traceback of key material is the last thing wanted.
        return self._loaded


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes with the file: each writing makes a new inode."""
    seen = path.stat()
    return seen.st_mtime_ns, seen.st_ino, seen.st_size


def _load(path: Path) -> _Loaded:
    stamp = _stamp(path)  # Before reading: a change in between is then seen at the next look.
    file = _read(path)
    return _Loaded(stamp, file.primary, {key_id: AESGCM(key.key) for key_id, key in file.keys.items()})


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, at['loc']))}: {at['msg']}" for at in error.errors(include_input=False)
        )
        raise ValueError(f"{path} is not a keyring: {problems}") from None


def _with_new_primary(keys: dict[str, _Key], now: datetime) -> _File:
    key_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    fresh = _Key(created=now, key=base64.b64encode(secrets.token_bytes(KEY_BYTES)))
    return _File(primary=key_id, keys={**keys, key_id: fresh})


def _still_needed(keys: dict[str, _Key], cutoff: datetime) -> dict[str, _Key]:
    """The keys that may have sealed something since *cutoff*.

    A key seals until the next one is made.  Its own age says nothing: where a rotation was missed for a month,
    yesterday's bodies are sealed with a key a month old.
    """
    oldest_first = sorted(keys, key=lambda key_id: keys[key_id].created)
    dropped = {older for older, newer in pairwise(oldest_first) if keys[newer].created < cutoff}
    return {key_id: key for key_id, key in keys.items() if key_id not in dropped}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer of keyrings in *folder* at a time: of two rotations at once, neither may lose the other's key."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, file: _File) -> None:
    """Replace *path* at once, for its owner's eyes only, on the disk before anything is sealed with it."""
    keys = {
        key_id: {"created": key.created.isoformat(), "key": base64.b64encode(key.key).decode()}
        for key_id, key in file.keys.items()
    }
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump({"primary": file.primary, "keys": keys}, out, indent=2)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
