"""`stripe-mock`, Stripe's own, through the Go module proxy: it knows every parameter, and carries the description."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = "github.com/stripe/stripe-mock@v0.203.0"
ROOT = Path(__file__).parents[2]
STARTS_WITHIN_SECONDS = 30
KEPT = ROOT / ".cache" / "stripe-mock"


def description() -> Path:
    """Stripe's OpenAPI description, as the module carries it."""
    told = json.loads(_go("mod", "download", "-json", MODULE))
    return Path(told["Dir"]) / "embedded" / "openapi" / "spec3.json"


@contextlib.contextmanager
def running(log: Path) -> Iterator[str]:
    """The address of a stripe-mock that runs for as long as the block does.  What it says goes to *log*."""
    with log.open("wb") as said:
        process = subprocess.Popen([_binary(), "-http-addr", "127.0.0.1:0"], stdout=said, stderr=said)
        try:
            yield _address(process, log)
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Listening for HTTP at address: (\S+)", log.read_text()):
            return f"http://{found[1]}"
        time.sleep(0.02)
    raise AssertionError(f"stripe-mock does not listen: {log.read_text()}")


def _binary() -> Path:
    """Built once, by the first of all the processes that test, and kept beside the other things that were fetched."""
    built = KEPT / MODULE.rpartition("@")[2] / "stripe-mock"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            # It answers a few hundred requests in its life: nothing is gained by what a compiler spends on speed.
            quickly = ("-gcflags=all=-N -l", "-ldflags=-s -w")
            _go("install", *quickly, MODULE, GOBIN=str(built.parent), CGO_ENABLED="0", GOGC="off")
    return built


def _go(*words: str, **environment: str) -> str:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed, and stripe-mock comes through its module proxy: fidelity was not checked.")
    made = subprocess.run(
        [go, *words],
        env=os.environ | {"GOFLAGS": "-mod=mod"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout
