"""The invariants, judged from outside: by what the broker holds, and by an oracle that shares no code with the fold."""

from collections import defaultdict

from models.books import Heard, Said
from models.customers import account_of_customer, account_of_platform
from simulator import oracle
from tests.models.support_oracle import seen_by_oracle, seen_by_us
from tests.models.support_shelf import Shelf
from tests.simulation.support_stripe import Letter
from tests.simulation.support_world import World


def judge(world: World) -> None:
    """Every invariant that a world at rest must meet."""
    every_effect_is_there_once(world)
    state_is_what_the_oracle_says(world)
    nothing_accepted_is_lost(world)
    the_journal_has_no_gap_and_tells_it_all_again(world)
    every_word_is_published_in_order(world)


def written(world: World) -> dict[tuple[str, str], Letter]:
    """What the broker holds, each fact once."""
    return {letter.identity: letter for letter in world.broker.messages}


def every_effect_is_there_once(world: World) -> None:
    """I3: one journal row a fact, one version a snapshot, one id an event."""
    tables = world.database.tables
    journaled = [heard.fact.envelope.identity for heard in tables.journal]
    assert len(journaled) == len(set(journaled)), "a fact was heard twice"
    shown = {letter.envelope.id for letter in written(world).values() if letter.fact and letter.fact.body}
    shelves = (tables.shelf.lines, tables.shelf.object_lines)
    versions = [fact_id for shelf in shelves for rows in shelf.rows.values() for fact_id in rows]
    assert sorted(versions) == sorted(shown), "not one version for each snapshot"
    event_ids = [said.event_id for said in tables.outbox]
    assert len(event_ids) == len(set(event_ids)), "an event was said twice"


def state_is_what_the_oracle_says(world: World) -> None:
    """I4: every version of every subscription, and every customer's account and end."""
    readable = [letter for letter in written(world).values() if letter.fact]
    expected = {of: seen_by_oracle(history) for of, history in oracle.fold(one.event for one in readable).items()}
    lines = world.database.tables.shelf.lines
    assert {of: seen_by_us(of, lines.whole(of)) for of in lines.rows} == expected
    _customers_are_right(world, readable)


def _customers_are_right(world: World, readable: list[Letter]) -> None:
    about: defaultdict[str, list[Letter]] = defaultdict(list)
    for letter in readable:
        if letter.envelope.customer:
            about[letter.envelope.customer].append(letter)
    known = world.database.tables.shelf.customers
    assert set(known) == set(about)
    for customer_id, letters in about.items():
        namings = [
            (one.event["created"], one.event["id"], one.envelope.account) for one in letters if one.envelope.account
        ]
        ends = [one.envelope.occurred_at for one in letters if one.event["type"] == "customer.deleted"]
        name = min(namings)[2] if namings else None
        account_id = account_of_platform(name) if name else account_of_customer(customer_id)
        assert (known[customer_id].account_id, known[customer_id].deleted_at) == (account_id, min(ends, default=None))


def nothing_accepted_is_lost(world: World) -> None:
    """I5: what got a 2xx is journaled or parked, and in one of them only."""
    tables = world.database.tables
    journaled = {heard.fact.envelope.identity for heard in tables.journal}
    parked = {letter.identity for letter in tables.parked}
    assert not journaled & parked
    assert set(world.sender.accepted) <= journaled | parked, "an accepted fact is lost"
    assert journaled | parked == set(written(world)), "a fact that is in the topic is lost"
    assert len(parked) == len(tables.parked), "a fact was parked twice"
    assert all(letter.fact is None for letter in tables.parked), "a readable fact was parked"


def the_journal_has_no_gap_and_tells_it_all_again(world: World) -> None:
    """I7: numbers without a gap per account, and a replay that ends in the same rows and says the same words."""
    tables = world.database.tables
    numbers: defaultdict[str | None, list[int | None]] = defaultdict(list)
    for heard in tables.journal:
        numbers[heard.account_id].append(heard.account_seq)
    for account_id, given_out in numbers.items():
        assert account_id is None or given_out == list(range(1, len(given_out) + 1)), "the journal has a gap"
    again = Shelf()
    told = again.take([heard.fact for heard in tables.journal])
    assert again == tables.shelf, "a replay ends elsewhere"
    assert _words(told) == _words(tables.journal), "a replay says something else"


def _words(journal: list[Heard] | tuple[Heard, ...]) -> list[tuple[str, str, int | None]]:
    return [(said.event_id, said.event.model_dump_json(), said.sequence) for heard in journal for said in heard.said]


def every_word_is_published_in_order(world: World) -> None:
    """I9: published once at least; who drops what he has seen reads each topic of an account without a gap."""
    first: dict[str, Said] = {}
    for said in world.relay.published:
        first.setdefault(said.event_id, said)
    assert set(first) == {said.event_id for said in world.database.tables.outbox}
    numbers: defaultdict[tuple[str, str | None], list[int | None]] = defaultdict(list)
    for said in first.values():
        numbers[said.event.topic.name, said.event.account_id].append(said.sequence)
    for read in numbers.values():
        assert read == list(range(1, len(read) + 1)), "a reader sees a gap"
