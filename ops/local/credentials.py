"""The secrets of one stack: made up once, kept in its home, mode 0600, and given to each process by folder.

A process finds in its own folder (SECRETS_DIR) what it may know and nothing else: the door has no database, the relay
no keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ops.local import folders
from runtime.keys import Keyring
from runtime.settings import WEBHOOK_SECRET_PREFIX


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the secrets of one stack are."""

    folder: Path

    @property
    def webhook_secret_file(self) -> Path:
        """What Stripe, or a pretend Stripe, signs with."""
        return self.folder / "stripe_webhook_secret"

    @property
    def edge_keys_file(self) -> Path:
        """The keys that seal what is in the topic."""
        return self.folder / "edge_keys.json"

    @property
    def store_keys_file(self) -> Path:
        """The keys that seal what the database keeps of raw bodies."""
        return self.folder / "store_keys.json"

    def make(self, now: datetime) -> None:
        """Every secret that is not there yet."""
        folders.private_folder(self.folder)
        if not self.webhook_secret_file.exists():
            folders.write_privately(self.webhook_secret_file, WEBHOOK_SECRET_PREFIX + folders.new_secret())
        for keys in (self.edge_keys_file, self.store_keys_file):
            if not keys.exists():
                Keyring.generate(keys, now)

    def hand_to(self, process: str, secrets: Mapping[str, str]) -> Path:
        """The folder of *process*, with these secrets in it, each in a file named like its setting."""
        folder = folders.private_folder(self.folder / "processes" / process)
        for setting, value in secrets.items():
            folders.write_privately(folder / setting, value)
        return folder
