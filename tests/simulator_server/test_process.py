import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]


def test_the_process_tells_its_address_and_leaves_when_asked() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator.server", "--seed", "3", "--port", "0", "--rate-per-second", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with urlopen(f"{told['address']}/_pretend/now", timeout=10) as answer:
            assert json.load(answer)["now"] == told["now"]
        assert told["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
