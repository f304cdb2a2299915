"""Deliveries that never come: what Stripe lists beside what we have, told until nothing is missing."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ops.local.stack import EVERYTHING
from ops.local.waiting import until
from simulator import story
from simulator.books import books_of
from simulator.clock import DAY_SECONDS
from simulator.server.desk import desk_for
from simulator.server.serving import serving
from simulator.world import World
from tests.e2e.test_payments import shown_by_reports
from tests.models.support_money import shown_by_them
from tests.support_figures import Figure
from tests.support_ops_commands import billing
from tests.support_pipeline import Pipeline, running

pytestmark = pytest.mark.e2e

SUBSCRIBERS = 24
CATALOG = Path(__file__).parents[2] / "deploy" / "catalog.yaml"
SETTLED_SECONDS_MAX = 90.0


@dataclass(frozen=True)
class Life:
    """A pretend Stripe whose webhooks come to a real pipeline, and the strings behind it."""

    pipeline: Pipeline
    world: World
    address: str
    http: aiohttp.ClientSession

    async def lose(self, share: float) -> None:
        """From now on so many deliveries are never made."""
        async with self.http.post("/_pretend/disorder", json={"drop_share": share}) as answer:
            assert answer.status == 200

    async def days(self, count: int) -> None:
        async with self.http.post("/_pretend/advance", json={"days": count}) as answer:
            assert answer.status == 200

    async def ask(self, method: str, path: str, **form: str) -> Any:
        """What Stripe answers to a platform."""
        headers = {"Authorization": "Bearer sk_test_pretend"}
        async with self.http.request(method, path, data=form or None, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def lost(self) -> int:
        async with self.http.get("/_pretend/deliveries/summary") as answer:
            counts = await answer.json()
        assert counts["waiting"] == 0, "whatever was not lost was accepted"
        return int(counts["dropped"])

    async def known(self) -> int:
        """How many of Stripe's own events the books have."""
        ids = [one.event_id for one in self.world.happenings]
        rows = await self.pipeline.rows("SELECT count(*) AS n FROM inbox WHERE fact_id = ANY(%(ids)s)", ids=ids)
        return int(rows[0]["n"])

    async def taken(self, count: int) -> None:
        async def all_in() -> bool:
            return await self.known() == count and not await self.pipeline.rows("SELECT 1 FROM unsent_events LIMIT 1")

        await until(all_in, SETTLED_SECONDS_MAX)

    async def check(self) -> None:
        """The reports are the pretend Stripe's own books, to the cent."""
        reported = await shown_by_reports(self.pipeline)
        for name, rows in shown_by_them(books_of(self.world).money).items():
            assert unlike(reported[name], rows) == {}, name
        await self.pipeline.check_all_but_state()


def unlike(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """What differs, by id and field: ours, then theirs.  Since when it is there Stripe tells of nobody it deleted."""
    assert set(ours) == set(theirs)
    differing = {
        of: {name: (ours[of][name], told) for name, told in theirs[of].items() if ours[of][name] != told}
        for of in theirs
    }
    untold = {of for of, row in ours.items() if row.get("deleted") and row["since"] is None}
    return {
        of: fields for of, fields in differing.items() if fields and not (of in untold and set(fields) == {"since"})
    }


@asynccontextmanager
async def living(home: Path, shell: pytest.MonkeyPatch, *beside: str, **settings: str) -> AsyncIterator[Life]:
    """Subscribers who live by themselves, and `billing` at an operator's shell."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    world = World(seed)
    story.let_arrive(world, SUBSCRIBERS)
    desk = desk_for(world, asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address, aiohttp.ClientSession(address) as http:
        told = {"STRIPE_API_BASE": address, "ASK_AFTER_SECONDS": "1", **settings}
        async with running(home, names=(*EVERYTHING, "stripe-requests", *beside), settings=told) as pipeline:
            stack = pipeline.stack
            for name, value in {
                "DATABASE_URL": pipeline.database_url,
                "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
                "EDGE_KEYS_FILE": str(stack.credentials.edge_keys_file),
                "CATALOG_FILE": str(CATALOG),
                "STRIPE_API_BASE": address,
                "STRIPE_API_KEY": "sk_test_pretend",
                "STRIPE_REQUESTS_PER_SECOND": "100",
                "COLUMNS": "80",
            }.items():
                shell.setenv(name, value)
            life = Life(pipeline, world, address, http)
            asked = {"url": stack.webhook_url, "enabled_events[]": "*"}
            endpoint_id = (await life.ask("POST", "/v1/webhook_endpoints", **asked))["id"]
            secret = {"secret": stack.webhook_secret}
            async with http.post(f"/_pretend/webhook_endpoint/{endpoint_id}/take_secret", json=secret) as answer:
                assert answer.status == 200
            yield life


async def said(*words: str, status: int = 0) -> Any:
    """What `billing` says as JSON; it ends with *status*."""
    answer = await billing(*words, "--json")
    assert answer.exit_code == status, (answer.output, answer.exception)
    assert answer.stdout.startswith("{"), answer.output[:500]
    return json.loads(answer.stdout)


async def test_a_fifth_of_all_deliveries_is_lost_and_the_list_of_events_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    async with living(tmp_path / "home", monkeypatch) as life:
        await life.lose(0.2)
        await life.days(29)
        lost, count = await life.lost(), len(life.world.happenings)
        assert lost > count / 10
        await life.taken(count - lost)

        counted = await said("backfill", "--dry-run")
        assert (counted["listed"], counted["missing"], counted["told"]) == (count, lost, 0)
        told = await said("backfill")
        assert (told["listed"], told["missing"], told["told"]) == (count, lost, lost)
        await life.taken(count)
        await life.pipeline.at_rest()

        assert (await said("backfill"))["missing"] == 0
        await life.check()
    figure(f"{lost} of {count} deliveries lost, and all brought by the list of events")


async def test_a_fifth_of_all_deliveries_is_lost_and_reconciling_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    async with living(tmp_path / "home", monkeypatch) as life:
        await life.lose(1.0)
        unshown = (await life.ask("POST", "/v1/customers"))["id"]
        await life.days(1)
        await life.lose(0.0)
        await life.ask("POST", "/v1/payment_intents", amount="100", currency="usd", customer=unshown)
        await life.days(1)
        await life.lose(0.2)
        await life.days(98)
        lost = await life.lost()
        await life.taken(len(life.world.happenings) - lost)
        await life.pipeline.at_rest()

        found = await said("reconcile", status=1)
        mended = await said("reconcile", "--repair")
        assert mended["after"]["drift"] == 0
        assert mended["told"] == mended["before"]["drift"] == found["drift"] > 0
        await life.pipeline.at_rest()
        await life.check()
        assert (await said("reconcile", "--repair"))["told"] == 0
    figure(f"{lost} deliveries lost, {found['drift']} of {sum(found['listed'].values())} objects apart, then none")


async def test_for_forty_days_nothing_is_delivered_and_reconciling_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    async with living(tmp_path / "home", monkeypatch) as life:
        leaver = (await life.ask("POST", "/v1/customers"))["id"]
        await life.days(50)
        await life.taken(len(life.world.happenings))
        before = life.world.now
        await life.lose(1.0)
        await life.ask("DELETE", f"/v1/customers/{leaver}")
        await life.days(40)
        lost = await life.lost()
        assert life.world.now - before == 40 * DAY_SECONDS
        brought = (await said("backfill"))["told"]
        assert brought < lost, "the list of events does not reach so far back"

        mended = await said("reconcile", "--repair")
        assert mended["told"] > 0
        assert mended["after"]["drift"] == 0
        await life.pipeline.at_rest()
        await life.check()
    figure(f"{lost} deliveries lost in 40 days; events brought {brought}, reconciling {mended['told']} objects")


async def test_the_sweep_brings_by_itself_what_no_webhook_brought_however_often_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    fast = {"SWEEP_SECONDS": "0.2", "SWEEP_SETTLE_SECONDS": "0", "STRIPE_REQUESTS_PER_SECOND": "100"}
    async with living(tmp_path / "home", monkeypatch, "sweep", **fast) as life:
        await life.lose(1.0)
        kills = 0
        for _ in range(4):
            await life.days(10)
            life.pipeline.stack.supervisor.kill("sweep")
            kills += 1
            await life.taken(len(life.world.happenings))
        await life.pipeline.at_rest()
        await life.check()
        count = len(life.world.happenings)
    figure(f"{count} events, none delivered, all swept; the sweep was killed {kills} times")


async def test_what_one_has_already_is_imported_as_history_even_when_it_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    async with living(tmp_path / "home", monkeypatch) as life:
        await life.lose(1.0)
        await life.days(200)
        gone_live = datetime.fromtimestamp(life.world.now, UTC).isoformat()
        command = [sys.executable, "-m", "ops.cli", "import", "--go-live-at", gone_live]
        slow = {"kind": "slow", "path": "/v1/invoices", "seconds": 20.0, "count": 1}
        async with life.http.post("/_pretend/faults", json=slow) as answer:
            assert answer.status == 200, await answer.text()
        first = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        await until(lambda: said_of(life, "customer"), SETTLED_SECONDS_MAX)
        await until(lambda: asked_for(life, "/v1/invoices"), SETTLED_SECONDS_MAX)
        first.kill()
        await first.wait()
        assert not await said_of(life, "invoice")

        told = await said("import", "--go-live-at", gone_live)
        assert told["listed"].keys().isdisjoint({"customer", "product", "subscription"}), "those were done"
        assert (await said("reconcile"))["drift"] == 0
        await life.pipeline.at_rest()
        await life.check()
        data = [
            json.loads(row["data"]) for row in await life.pipeline.rows("SELECT data FROM outbox ORDER BY outbox_id")
        ]
        assert data
        assert all(one["historical"] for one in data)
        assert not await life.pipeline.rows("SELECT 1 FROM outbox WHERE type LIKE 'billing.alert.%%'")
        again = await billing("import", "--go-live-at", "2031-01-01")
        assert again.exit_code == 1
        assert "as was said before; that stays" in again.output

        await life.lose(0.0)
        count = len(life.world.happenings)
        await life.days(45)  # Whoever is still there has paid, or tried to.
        await life.taken(len(life.world.happenings) - count)
        await life.pipeline.at_rest()
        await life.check()
        live = [
            json.loads(row["data"]) for row in await life.pipeline.rows("SELECT data FROM outbox ORDER BY outbox_id")
        ][len(data) :]
        assert live
        assert not any(one["historical"] for one in live)
    figure(
        f"{told['told']} of {sum(told['listed'].values())} objects imported after a kill, {len(data)} events of history"
    )


async def said_of(life: Life, kind: str) -> bool:
    """Whether the books have an object of a kind."""
    return bool(await life.pipeline.rows("SELECT 1 FROM stripe_objects WHERE kind = %(kind)s LIMIT 1", kind=kind))


async def asked_for(life: Life, path: str) -> bool:
    """Whether Stripe was asked there."""
    async with life.http.get("/_pretend/journal") as answer:
        return any(entry["path"] == path for entry in await answer.json())
