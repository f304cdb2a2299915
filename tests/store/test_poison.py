"""One fact that cannot be handled holds up its own account, in order, and nobody else."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

import pytest
from msgspec import structs

from models.base import Envelope, headers_of
from runtime.failures import Stop
from store import apply, parked, stops
from store.intake import Record
from store.records import Arrival, Reader
from tests.support_store import (
    GROUP,
    NOW,
    WARY,
    Bench,
    BrokenCatalog,
    Json,
    Told,
    changed,
    customer,
    refused_by_postgres,
    told,
)

SECRET = "Ada Lovelace"  # Somebody's name, which must not come out.
BAD: Json = {"customer": "cus_bad", "sid": "sub_bad"}


def broken_body(bench: Bench, offset: int) -> Record:
    one = changed("evt_bad", **BAD)
    return bench.record(replace(one, body=b'{"data": {"object": "' + SECRET.encode() + b'"'), offset)


def wrong_type(bench: Bench, offset: int) -> Record:
    return bench.record(changed("evt_bad", quantity=SECRET, **BAD), offset)


def unknown_status(bench: Bench, offset: int) -> Record:
    return bench.record(changed("evt_bad", status=SECRET, **BAD), offset)


def other_customer(bench: Bench, offset: int) -> Record:
    one = changed("evt_bad", **BAD)
    return bench.record(replace(one, body=changed("evt_bad", sid="sub_bad", customer="cus_2").body), offset)


def refused_on_saving(bench: Bench, offset: int) -> Record:
    return bench.record(refused_by_postgres("evt_bad", **BAD), offset)


def our_own_bug(bench: Bench, offset: int) -> Record:
    return bench.record(changed("evt_bad", lookup_key="cursed", **BAD), offset)


POISONS: dict[str, Callable[[Bench, int], Record]] = {
    "a body that is cut off": broken_body,
    "a number that is none": wrong_type,
    "a status that we do not know": unknown_status,
    "a body of another customer": other_customer,
    "a value that PostgreSQL refuses": refused_on_saving,
    "a bug of ours": our_own_bug,
}
every_poison = pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())


def fates(bench: Bench) -> dict[str, str]:
    return {row["fact_id"]: row["outcome"] for row in bench.sql("SELECT fact_id, outcome FROM reports.facts")}


@every_poison
@pytest.mark.parametrize("batch", [1, 3, 9])
async def test_poison_is_parked_with_the_later_facts_of_its_account_and_others_go_on(
    bench: Bench, poison: Callable[[Bench, int], Record], batch: int
) -> None:
    facts = [
        changed("evt_0", kind="created", **BAD),
        changed("evt_1", customer="cus_1"),
        changed("evt_2", NOW + 1, customer="cus_1", quantity=2),
        changed("evt_bad"),
        changed("evt_4", NOW + 4, **BAD),
        changed("evt_5", NOW + 5, customer="cus_5", sid="sub_5"),
        customer("evt_6", NOW + 6, customer_id="cus_bad"),
        changed("evt_7", NOW + 7, customer="cus_1", quantity=3),
        changed("evt_8", NOW + 8, quantity=9, **BAD),
    ]
    records = bench.records(facts)
    records[3] = poison(bench, 3)
    intake = await bench.intake(bench.tools(catalog=BrokenCatalog("cursed")))

    for first in range(0, len(records), batch):
        await intake.take(records[first : first + batch])

    waiting = ["evt_bad", "evt_4", "evt_6", "evt_8"]
    assert fates(bench) == {one.id: "parked" if one.id in waiting else "applied" for one in facts}
    rows = bench.table("parked")
    assert [row["fact_id"] for row in rows] == waiting, "in order"
    assert [row["root"] for row in rows] == [True, False, False, False]
    assert len({row["lane"] for row in rows}) == 1
    assert [row["attempts"] for row in rows] == [1, 1, 1, 1]
    [position] = bench.table("positions")
    assert position["next_offset"] == len(facts)


@every_poison
async def test_a_parked_fact_keeps_its_bytes_and_a_reason_that_gives_nobody_away(
    bench: Bench, poison: Callable[[Bench, int], Record]
) -> None:
    record = poison(bench, 0)
    await (await bench.intake(bench.tools(catalog=BrokenCatalog("cursed")))).take([record])

    [fact] = await parked.listed(bench.database)
    body = fact.body(bench.store_keys)
    assert fact.opened
    assert body == bench.edge_keys.decrypt(record.headers["key_id"].decode(), record.value, record.headers["fact"])
    assert fact.reason
    assert SECRET not in json.dumps(bench.sql("SELECT to_jsonb(p) - 'sealed' AS row FROM parked_facts AS p"))
    assert SECRET not in json.dumps(bench.sql("SELECT to_jsonb(o) AS row FROM outbox AS o"))
    assert SECRET.encode() not in fact.sealed


async def test_headers_that_hold_no_envelope_park_the_record_by_its_place(bench: Bench) -> None:
    good = bench.records([changed("evt_0"), changed("evt_1"), changed("evt_2", NOW + 2, quantity=2)])
    garbage = structs.replace(good[1], headers={"fact_id": b"\xff\xfe", "fact": b'{"source":"nobody"}'})
    intake = await bench.intake()

    await intake.take([good[0], garbage, good[2]])
    await intake.take([garbage])

    assert fates(bench) == {"evt_0": "applied", "stripe.events/0/1": "parked", "evt_2": "applied"}
    [fact] = await parked.listed(bench.database)
    assert fact.body(bench.store_keys) == garbage.value
    assert not fact.opened, "nobody could tell which key sealed it"


@every_poison
async def test_what_is_parked_is_said_once_and_names_its_lane(
    bench: Bench, poison: Callable[[Bench, int], Record]
) -> None:
    record = poison(bench, 0)
    intake = await bench.intake(bench.tools(catalog=BrokenCatalog("cursed")))
    await intake.take([record])
    await intake.take([record])

    [said] = bench.sql("SELECT subject, data FROM outbox WHERE topic = 'billing.parked'")
    [row] = bench.table("parked")
    data = json.loads(said["data"])
    assert (data["fact_id"], data["lane"], data["reason"]) == ("evt_bad", row["lane"], row["reason"])


async def test_a_data_error_in_a_late_statement_is_poison_and_not_the_worlds_trouble(own_bench: Bench) -> None:
    """Inside a pipeline the statements behind the culprit fail with words of their own; the first error counts."""
    own_bench.sql("ALTER TABLE outbox ADD CHECK (subject <> 'sub_bad')")
    intake = await own_bench.intake()
    facts = [changed(f"evt_{number}", sid=f"sub_{number}", customer=f"cus_{number}") for number in range(6)]
    facts[2] = changed("evt_2", **BAD)

    await intake.take(own_bench.records(facts))

    [row] = own_bench.table("parked")
    assert (row["fact_id"], row["reason"]) == ("evt_2", "CheckViolation while applying")
    assert len(own_bench.table("journal")) == 5


REFUSE: LiteralString = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF to_jsonb(NEW)::text LIKE '%%' || TG_ARGV[0] || '%%' THEN
            RAISE EXCEPTION 'refused' USING ERRCODE = '22003';
        END IF;
        RETURN NEW;
    END $$
"""


@pytest.mark.parametrize("table", ["subscriptions", "subscription_versions", "journal", "outbox"])
async def test_whatever_table_refuses_a_fact_it_is_that_facts_poison(own_bench: Bench, table: LiteralString) -> None:
    own_bench.sql(REFUSE)
    own_bench.sql(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse('sub_bad')")
    intake = await own_bench.intake()

    await intake.take(own_bench.records([changed("evt_bad", **BAD), changed("evt_2")]))

    assert fates(own_bench) == {"evt_bad": "parked", "evt_2": "applied"}


async def test_a_fact_that_cannot_even_be_parked_ends_the_process(own_bench: Bench) -> None:
    own_bench.sql(REFUSE)
    own_bench.sql("CREATE TRIGGER refuse BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION refuse('evt_bad')")
    intake = await own_bench.intake()

    with pytest.raises(Stop, match="intake failed"):
        await intake.take(own_bench.records([changed("evt_bad", **BAD), changed("evt_2")]))

    assert fates(own_bench) == {}
    [position] = own_bench.table("positions")
    assert position["next_offset"] == 0


async def test_a_lane_is_redriven_from_its_head_in_order(bench: Bench) -> None:
    facts = [changed("evt_0", kind="created", **BAD), changed("evt_bad"), changed("evt_2", NOW + 2, quantity=2, **BAD)]
    records = bench.records(facts)
    records[1] = our_own_bug(bench, 1)
    await (await bench.intake(bench.tools(catalog=BrokenCatalog("cursed")))).take(records)
    root, follower = await parked.listed(bench.database)

    with pytest.raises(apply.NotFirst):
        await apply.redrive(bench.tools(), follower)
    for one in (root, follower):
        await apply.redrive(bench.tools(), one)

    assert bench.table("parked") == []
    journal = bench.sql("SELECT fact_id, topic_offset FROM journal ORDER BY account_seq")
    assert journal == [
        {"fact_id": "evt_0", "topic_offset": 0},
        {"fact_id": "evt_bad", "topic_offset": 1},
        {"fact_id": "evt_2", "topic_offset": 2},
    ]
    with pytest.raises(apply.NotFirst):
        await apply.redrive(bench.tools(), root)


async def test_what_is_still_poison_stays_parked(bench: Bench) -> None:
    tools = bench.tools(catalog=BrokenCatalog("cursed"))
    await (await bench.intake(tools)).take([our_own_bug(bench, 0), bench.record(changed("evt_1", **BAD), 1)])
    before = bench.fingerprint()
    root, _ = await parked.listed(bench.database)

    with pytest.raises(RuntimeError, match="cursed"):
        await apply.redrive(tools, root)
    assert bench.fingerprint() == before

    await parked.tried(bench.database, root.envelope, "still cursed")
    [again] = await parked.listed(bench.database, fact_id="evt_bad")
    assert (again.attempts, again.reason) == (2, "still cursed")


async def test_a_discarded_root_is_journaled_as_refused_and_frees_its_lane(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take([unknown_status(bench, 0), bench.record(changed("evt_1", **BAD), 1)])
    root, follower = await parked.listed(bench.database)

    await apply.discard(bench.tools(), root, "nonsense")
    await apply.redrive(bench.tools(), follower)
    await intake.take([bench.record(changed("evt_2", NOW + 2, quantity=2, **BAD), 2)])

    assert fates(bench) == {"evt_bad": "refused", "evt_1": "applied", "evt_2": "applied"}
    assert bench.sql("SELECT reason FROM reports.facts WHERE fact_id = 'evt_bad'") == [
        {"reason": "discarded: nonsense"}
    ]


async def test_a_lane_holds_up_a_fact_that_names_its_account_for_another_customer(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(
        bench.records(
            [
                customer("evt_0", customer_id="cus_bad", account="P1"),
                changed("evt_bad", status="dancing", **BAD),
                customer("evt_1", customer_id="cus_1", account="P1"),
                customer("evt_2", customer_id="cus_2", account="P2"),
            ]
        )
    )

    assert fates(bench) == {"evt_0": "applied", "evt_bad": "parked", "evt_1": "parked", "evt_2": "applied"}


def rotten(count: int, *, first: int = 0) -> list[Told]:
    """Each the root of a lane of its own."""
    return [
        changed(f"evt_rotten_{n}", status="dancing", customer=f"cus_rotten_{n}", sid=f"sub_rotten_{n}")
        for n in range(first, first + count)
    ]


async def test_when_too_much_is_poison_we_are_the_bug_and_stay_stopped_until_cleared(bench: Bench) -> None:
    intake = await bench.intake(limits=WARY)
    await intake.take(bench.records([*(changed(f"evt_{n}", NOW + n) for n in range(50)), *rotten(20)]))

    with pytest.raises(Stop, match="21 of the last 71"):
        await intake.take(bench.records(rotten(1, first=20)))
    with pytest.raises(Stop, match="is stopped: 21 of the last 71"):
        await bench.intake(limits=WARY)

    assert await stops.clear(bench.database, GROUP, "mended") is not None
    intake = await bench.intake(limits=WARY)
    await intake.take(bench.records([changed("evt_after", NOW + 99), *rotten(20, first=30)]))
    assert fates(bench)["evt_after"] == "applied"


async def test_when_one_worker_stops_its_group_the_others_stop_with_it(bench: Bench) -> None:
    other = await bench.intake(limits=WARY)
    await stops.stop(bench.database, GROUP, "said a peer")

    with pytest.raises(Stop, match="is stopped: said a peer"):
        await other.take(bench.records([changed("evt_1")]))

    assert bench.table("journal") == bench.table("parked") == []


async def test_the_ratio_is_remembered_over_a_restart(bench: Bench) -> None:
    await (await bench.intake(limits=WARY)).take(bench.records(rotten(20)))

    restarted = await bench.intake(limits=WARY)
    with pytest.raises(Stop):
        await restarted.take(bench.records(rotten(1, first=20)))


async def test_followers_are_not_counted_as_our_bugs(bench: Bench) -> None:
    intake = await bench.intake(limits=WARY)
    followers = [changed(f"evt_{n}", NOW + n, customer="cus_rotten_0", sid="sub_rotten_0") for n in range(60)]

    await intake.take(bench.records([*rotten(1), *followers]))

    assert len(bench.table("parked")) == 61


async def test_a_few_roots_among_many_facts_stop_nobody(bench: Bench) -> None:
    intake = await bench.intake(limits=WARY)
    for first in range(0, 500, 100):
        good = [changed(f"evt_{n}", NOW + n) for n in range(first, first + 100)]
        await intake.take(bench.records([*good, *rotten(5, first=first)]))

    assert sum(row["root"] for row in bench.table("parked")) == 25


async def test_a_customer_stays_behind_its_parked_facts_when_the_root_tells_whose_it_is(bench: Bench) -> None:
    """The root names the account, so redriving it moves the customer; its other parked facts still come first."""
    intake = await bench.intake(bench.tools(catalog=BrokenCatalog("cursed")))
    root = changed("evt_bad", lookup_key="cursed", account="P1", **BAD)
    await intake.take(bench.records([root, changed("evt_1", NOW + 1, **BAD)]))
    await apply.redrive(bench.tools(), (await parked.listed(bench.database))[0])

    await intake.take(bench.records([changed("evt_2", NOW + 2, **BAD)]))

    assert fates(bench) == {"evt_bad": "applied", "evt_1": "parked", "evt_2": "parked"}
    for one in await parked.listed(bench.database):
        await apply.redrive(bench.tools(), one)
    journal = bench.sql("SELECT fact_id FROM journal ORDER BY account_seq")
    assert [row["fact_id"] for row in journal] == ["evt_bad", "evt_1", "evt_2"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
async def test_a_customer_stays_behind_its_fact_that_waits_in_the_lane_of_a_named_account(
    bench: Bench, together: bool
) -> None:
    intake = await bench.intake()
    facts = [
        customer("evt_0", customer_id="cus_bad", account="P1"),
        changed("evt_bad", status="dancing", **BAD),
        customer("evt_1", customer_id="cus_1", account="P1"),
        customer("evt_2", NOW + 2, customer_id="cus_1"),
    ]
    records = bench.records(facts)

    for batch in [records] if together else [records[:3], records[3:]]:
        await intake.take(batch)

    assert fates(bench) == {"evt_0": "applied", "evt_bad": "parked", "evt_1": "parked", "evt_2": "parked"}
    assert len({row["lane"] for row in bench.table("parked")}) == 1


async def test_nobody_waits_behind_a_fact_of_no_customer(bench: Bench) -> None:
    """It waits itself, in the lane of the account that it names; others of no customer have nothing to do with it."""
    intake = await bench.intake()
    await intake.take(
        bench.records(
            [
                customer("evt_0", customer_id="cus_bad", account="P1"),
                changed("evt_bad", status="dancing", **BAD),
                told("invoice.created", {"id": "in_1", "metadata": {"account_id": "P1"}}, event_id="evt_1"),
            ]
        )
    )

    naming_p1 = told("invoice.created", {"id": "in_2", "metadata": {"account_id": "P1"}}, event_id="evt_2")
    await intake.take(bench.records([naming_p1, told("invoice.created", {"id": "in_3"}, event_id="evt_3")]))

    assert fates(bench) == {
        "evt_0": "applied",
        "evt_bad": "parked",
        "evt_1": "parked",
        "evt_2": "parked",
        "evt_3": "ignored",
    }


class BrokenReader(Reader):
    """A bug of ours in the reading itself."""

    def read(self, record: Record) -> Arrival:
        if record.headers["fact_id"] == b"evt_bad":
            raise KeyError("ours")
        return super().read(record)


async def test_a_fact_that_our_own_bug_cannot_read_is_parked_as_it_came(bench: Bench) -> None:
    facts = [changed("evt_1", customer="cus_1"), changed("evt_bad", NOW + 1, **BAD), changed("evt_2", NOW + 2, **BAD)]
    intake = await bench.intake(replace(bench.tools(), reader=BrokenReader(bench.edge_keys)))

    await intake.take(bench.records(facts))

    assert fates(bench) == {"evt_1": "applied", "evt_bad": "parked", "evt_2": "parked"}
    [bad, _] = await parked.listed(bench.database)
    assert bad.reason == "KeyError while applying"
    assert bad.opened, "sealed by the store's key alone: the edge's goes after a week"
    assert bad.body(bench.store_keys) == facts[1].body


def broken(record: Record) -> Record:
    return structs.replace(record, value=record.value[:-1] + bytes([record.value[-1] ^ 1]))


def unsealed(record: Record) -> Record:
    return structs.replace(record, headers={name: one for name, one in record.headers.items() if name != "key_id"})


def oddly_keyed(record: Record) -> Record:
    return structs.replace(record, headers={**record.headers, "key_id": b"\xff"})


def renamed(record: Record) -> Record:
    """A true body, passed off as received at another time; everything else of the envelope stays as it was."""
    envelope = Envelope.from_headers(record.headers)
    later = structs.replace(envelope, received_at=envelope.received_at + timedelta(seconds=1))
    return structs.replace(record, headers={**record.headers, "fact": later.written()})


def respelled(record: Record) -> Record:
    """The same envelope in other bytes, with a field that the edge did not write."""
    return structs.replace(
        record, headers={**record.headers, "fact": record.headers["fact"][:-1] + b',"causation":"evt_0"}'}
    )


@pytest.mark.parametrize("forge", [broken, unsealed, oddly_keyed, renamed, respelled])
async def test_what_the_edge_did_not_seal_takes_no_true_facts_name_and_holds_nobody_up(
    bench: Bench, forge: Callable[[Record], Record]
) -> None:
    forged, true, later = bench.records([changed("evt_true"), changed("evt_true"), changed("evt_2", NOW + 2)])
    intake = await bench.intake()

    await intake.take([forge(forged), true, later])

    assert fates(bench) == {"stripe.events/0/0": "parked", "evt_true": "applied", "evt_2": "applied"}
    [kept] = await parked.listed(bench.database)
    assert "claims to be evt_true" in kept.reason
    assert kept.body(bench.store_keys) == forge(forged).value


async def test_the_id_in_the_clear_is_believed_by_nobody(bench: Bench) -> None:
    [record] = bench.records([changed("evt_true")])
    intake = await bench.intake()

    await intake.take([structs.replace(record, headers={**record.headers, "fact_id": b"evt_other"})])

    assert fates(bench) == {"evt_true": "applied"}


async def test_a_fact_whose_envelope_a_later_release_wrote_is_read_for_what_we_know_of_it(bench: Bench) -> None:
    told = changed("evt_later")
    [record] = bench.records([told])
    written = told.envelope.written()[:-1] + b',"priority":7}'
    key_id, sealed = bench.edge_keys.encrypt(told.body, written)
    headers = dict(headers_of(written, told.envelope.id, key_id))
    intake = await bench.intake()

    await intake.take([structs.replace(record, value=sealed, headers=headers)])

    assert fates(bench) == {"evt_later": "applied"}
