"""What the door logs when it is we who are broken."""

import json
import subprocess
import sys
from pathlib import Path

from runtime import clock
from runtime.keys import Keyring
from tests.ingress.support import SECRET

PROGRAM = """
import asyncio, sys
from pathlib import Path

from ingress import signature
from ingress.answers import Answer
from ingress.webhook import Door
from runtime import clock, logs
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from runtime.settings import IngressSettings
from tests.ingress.support import SECRET, event, sign


class BrokenProducer:
    async def publish(self, *_):
        raise ValueError("Jenny Rosen")


keys = Path(sys.argv[1])
settings = IngressSettings(
    kafka_bootstrap_servers="127.0.0.1:9", edge_keys_file=keys, stripe_webhook_secrets=SECRET
)
logs.configure("ingress")
door = Door(settings, Keyring.from_file(keys), BrokenProducer(), Failpoints(None), clock.now)
body = event("evt_1")
claim = signature.read(sign(body), clock.now(), 300)
assert asyncio.run(door._answer(claim, body, clock.now())) is Answer.OUR_BUG
"""


def test_a_bug_that_meets_a_fact_is_logged_with_its_id_and_none_of_its_words(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    Keyring.generate(keys, clock.now())

    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(keys)], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    line = json.loads(ended.stderr.splitlines()[-1])
    told = {"event": "bug", "error": "ValueError", "fact_id": "evt_1", "topic": "stripe.events", "process": "ingress"}
    assert told.items() <= line.items()
    assert "Jenny" not in ended.stderr
    assert SECRET not in ended.stderr
