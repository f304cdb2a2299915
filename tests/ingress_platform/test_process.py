"""The platform's door as an operator starts it: by its command, and the environment alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import aiohttp
import pytest

from models.customers import account_of_platform
from ops.local import ports
from ops.local.waiting import until
from runtime.settings import STRIPE_API_BASE, PlatformSettings
from simulator.catalog import stock
from tests.ingress_platform.support import ORIGIN, PLAN, Shop, new_account
from tests.support_store import Bench
from tests.support_stripe import Pretend

CATALOG = Path(__file__).parents[2] / "deploy" / "catalog.yaml"


def environment(bench: Bench, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "BILLING_ENVIRONMENT": "test",
        "DATABASE_URL": bench.app_url,
        "STRIPE_API_KEY": "sk_test_pretend",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "STORE_KEYS_FILE": str(bench.folder / "store.json"),
        "CATALOG_FILE": str(CATALOG),
        "PLATFORM_RETURN_ORIGINS": ORIGIN,
        **more,
    }


def fetch(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def is_ready(port: int) -> bool:
    try:
        return fetch(port, "/readyz") == "ok\n"
    except (URLError, ConnectionError):
        return False


def started(told: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process that goes on until it is told to stop."""
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", "ingress.platform"], env=told, stderr=out)


def ended(told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process that ends by itself."""
    command = [sys.executable, "-m", "ingress.platform"]
    return subprocess.run(command, env=told, check=False, capture_output=True, text=True, timeout=30)


async def test_the_process_opens_its_door_shows_how_it_is_and_closes_when_told_to(bench: Bench, tmp_path: Path) -> None:
    door, aside = ports.free_port(), ports.free_port()
    log = tmp_path / "platform.log"
    process = started(environment(bench, PLATFORM_PORT=str(door), METRICS_PORT=str(aside)), log)
    try:
        await until(lambda: process.poll() is not None or is_ready(door), 30, every_seconds=0.05)
        assert process.poll() is None, log.read_text()
        assert fetch(aside, "/livez") == "ok\n"
        assert "platform_requests" in fetch(aside, "/metrics")
        assert "stripe_circuit_state" in fetch(aside, "/metrics")
        assert json.loads(fetch(door, "/openapi.json"))["openapi"] == "3.1.0"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["process"] for line in lines} == {"platform"}
    assert [line["event"] for line in lines] == ["the door is open", "the door closes"]


async def test_each_write_leaves_a_line_that_says_who_did_what_to_whom_and_no_secret(
    bench: Bench, pretend: Pretend, tmp_path: Path
) -> None:
    stock(pretend.desk.world)
    door, log, account = ports.free_port(), tmp_path / "platform.log", new_account()
    told = environment(bench, PLATFORM_PORT=str(door), METRICS_PORT=str(ports.free_port()))
    process = started(told | {"STRIPE_API_BASE": pretend.address}, log)
    try:
        await until(lambda: process.poll() is not None or is_ready(door), 30, every_seconds=0.05)
        async with aiohttp.ClientSession() as http:
            shop = Shop(pretend, bench, f"http://127.0.0.1:{door}", http, "")
            shop.token = await shop.key()
            said = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one-and-only")
            await shop.get(account)
            await shop.post(account, "checkout-sessions", {"plan": "x"})
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    [line] = [line for line in lines if line["event"] == "a write was answered"]
    about = {name: line[name] for name in ("deed", "account_id", "key_id", "correlation_id", "status", "replayed")}
    assert about == {
        "deed": "create_checkout_session",
        "account_id": account_of_platform(account),
        "key_id": f"key_{shop.token.split('_')[2]}",
        "correlation_id": said.headers["Correlation-Id"],
        "status": 201,
        "replayed": False,
    }
    for secret in (
        shop.token.split("_")[3],
        said.body["url"],
        said.body["session_id"],
        "one-and-only",
        ORIGIN,
        account,
    ):
        assert secret not in log.read_text()


def test_a_process_that_is_not_told_what_it_needs_says_so_and_ends(bench: Bench, tmp_path: Path) -> None:
    told = environment(bench)
    del told["PLATFORM_RETURN_ORIGINS"]

    untold = ended(told)
    without_catalog = ended(environment(bench, CATALOG_FILE=str(tmp_path / "nothing.yaml")))

    assert (untold.returncode, untold.stderr) == (2, "settings: PLATFORM_RETURN_ORIGINS: Field required\n")
    assert without_catalog.returncode == 1
    assert "nothing.yaml" in without_catalog.stderr


@pytest.mark.parametrize(
    "origins",
    [
        "https://shop.example/",
        "shop.example",
        "https://*.shop.example",
        "https://user@shop.example",
        "javascript:alert(1)",
        "https://Shop.example",
        "",
    ],
)
def test_an_origin_that_is_none_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    for name, value in environment(bench, PLATFORM_RETURN_ORIGINS=origins).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match="platform_return_origins"):
        PlatformSettings()


@pytest.mark.parametrize(
    ("told", "callers"),
    [
        ({}, 20),
        ({"STRIPE_REQUESTS_PER_SECOND": "80"}, 80),
        ({"STRIPE_REQUESTS_PER_SECOND": "0.2"}, 1),
        ({"STRIPE_REQUESTS_PER_SECOND": "80", "STRIPE_CALLERS_MAX": "5"}, 5),
    ],
)
def test_as_many_ask_at_once_as_may_ask_in_a_second_unless_it_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, told: dict[str, str], callers: int
) -> None:
    for name, value in environment(bench, **told).items():
        monkeypatch.setenv(name, value)

    assert PlatformSettings().callers_max == callers


def test_in_production_people_come_back_by_https_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told = environment(bench, BILLING_ENVIRONMENT="production", STRIPE_API_BASE=STRIPE_API_BASE)
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    assert PlatformSettings().platform_return_origins == (ORIGIN,)
    monkeypatch.setenv("PLATFORM_RETURN_ORIGINS", f"{ORIGIN},http://shop.example")
    with pytest.raises(ValueError, match="https in production"):
        PlatformSettings()
