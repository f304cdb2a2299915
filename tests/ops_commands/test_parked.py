"""Poison waits in lanes, and goes back in their order."""

import asyncio
import json

import pytest

from models.customers import account_of_customer
from ops import parked_commands
from ops.parked import Redrive
from runtime.failures import Stop
from store import parked, stops
from tests.conftest import Database
from tests.support_ops_commands import GROUP, Shop, billing, billing_json, execute, rows, widest

LANE = account_of_customer("cus_1")
CANARY = "a-name-that-nobody-may-read"


@pytest.fixture
async def lane(books: Shop) -> Shop:
    """Three facts of one account, the first of which a bad release could not apply; another account's went in."""
    worker = await books.worker(of_a_bad_release=True)
    await worker.take(
        [
            books.record("evt_root", price="high_monthly"),
            books.record("evt_other", customer="cus_2"),
            books.record("evt_behind"),
            books.record("evt_last"),
        ]
    )
    return books


@pytest.fixture
async def unreadable(books: Shop) -> Shop:
    """A fact that no release can read, another behind it, and one of another account that a bad release parked."""
    worker = await books.worker(of_a_bad_release=True)
    await worker.take(
        [
            books.record("evt_root", status="no such status", description=CANARY),
            books.record("evt_behind"),
            books.record("evt_mended", customer="cus_2", price="high_monthly"),
        ]
    )
    return books


async def test_poison_parks_its_accounts_later_facts_behind_it_and_others_go_on(lane: Shop) -> None:
    (listed,) = await billing_json("parked", "ls")

    assert (listed["lane"], listed["root"], listed["followers"]) == (LANE, "evt_root", 2)
    assert listed["reason"] == "unreadable body: a price of the future"
    assert (await lane.facts())["evt_other"]["outcome"] == "applied"


async def test_a_mended_lane_goes_in_in_its_own_order(lane: Shop) -> None:
    answer = await billing("parked", "redrive", LANE, "--json")

    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {"went_in": 3, "failed": [], "still_parked": 0, "lanes_left": False}
    assert await lane.in_order() == ["evt_root", "evt_behind", "evt_last"]
    assert await billing_json("parked", "ls") == []


async def test_facts_that_come_while_a_lane_is_redriven_pass_nobody(lane: Shop) -> None:
    worker = await lane.worker()
    waiting = [lane.record(f"evt_waiting_{number}") for number in range(40)]
    late = [lane.record(f"evt_late_{number}") for number in range(20)]
    await worker.take(waiting)
    begun = asyncio.Event()

    async def go_on_working() -> None:
        await begun.wait()
        for record in late:
            await worker.take([record])

    _, done = await asyncio.gather(go_on_working(), Redrive(lane.tools, stepped=begun.set).lanes([LANE]))

    assert done.failed == ()
    said = await rows(lane.app_url, "SELECT subject FROM outbox WHERE topic = 'billing.parked'")
    assert {"subject": "stripe/evt_late_0"} in said
    heard = await lane.in_order()
    assert heard == [
        "evt_root",
        "evt_behind",
        "evt_last",
        *(f"evt_waiting_{number}" for number in range(40)),
        *(f"evt_late_{number}" for number in range(20)),
    ]


async def test_a_lane_stops_at_the_first_fact_that_still_fails_and_the_others_are_redriven(unreadable: Shop) -> None:
    answer = await billing("parked", "redrive", "--all", "--json")

    assert answer.exit_code == 1
    told = json.loads(answer.stdout)
    assert (told["went_in"], told["still_parked"]) == (1, 2)
    assert [failed["fact_id"] for failed in told["failed"]] == ["evt_root"]
    assert await unreadable.in_order("cus_2") == ["evt_mended"]
    assert await unreadable.in_order("cus_1") == []


async def test_a_redrive_that_leaves_lanes_untried_says_so(unreadable: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_commands, "LANES_MAX", 1)

    answer = await billing("parked", "redrive", "--all", "--json")

    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["lanes_left"]
    assert "more than 1 lanes" in answer.stderr


async def test_a_discard_says_when_it_did_not_count_to_the_end(lane: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_commands, "WAITING_MAX", 1)

    told = await billing_json("parked", "discard", "evt_root", "--reason", "not wanted")

    assert (told["waiting"], told["more_waiting"]) == (1, True)


async def test_a_failed_redrive_is_one_more_attempt_with_the_same_reason(unreadable: Shop) -> None:
    before = (await billing_json("parked", "ls"))[0]

    await billing("parked", "redrive", LANE)

    after = (await billing_json("parked", "ls"))[0]
    assert (before["attempts"], after["attempts"]) == (1, 2)
    assert after["reason"] == before["reason"]
    assert "status" in after["reason"]


async def test_our_own_bug_is_named_by_its_line_and_never_by_what_the_fact_says(lane: Shop) -> None:
    done = await Redrive(lane.with_a_bad_catalog()).lanes([LANE])

    (failed,) = done.failed
    assert failed.why.startswith("KeyError at models/")
    assert "secret" not in failed.why
    assert (await billing_json("parked", "ls"))[0]["reason"] == failed.why


async def test_what_the_edge_did_not_seal_is_neither_shown_nor_taken_in(lane: Shop, database: Database) -> None:
    await execute(database.superuser_url, "UPDATE parked_facts SET opened = false")

    assert "the edge did not seal it" in (await billing_json("parked", "show", "evt_root", "--body"))["body"]
    answer = await billing("parked", "redrive", LANE, "--json")

    assert answer.exit_code == 1
    assert "the edge did not seal it" in json.loads(answer.stdout)["failed"][0]["why"]
    assert await lane.in_order() == []


async def test_a_fact_is_redriven_alone_by_its_id(lane: Shop) -> None:
    answer = await billing("parked", "redrive", "evt_root", "--json")

    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {"went_in": 1, "failed": [], "still_parked": 2, "lanes_left": False}
    assert await lane.in_order() == ["evt_root"]


@pytest.mark.parametrize("step", [("redrive",), ("discard", "--reason", "not wanted")], ids=["redrive", "discard"])
async def test_nobody_passes_those_before_it(lane: Shop, step: tuple[str, ...]) -> None:
    answer = await billing("parked", *step, "evt_last")

    assert answer.exit_code == 1
    assert "evt_root stands before it" in " ".join(answer.stderr.split())
    assert len(await parked.listed(lane.tools.database)) == 3


async def test_a_discarded_fact_is_journaled_with_the_reason_and_its_lane_goes_on(unreadable: Shop) -> None:
    told = await billing_json("parked", "discard", "evt_root", "--reason", "Stripe never sent this")

    assert told == {"discarded": "evt_root", "lane": LANE, "waiting": 1, "more_waiting": False}
    root = (await unreadable.facts())["evt_root"]
    assert (root["outcome"], root["reason"]) == ("refused", "discarded: Stripe never sent this")
    assert (await billing("parked", "redrive", LANE)).exit_code == 0
    assert await unreadable.in_order() == ["evt_root", "evt_behind"]


@pytest.mark.parametrize("reason", [(), ("--reason", " ")], ids=["none", "blank"])
async def test_nothing_is_discarded_without_a_reason(unreadable: Shop, reason: tuple[str, ...]) -> None:
    assert (await billing("parked", "discard", "evt_root", *reason)).exit_code == 2
    assert (await unreadable.facts())["evt_root"]["outcome"] == "parked"


async def test_a_body_is_shown_only_when_asked_for_and_with_a_warning(unreadable: Shop) -> None:
    plain = await billing("parked", "show", "evt_root")
    whole = await billing("parked", "show", "evt_root", "--body")

    assert "customer.subscription.updated" in plain.stdout
    assert CANARY not in plain.output
    assert CANARY in whole.stdout
    assert "personal data" in whole.stderr


async def test_a_script_gets_envelope_and_body_as_documents(unreadable: Shop) -> None:
    told = await billing_json("parked", "show", "evt_behind", "--body")

    assert told["envelope"]["id"] == told["body"]["id"] == "evt_behind"
    assert (told["lane"], told["root"], told["first_of_its_lane"]) == (LANE, False, False)
    assert (told["topic"], told["partition"], told["topic_offset"]) == ("stripe.events", 0, 1)


async def test_a_group_that_was_stopped_works_again_when_somebody_says_why(books: Shop) -> None:
    await stops.stop(books.tools.database, GROUP, "30 of the last 100 facts were parked")
    with pytest.raises(Stop, match="billing parked resume"):
        await books.worker()

    told = await billing_json("parked", "resume", "--because", "release 12 is rolled back")

    assert told == {"group": GROUP, "stopped_for": "30 of the last 100 facts were parked"}
    await books.worker()
    assert (await billing_json("parked", "resume", "--because", "again"))["stopped_for"] is None


@pytest.mark.parametrize(
    "step", [("show",), ("redrive",), ("discard", "--reason", "x")], ids=["show", "redrive", "discard"]
)
async def test_a_name_that_nobody_has_is_an_error(books: Shop, step: tuple[str, ...]) -> None:
    answer = await billing("parked", *step, "evt_nobody")

    assert answer.exit_code == 1
    assert "Nothing is parked under evt_nobody" in answer.stderr


@pytest.mark.parametrize("names", [(), ("--all", LANE)], ids=["neither", "both"])
async def test_a_redrive_is_of_one_name_or_of_everything(books: Shop, names: tuple[str, ...]) -> None:
    assert (await billing("parked", "redrive", *names)).exit_code == 2


async def test_redriving_everything_of_nothing_is_a_success(books: Shop) -> None:
    answer = await billing("parked", "redrive", "--all")

    assert (answer.exit_code, answer.stdout) == (0, "0 went in; 0 still parked.\n")


async def test_what_people_read_holds_at_80_columns(unreadable: Shop) -> None:
    texts = [
        (await billing("parked", "ls")).stdout,
        (await billing("parked", "show", "evt_root")).stdout,
        (await billing("parked", "redrive", "--all")).stdout,
    ]

    assert all(name in text.split() for text in texts for name in (LANE, "evt_root"))
    assert max(widest(text.splitlines()) for text in texts) <= 80


async def test_a_database_that_is_away_is_one_sentence(lane: Shop, shell: pytest.MonkeyPatch) -> None:
    shell.setenv("DATABASE_URL", "postgresql://billing_app:hush@127.0.0.1:1/billing")

    answer = await billing("parked", "redrive", "--all")

    assert answer.exit_code == 1
    assert "PostgreSQL cannot be reached" in answer.stderr
    assert "hush" not in answer.output
    assert "Traceback" not in answer.output
