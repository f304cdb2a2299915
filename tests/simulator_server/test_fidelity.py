"""Fidelity, judged from outside: by Stripe's own description, and by Stripe's own mock."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from simulator.server.desk import desk_for
from simulator.server.resources.all import ROUTES
from simulator.server.routes import Routes
from simulator.server.serving import serving
from simulator.shapes import NEWEST, render
from simulator.story import tell
from simulator.world import World
from tests.simulator_server import support_stripe_mock
from tests.simulator_server.support import KEY, Pretend, client_of
from tests.simulator_server.support_openapi import Spec
from tests.simulator_server.support_tour import Visit, take

JUDGED_PER_TYPE_MAX = 20
NOT_DESCRIBED = "/v2/"  # Stripe describes its first API alone.

# What Stripe still shows, though its description is silent about it.
SHOWN_ALL_THE_SAME = {
    ".total_count",  # Of a list inside a thing.
    "charge.source",
    "dispute.balance_transaction",
    "payment_intent.source",
    "product.type",
    "recurring.trial_period_days",
    "subscription_item.plan",
    "subscription_schedule_configuration_item.plan",
}


@pytest.fixture(scope="module")
def toured() -> World:
    """The world that the tour leads through."""
    return World(seed=11)


@pytest.fixture(scope="module")
def visits(toured: World) -> list[Visit]:
    async def tour() -> list[Visit]:
        desk = desk_for(toured, asyncio.get_running_loop().time, rate_per_second=0)
        async with serving(desk) as address, aiohttp.ClientSession(address) as http:
            visits = await take(Pretend(desk, address, client_of(address, http), http))
        await asyncio.sleep(0)
        return visits

    return asyncio.run(tour())


@pytest.fixture(scope="module")
def spec() -> Spec:
    return Spec(support_stripe_mock.description())


@pytest.fixture(scope="module")
def stripe_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log: Path = tmp_path_factory.mktemp("stripe-mock") / "log"
    with support_stripe_mock.running(log) as address:
        yield address


def test_the_tour_sees_every_place(visits: list[Visit]) -> None:
    routes = Routes(ROUTES)
    seen = {routes.find(visit.method, visit.path)[0].path + visit.method for visit in visits if visit.status == 200}

    assert {route.path + route.method for route in routes.all()} - seen == set()


def test_every_place_and_every_parameter_is_one_of_stripes(spec: Spec) -> None:
    strange = []
    for route in Routes(ROUTES).all():
        if route.path.startswith(NOT_DESCRIBED):
            continue
        operation = spec.operation(route.method, route.path)
        known = spec.parameters(operation)["properties"] if operation else None
        strange += [f"{route.method} {route.path}"] if known is None else []
        strange += [f"{route.method} {route.path} {name}" for name in route.accepts.fields if name not in (known or {})]

    assert strange == []


def test_every_answer_is_as_stripe_describes_it(visits: list[Visit], spec: Spec) -> None:
    findings: dict[str, str] = {}
    judged = 0
    for visit in visits:
        operation = spec.operation(visit.method, visit.path)
        if operation is None:
            assert visit.path.startswith(NOT_DESCRIBED), visit
            continue
        judged += 1
        for finding in spec.findings(operation, visit.status, visit.body):
            if finding.place not in SHOWN_ALL_THE_SAME:
                findings.setdefault(str(finding), str(visit))

    assert not findings, "\n".join(f"{finding} <- {visit}" for finding, visit in findings.items())
    assert judged > 150


@pytest.mark.usefixtures("visits")
def test_every_event_is_of_a_type_of_stripes_and_carries_a_thing_as_stripe_describes_it(
    toured: World, spec: Spec
) -> None:
    known = spec.parameters(spec.operation("POST", "/v1/webhook_endpoints") or {})["properties"]["enabled_events"]
    findings: dict[str, str] = {}
    told = Counter[str]()
    for happening in (*toured.happenings, *tell(seed=5, subscribers=12).happenings):
        told[happening.type] += 1
        if told[happening.type] <= JUDGED_PER_TYPE_MAX:
            shown = render(happening, NEWEST)["data"]["object"]
            for finding in spec.findings_of_thing(shown):
                if finding.place not in SHOWN_ALL_THE_SAME:
                    findings.setdefault(str(finding), happening.type)

    assert not findings, "\n".join(f"{finding} <- {event_type}" for finding, event_type in findings.items())
    assert told.keys() <= set(known["items"]["enum"])
    assert len(told) > 50


async def test_every_request_of_the_tour_is_accepted_by_stripes_own_mock(visits: list[Visit], stripe_mock: str) -> None:
    refused = []
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
    async with aiohttp.ClientSession(stripe_mock, headers=headers) as http:
        for visit in visits:
            if visit.status != 200 or visit.path.startswith(NOT_DESCRIBED):
                continue
            url = visit.path if visit.method == "POST" else f"{visit.path}?{visit.form}"
            sent = visit.form if visit.method == "POST" else None
            async with http.request(visit.method, url, data=sent) as answer:
                if answer.status != 200:
                    refused.append(f"{visit}: {await answer.text()}")
    await asyncio.sleep(0)

    assert not refused, "\n".join(refused)


def test_the_judge_sees_what_is_wrong(visits: list[Visit], spec: Spec) -> None:
    """A judge that finds nothing must be able to find something."""
    visit = next(one for one in visits if (one.method, one.path) == ("POST", "/v1/customers"))
    operation = spec.operation(visit.method, visit.path)
    assert operation is not None
    wrong = visit.body | {"livemode": "no", "pony": 1, "tax_exempt": "never"}
    del wrong["created"]

    found = {str(finding).split(":")[0] for finding in spec.findings(operation, 200, wrong)}

    assert found == {".livemode", ".pony", ".tax_exempt", ".created"}
