"""Where the local stack keeps things: the project's cache, a stack's home, and files that only their owner reads."""

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = PROJECT / ".cache"
DEFAULT_HOME: Final = PROJECT / ".local"


def private_folder(path: Path) -> Path:
    """*path*, made if need be, open to its owner only."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_privately(path: Path, text: str) -> Path:
    """*text* in *path*, whole or not at all, mode 0600 from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
    return path


def new_secret() -> str:
    """Thirty-two characters that nobody guesses, none of which needs quoting anywhere."""
    return secrets.token_urlsafe(24)


def kept_secret(path: Path) -> str:
    """The secret kept in *path*; the first call makes it up."""
    if not path.exists():
        write_privately(path, new_secret())
    return path.read_text(encoding="utf-8")


def remove(path: Path) -> None:
    """Nothing is left at *path*, whoever owned what lay below it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
