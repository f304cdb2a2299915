"""Deliveries that never come: what Stripe lists beside what we have, told until nothing is missing."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
            return await self.known() == count and not await self.pipeline.rows(
                "SELECT 1 FROM outbox WHERE sent_at IS NULL LIMIT 1"
            )

        await until(all_in, SETTLED_SECONDS_MAX)

    async def check(self) -> None:
        """The reports are the pretend Stripe's own books, to the cent."""
        reported = await shown_by_reports(self.pipeline)
        for name, rows in shown_by_them(books_of(self.world).money).items():
            assert unlike(reported[name], rows) == {}, name
        await self.pipeline.check_all_but_state()


def unlike(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """What differs, by id and field: ours, then theirs."""
    assert set(ours) == set(theirs)
    return {
        of: {name: (ours[of][name], told) for name, told in theirs[of].items() if ours[of][name] != told}
        for of in theirs
        if ours[of] != theirs[of]
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
        await life.lose(0.2)
        await life.days(100)
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
