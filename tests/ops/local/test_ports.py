"""Ports: nobody is given what somebody else was given and has not bound yet."""

import socket
import subprocess
import sys

import pytest

from ops.local import ports


def test_no_port_is_given_twice() -> None:
    given = [ports.free_port() for _ in range(300)]

    assert len(set(given)) == len(given)


def test_a_port_that_another_process_was_given_is_not_given_here(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from ops.local import ports; print(ports.free_port(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        ours = iter([theirs, theirs, *range(31_000, 31_999)])
        monkeypatch.setattr("random.randint", lambda *_bounds: next(ours))

        assert ports.free_port() != theirs
        other.communicate(b"\n")


def test_a_port_that_is_given_can_be_bound() -> None:
    with socket.socket() as server:
        server.bind((ports.HOST, ports.free_port()))
