"""Makes the two key rings of an environment that has none: `python -m deploy.keys`.

It is for every start: a key ring that is there is left as it is.  Keys change by `billing keys rotate`.
"""

from pathlib import Path

from runtime.clock import now
from runtime.keys import Keyring
from runtime.settings import EdgeKeysSettings, StoreKeysSettings, load


class KeysSettings(EdgeKeysSettings, StoreKeysSettings):
    """Where the two key rings are."""


def make(path: Path) -> None:
    """There is a key ring in *path* afterwards; one that was there is as it was."""
    try:
        Keyring.generate(path, now())
    except FileExistsError:
        return  # Made at an earlier start, or by somebody else just now: either is as good.


if __name__ == "__main__":
    settings = load(KeysSettings)
    make(settings.edge_keys_file)
    make(settings.store_keys_file)
