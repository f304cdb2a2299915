"""Death at every point, on the first and on a second copy, on every path that a decision of a worker can take.

What an operator decides about parked facts (redrive, discard) happens in no worker: `tests/store` lets it die at each
of its statements.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from tests.support_pipeline import Body, Pipeline, subscription_event

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

ON_THE_WAY_IN = ("after_verify", "after_produce_ack", "after_consume", "in_transaction", "after_commit")
ON_THE_WAY_OUT = ("outbox_claimed", "outbox_sent")
START = 1_790_000_000
_numbers = itertools.count(1)


class Life:
    """One subscriber's events, each with an id of its own."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.events = itertools.count(1)

    def event(self, second: int, **differently: str) -> dict[str, object]:
        return dict(
            subscription_event(
                f"evt_path_{self.number}_{next(self.events)}",
                created=START + second,
                subscription=f"sub_path_{self.number}",
                customer=f"cus_path_{self.number}",
                **differently,
            )
        )

    def customer_event(self, second: int, kind: str, account: str | None = None) -> dict[str, object]:
        metadata = {"account_id": account} if account else {}
        shown = {"id": f"cus_path_{self.number}", "object": "customer", "livemode": False, "metadata": metadata}
        return self.event(second) | {"type": f"customer.{kind}", "data": {"object": shown}}

    def unreadable(self, second: int) -> dict[str, object]:
        event = self.event(second)
        shown = {"id": f"sub_path_{self.number}", "customer": f"cus_path_{self.number}", "status": 7}
        return event | {"data": {"object": shown}}


@dataclass(frozen=True, slots=True)
class Path:
    """What came before, the event on the path, and what becomes of it."""

    before: tuple[Body, ...]
    event: Body
    outcome: str
    reason: str | None = None
    says: bool = True


def began() -> Path:
    return Path((), Life().event(0, kind="created"), "applied")


def changed() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"),), life.event(9, status="past_due"), "applied")


def woven_into_its_second() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"), life.event(5)), life.event(5, lookup_key="high_monthly"), "applied")


def late() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"), life.event(9)), life.event(5, status="past_due"), "stale", "stale")


def ended() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"),), life.event(9, kind="deleted", status="canceled"), "applied")


def after_the_end() -> Path:
    life = Life()
    return Path((life.event(9, kind="deleted", status="canceled"),), life.event(12), "refused", "after_end", says=False)


def unknown_price() -> Path:
    return Path((), Life().event(0, lookup_key="of_another_shop"), "applied")


def ignored() -> Path:
    return Path((), Life().event(0) | {"type": "invoice.created"}, "ignored", "not_ours", says=False)


def customer_named_late() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"),), life.customer_event(3, "updated", f"plat_{life.number}"), "applied")


def customer_named_twice() -> Path:
    life = Life()
    named = life.customer_event(3, "updated", f"plat_{life.number}")
    return Path((named,), life.customer_event(5, "updated", f"other_{life.number}"), "applied")


def customer_deleted() -> Path:
    life = Life()
    return Path((life.event(0, kind="created"),), life.customer_event(9, "deleted"), "applied", says=False)


def conflicting_copy() -> Path:
    life = Life()
    first = life.event(0, kind="created")
    return Path((first,), life.event(0, kind="created", status="past_due") | {"id": first["id"]}, "applied")


def unreadable() -> Path:
    return Path((), Life().unreadable(0), "parked")


def behind_an_unreadable_one() -> Path:
    life = Life()
    return Path((life.unreadable(0),), life.event(5), "parked", "follows")


PATHS: Mapping[str, Callable[[], Path]] = {
    path.__name__: path
    for path in (
        *(began, changed, woven_into_its_second, late, ended, after_the_end, unknown_price, ignored),
        *(customer_named_late, customer_named_twice, customer_deleted, conflicting_copy),
        *(unreadable, behind_an_unreadable_one),
    )
}


@pytest.mark.parametrize("failpoint", ON_THE_WAY_IN)
@pytest.mark.parametrize("copy", ["first", "duplicate"])
@pytest.mark.parametrize("path", PATHS)
async def test_death_on_any_path_changes_nothing_about_its_end(
    pipeline: Pipeline, path: str, copy: str, failpoint: str
) -> None:
    told = PATHS[path]()
    for event in told.before if copy == "first" else (*told.before, told.event):
        await pipeline.deliver(event)
        await pipeline.drained()
    pipeline.arm(failpoint)

    await pipeline.deliver(told.event)

    await ended_as_told(pipeline, told, failpoint)


@pytest.mark.parametrize("failpoint", ON_THE_WAY_OUT)
@pytest.mark.parametrize("path", [name for name, path in PATHS.items() if path().says])
async def test_death_of_the_relay_on_any_path_changes_nothing_about_what_is_said(
    pipeline: Pipeline, path: str, failpoint: str
) -> None:
    told = PATHS[path]()
    for event in told.before:
        await pipeline.deliver(event)
        await pipeline.drained()
    pipeline.arm(failpoint)

    await pipeline.deliver(told.event)

    await ended_as_told(pipeline, told, failpoint)


async def ended_as_told(pipeline: Pipeline, told: Path, failpoint: str) -> None:
    await pipeline.fired(failpoint)
    await pipeline.all_ready()
    await pipeline.drained()
    await pipeline.check()
    rows = await pipeline.rows("SELECT outcome, reason FROM reports.facts WHERE fact_id = %(id)s", id=told.event["id"])
    assert [row["outcome"] for row in rows] == [told.outcome]
    assert told.reason in {None, rows[0]["reason"]}
