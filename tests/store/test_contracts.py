"""What must hold for every kind of fact.  A new kind is one line in CASES, and inherits all of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from models.books import Outcome
from store import positions
from store.intake import Bounds
from store.postgres import Connection, Database
from tests.support_store import GROUP, NEW, NOW, TOPIC, Bench, Told, changed, customer, told


@dataclass(frozen=True, slots=True)
class Case:
    """A fact, what was heard before it, and what becomes of it."""

    fact: Told
    outcome: Outcome
    before: tuple[Told, ...] = ()


CREATED = changed("evt_0", NOW - 100, kind="created", status="trialing")
ENDED = changed("evt_00", NOW - 50, kind="deleted", status="canceled", quantity=3)
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 2900,
    "amount_captured": 2900,
    "amount_refunded": 0,
    "created": NOW,
    "currency": "usd",
    "customer": "cus_1",
    "livemode": False,
    "payment_intent": "pi_1",
    "status": "succeeded",
}
REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "charge": "ch_1",
    "created": NOW,
    "currency": "usd",
    "payment_intent": "pi_1",
    "status": "succeeded",
}
INVOICE = {
    "id": "in_1",
    "object": "invoice",
    "amount_due": 2900,
    "amount_paid": 2900,
    "created": NOW,
    "currency": "usd",
    "customer": "cus_1",
    "livemode": False,
    "status": "paid",
    "total": 2900,
}
INVOICE_PAYMENT = {
    "id": "inpay_1",
    "object": "invoice_payment",
    "invoice": "in_1",
    "livemode": False,
    "payment": {"payment_intent": "pi_1", "type": "payment_intent"},
    "status": "paid",
}
CASES = {
    "a subscription begins": Case(changed("evt_1", kind="created"), Outcome.APPLIED),
    "a subscription begins, and the platform names it": Case(
        changed("evt_1", kind="created", account="P1"), Outcome.APPLIED
    ),
    "a subscription changes": Case(changed("evt_1", status="past_due"), Outcome.APPLIED, (CREATED,)),
    "a subscription changes, in the newer shape": Case(
        changed("evt_1", quantity=2, api_version=NEW), Outcome.APPLIED, (CREATED,)
    ),
    "a subscription changes to a price that is not for sale": Case(
        changed("evt_1", lookup_key="unheard_of"), Outcome.APPLIED, (CREATED,)
    ),
    "a subscription ends": Case(changed("evt_1", kind="deleted", status="canceled"), Outcome.APPLIED, (CREATED,)),
    "a trial will end": Case(changed("evt_1", kind="trial_will_end", status="trialing"), Outcome.APPLIED, (CREATED,)),
    "an older change comes late": Case(changed("evt_1", NOW - 200, quantity=5), Outcome.STALE, (CREATED,)),
    "life after the end": Case(changed("evt_1", quantity=4), Outcome.REFUSED, (CREATED, ENDED)),
    "a customer comes": Case(customer("evt_1", kind="created"), Outcome.APPLIED),
    "a customer comes with a name": Case(customer("evt_1", kind="created", account="P1"), Outcome.APPLIED),
    "a customer with a subscription is named": Case(customer("evt_1", account="P1"), Outcome.APPLIED, (CREATED,)),
    "a customer is named twice": Case(
        customer("evt_1", account="P2"), Outcome.APPLIED, (customer("evt_01", NOW - 9, account="P1"), CREATED)
    ),
    "a customer goes": Case(customer("evt_1", kind="deleted"), Outcome.APPLIED, (CREATED,)),
    "something that nobody listens to": Case(told("plan.created", {"id": "price_1"}), Outcome.IGNORED),
    "something about a customer that nobody listens to": Case(
        told("customer.discount.created", {"id": "di_1", "customer": "cus_1"}), Outcome.IGNORED, (CREATED,)
    ),
    "a charge succeeds": Case(told("charge.succeeded", CHARGE), Outcome.APPLIED),
    "a charge succeeds, and nobody knows whose it is": Case(
        told("charge.succeeded", CHARGE | {"customer": None}), Outcome.WAITING
    ),
    "a charge is refunded": Case(
        told("charge.refunded", CHARGE | {"amount_refunded": 500}, previous={"amount_refunded": 0}),
        Outcome.APPLIED,
        (told("charge.succeeded", CHARGE, created=NOW - 9, event_id="evt_0"),),
    ),
    "a refund comes before its charge is known": Case(told("refund.created", REFUND), Outcome.WAITING),
    "a refund comes behind its charge": Case(
        told("refund.created", REFUND), Outcome.APPLIED, (told("charge.succeeded", CHARGE, event_id="evt_0"),)
    ),
    "a charge comes that a refund has waited for": Case(
        told("charge.succeeded", CHARGE), Outcome.APPLIED, (told("refund.created", REFUND, event_id="evt_0"),)
    ),
    "two halves of a payment are linked": Case(
        told("invoice_payment.paid", INVOICE_PAYMENT),
        Outcome.APPLIED,
        (
            told("invoice.paid", INVOICE, event_id="evt_0", api_version=NEW),
            told("charge.succeeded", CHARGE, event_id="evt_00"),
        ),
    ),
    "a customer with a payment is named": Case(
        customer("evt_1", account="P1"), Outcome.APPLIED, (told("charge.succeeded", CHARGE, event_id="evt_0"),)
    ),
    "a charge that does not say how much": Case(
        told("charge.succeeded", CHARGE | {"amount": None}), Outcome.PARKED, (CREATED,)
    ),
    "a body that cannot be read": Case(changed("evt_1", status="dancing"), Outcome.PARKED, (CREATED,)),
    "a body behind one that cannot be read": Case(
        changed("evt_1"), Outcome.PARKED, (CREATED, changed("evt_01", NOW - 9, status="dancing"))
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


class Died(BaseException):
    """The process was killed: nothing of ours may run any more."""


class Mortal(Database):
    """Connections that die at their n-th statement; of those they live through, they keep the count."""

    statements = 0
    dies_at = -1

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with super().connection() as connection:
            yield _Mortal(connection, self)  # type: ignore[misc]  # All of a connection that anybody uses.


class _Mortal:
    def __init__(self, connection: Connection, owner: Mortal) -> None:
        self._connection = connection
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        self._owner.statements += 1
        if self._owner.statements == self._owner.dies_at:
            raise Died
        return await self._connection.execute(*args, **kwargs)


@every_case
async def test_a_fact_becomes_what_its_case_says(bench: Bench, case: Case) -> None:
    intake = await bench.intake()
    await intake.take(bench.records([*case.before, case.fact]))

    [row] = bench.sql("SELECT outcome FROM reports.facts WHERE fact_id = %(id)s", {"id": case.fact.id})
    assert row["outcome"] == case.outcome


@every_case
async def test_delivered_twice_counts_once(bench: Bench, case: Case) -> None:
    intake = await bench.intake()
    records = bench.records([*case.before, case.fact])
    await intake.take(records)
    once = bench.tables(but=["positions"])

    await intake.take(records[-1:])
    assert bench.tables(but=["positions"]) == once, "Kafka brought the same record again"

    await intake.take(bench.records([case.fact]))
    assert bench.tables(but=["positions"]) == once, "Stripe sent it again"

    await intake.take(bench.records([case.fact, *case.before, case.fact]))
    assert bench.tables(but=["positions"]) == once, "all of it came again in one batch"


@every_case
async def test_twice_within_one_batch_counts_once(bench: Bench, case: Case) -> None:
    intake = await bench.intake()
    await intake.take(bench.records([*case.before, case.fact]))
    once = bench.tables(but=["positions"])
    bench.wipe()

    intake = await bench.intake()
    await intake.take(bench.records([*case.before, case.fact, case.fact]))
    assert bench.tables(but=["positions"]) == once


@every_case
async def test_dying_at_any_statement_leaves_nothing_behind(bench: Bench, case: Case) -> None:
    *earlier, last = bench.records([*case.before, case.fact])
    await (await bench.intake()).take(earlier)
    mortal = await bench.stack.enter_async_context(Mortal(bench.app_url, application_name="mortal"))
    dying = await bench.intake(bench.tools(database=mortal))
    before = bench.fingerprint()
    for statement in range(1, 100):
        mortal.statements, mortal.dies_at = 0, statement
        try:
            await dying.take([last])
        except Died:
            assert bench.fingerprint() == before, f"something was left behind by statement {statement}"
        else:
            break
    assert mortal.statements > 8, "the transaction was not lived through"
    recovered = bench.tables()
    bench.wipe()

    await (await bench.intake()).take([*earlier, last])
    assert recovered == bench.tables(), "the retry gives the same as an undisturbed run"


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.outcome in {Outcome.REFUSED, Outcome.IGNORED}]
)
async def test_a_refusal_leaves_the_present_alone_and_says_nothing_about_it(bench: Bench, case: Case) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(case.before))
    present, said = bench.table("subscriptions"), bench.table("outbox")

    await intake.take(bench.records([case.fact]))

    assert bench.table("subscriptions") == present
    new = bench.table("outbox")[len(said) :]
    assert all(row["type"] == "billing.subscription.amended.v1" for row in new)
    assert case.outcome is Outcome.REFUSED or not new, "what nobody listens to is not even history"


async def test_facts_of_one_account_take_turns(bench: Bench) -> None:
    """Two writers, several partitions, facts of the same customers and accounts in both: every number is given once."""
    dice = random.Random(7)
    streams = [bench.records(_traffic(dice, part), partition=part) for part in range(4)]
    seeds = await bench.intake(partitions=range(4))
    await seeds.take([])

    async def work(parts: Sequence[int], seed: int) -> None:
        database = await bench.other_database()
        intake = await bench.intake(bench.tools(database=database), partitions=parts)
        sizes = random.Random(seed)
        queues = [list(streams[part]) for part in parts]
        while any(queues):
            batch = [queue.pop(0) for queue in queues for _ in range(min(len(queue), sizes.randint(1, 4)))]
            await intake.take(batch)

    await asyncio.gather(work([0, 1], 1), work([2, 3], 2))

    assert bench.table("parked") == []
    assert len(bench.table("journal")) == sum(map(len, streams))
    assert_numbers_are_gapless(bench)
    positions = bench.sql("SELECT partition, next_offset FROM consumer_positions ORDER BY partition")
    assert [row["next_offset"] for row in positions] == [len(stream) for stream in streams]


def assert_numbers_are_gapless(bench: Bench) -> None:
    """Accounts count their facts, and each topic what it says of an account, without a gap and in order of saying."""
    journal = bench.sql("SELECT account_id, account_seq FROM journal ORDER BY account_id, account_seq")
    counted: dict[str, int] = {}
    for row in journal:
        counted[row["account_id"]] = counted.get(row["account_id"], 0) + 1
        assert row["account_seq"] in {None, counted[row["account_id"]]}
    accounts = bench.sql("SELECT account_id, last_seq FROM accounts")
    assert {row["account_id"]: row["last_seq"] for row in accounts if row["last_seq"]} == {
        account: count for account, count in counted.items() if account
    }
    said: dict[tuple[str, str], list[int]] = {}
    for row in bench.sql(
        "SELECT topic, account_id, sequence FROM outbox WHERE sequence IS NOT NULL ORDER BY outbox_id"
    ):
        said.setdefault((row["topic"], row["account_id"]), []).append(row["sequence"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in said.values()), said
    lasts = bench.sql("SELECT topic, account_id, last_sequence FROM outbox_sequences")
    assert {(row["topic"], row["account_id"]): row["last_sequence"] for row in lasts} == {
        key: len(numbers) for key, numbers in said.items()
    }


def _traffic(dice: random.Random, part: int) -> list[Told]:
    """Sixty facts about five customers of whom two share an account, which their first naming reveals at some point."""
    facts: list[Told] = []
    for number in range(60):
        who = dice.randrange(5)
        name = {0: "P1", 1: "P1", 2: "P2"}.get(who)
        facts.append(
            changed(
                f"evt_{part}_{number}",
                NOW + dice.randrange(40),
                customer=f"cus_{who}",
                sid=f"sub_{who}",
                account=name if dice.random() < 0.3 else None,
                quantity=dice.randint(1, 4),
            )
        )
    return facts


async def test_a_position_beyond_what_a_group_was_given_is_nobodys(bench: Bench) -> None:
    """Groups do not share positions: what one has read, another reads anew."""
    await (await bench.intake()).take(bench.records([CREATED]))

    assert await positions.assigned(bench.database, "another", {(TOPIC, 0): Bounds(0, 1)}) == {(TOPIC, 0): 0}
    assert await positions.assigned(bench.database, GROUP, {(TOPIC, 0): Bounds(0, 1)}) == {(TOPIC, 0): 1}


@pytest.mark.parametrize(("table", "key"), [("outbox_sequences", "account_id"), ("subscriptions", "subscription_id")])
async def test_what_every_fact_writes_anew_finds_room_on_its_page(own_bench: Bench, table: str, key: str) -> None:
    """A row that moves costs a page of each index, which among a million subscribers is another one each time."""
    intake = await own_bench.intake()

    async def happen(turn: int, people: Sequence[int]) -> dict[str, int]:
        told = [
            changed(f"evt_{turn}_{n}", NOW + turn, quantity=turn, sid=f"sub_{n}", customer=f"cus_{n}") for n in people
        ]
        for first in range(0, len(people), 100):
            await intake.take(own_bench.records(told[first : first + 100]))
        place = sql.SQL("SELECT {}, (ctid::text::point)[0]::int FROM {}").format(*map(sql.Identifier, (key, table)))
        with psycopg.connect(own_bench.superuser_url) as superuser:
            return dict(superuser.execute(place).fetchall())

    before = await happen(1, range(400))
    after = await happen(2, range(0, 400, 5))

    assert len(set(before.values())) > 2, "one page would not show it"  # The last one has room.
    assert before == after
