"""The door is as its description says, and the description is the one that was promised.

After a change on purpose: REGENERATE=1 pytest tests/ingress_platform/test_openapi.py
"""

import asyncio
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from ingress.platform import openapi
from ingress.platform.problems import SAYS
from ingress.platform.routes import ROUTES
from tests.ingress_platform.support import BACK, DONE, Shop, new_account

GOLDEN = Path(__file__).parents[2] / "docs" / "openapi.json"
NOBODYS = "subscription_id"
SENSE = {"success_url": DONE, "cancel_url": BACK, "return_url": BACK, "plan": "high_yearly", "pack": "credits_500"}
EXAMPLES = settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def test_what_is_served_is_what_was_promised(shop: Shop) -> None:
    if os.environ.get("REGENERATE"):
        GOLDEN.write_bytes(openapi.as_bytes())

    assert GOLDEN.read_bytes() == openapi.as_bytes(), "see the top of this file"
    served = await shop.ask("GET", "/openapi.json", Authorization="")
    assert (served.status, served.headers["Content-Type"]) == (200, "application/json")
    assert served.body == openapi.document()


def test_every_problem_of_a_route_is_in_its_description() -> None:
    for route in ROUTES:
        described = openapi.document()["paths"][route.template][route.method.lower()]["responses"]

        assert {str(int(SAYS[word][0])) for word in route.all_problems} <= described.keys()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_whatever_is_sent_the_answer_is_one_that_is_described(shop: Shop, route: Any) -> None:
    statuses = [await answered(shop, route, mode, {}, {}) for mode in GenerationMode]

    assert all(400 <= status < 500 for status in itertools.chain(*statuses)), "chance makes no sense"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_what_makes_sense_is_done_and_answered_as_described(shop: Shop, route: Any) -> None:
    account = new_account()
    await shop.buy(account)
    [payment] = (await shop.get(account)).body["payments"]
    ids = {"account": account, "payment": payment["payment_id"]}

    statuses = await answered(shop, route, GenerationMode.POSITIVE, ids, SENSE)

    assert int(route.status) in statuses


async def answered(
    shop: Shop, route: Any, mode: GenerationMode, ids: Mapping[str, str], sense: Mapping[str, str]
) -> set[int]:
    """The statuses of many requests that schemathesis made.  It checks all that it can of the answers, but that what
    fits the description is never refused: the business has its reasons.
    """
    operation = schemathesis.openapi.from_dict(openapi.document())[route.template][route.method]
    headers = {"Authorization": f"Bearer {shop.token}"}
    statuses = set()

    @EXAMPLES
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and route.writes:
            case.headers["Idempotency-Key"] = str(uuid4())
        if ids:
            case.path_parameters = {name: ids[name] for name in route.parameters}
        if sense and route.writes:
            case.body = {name: sense.get(name, value) for name, value in case.body.items() if name != NOBODYS}
        said = case.call_and_validate(
            base_url=shop.address, headers=headers, excluded_checks=[positive_data_acceptance], timeout=10
        )
        statuses.add(said.status_code)

    await asyncio.to_thread(each)
    return statuses
