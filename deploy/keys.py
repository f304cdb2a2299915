"""The two key rings of an environment: `python -m deploy.keys make`, `... rotate edge`, `... rotate store`.

`make` is for every start: it leaves a key ring that is there alone.  `rotate edge` is for every day, and forgets the
keys that nothing in the topic can be sealed with any more.  `rotate store` forgets none, since a parked fact may wait
for years.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from models.topics import STRIPE_EVENTS
from runtime.clock import now
from runtime.keys import Keyring
from runtime.settings import EdgeKeysSettings, StoreKeysSettings, load

# A day more than the topic keeps: Kafka deletes a segment only once its last record is old enough.
KEEP_EDGE_KEYS: Final = timedelta(milliseconds=STRIPE_EVENTS.retention_ms) + timedelta(days=1)
KEEP_STORE_KEYS: Final = timedelta(days=365 * 100)

EXIT_STATUS_USAGE: Final = 2


class KeysSettings(EdgeKeysSettings, StoreKeysSettings):
    """Where the two key rings are."""


def make(settings: KeysSettings) -> None:
    """Both key rings are there afterwards; one that was there is as it was."""
    for path in (settings.edge_keys_file, settings.store_keys_file):
        _make(path)


def rotate_edge(settings: KeysSettings) -> None:
    """From now on the edge seals with a new key, and old topics' keys are gone."""
    Keyring.rotate(settings.edge_keys_file, now(), KEEP_EDGE_KEYS)


def rotate_store(settings: KeysSettings) -> None:
    """From now on the store seals with a new key; it opens all that it ever sealed."""
    Keyring.rotate(settings.store_keys_file, now(), KEEP_STORE_KEYS)


VERBS: Final[Mapping[tuple[str, ...], Callable[[KeysSettings], None]]] = {
    ("make",): make,
    ("rotate", "edge"): rotate_edge,
    ("rotate", "store"): rotate_store,
}


def main(arguments: list[str]) -> int:
    """Do what *arguments* say, or say what they may be."""
    verb = VERBS.get(tuple(arguments))
    if verb is None:
        sys.stderr.write(f"{__doc__}")
        return EXIT_STATUS_USAGE
    verb(load(KeysSettings))
    return 0


def _make(path: Path) -> None:
    try:
        Keyring.generate(path, now())
    except FileExistsError:
        return  # Made at an earlier start, or by somebody else just now: either is as good.


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
