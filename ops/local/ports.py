"""Ports that stay ours while a server is down."""

import atexit
import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"

# Below the range that Linux and macOS take for outgoing connections: a client that keeps dialling a server that is
# down can otherwise be given that very port as its own end, and hold it when the server comes back.
_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000
_TRIES_MAX: Final = 200

# Between the moment that a port is given out and the moment that a server has it, only we know that it is taken.  The
# UDP port of the same number tells every other process on this machine, until this one ends.
_given: Final[list[socket.socket]] = []


def free_port() -> int:
    """A port that nothing listens on and that nobody else is given, outside the range of outgoing connections."""
    for _ in range(_TRIES_MAX):
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311  # Spread, not secrecy.
        if _is_free(port) and _is_claimed(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST}")


def is_open(port: int, host: str = HOST) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_claimed(port: int) -> bool:
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((HOST, port))
    except OSError:
        claim.close()
        return False
    _given.append(claim)
    return True


@atexit.register
def _let_go() -> None:
    """Give back what was claimed: a socket that nobody closes is complained about."""
    for claim in _given:
        claim.close()
