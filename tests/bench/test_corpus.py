"""The corpus is of events that Stripe could have sent, and no two of them are one."""

import json
from itertools import islice
from pathlib import Path

import pytest

from bench.corpus import BYTES_MAX, BYTES_MIN, MARK, Corpus, Lives, generation_mark, lives
from bench.requests import with_copies
from bench.trial import Mix
from models import books, envelopes, stripe_events
from models.base import ENVELOPE_HEADER, Envelope
from models.objects import ObjectSeen
from models.stripe_events import Fact, SubscriptionSeen
from runtime import clock

SUBSCRIBERS = 12


@pytest.fixture(scope="module", params=Mix)
def told(request: pytest.FixtureRequest) -> Lives:
    return lives(request.param, SUBSCRIBERS)


@pytest.fixture(scope="module")
def of_subscriptions() -> Lives:
    return lives(Mix.SUBSCRIPTIONS, SUBSCRIBERS)


@pytest.fixture(scope="module")
def everything() -> Lives:
    return lives(Mix.EVERYTHING, SUBSCRIBERS)


def read(body: bytes) -> Fact:
    written = envelopes.read(body, clock.now(), livemode=False)
    assert isinstance(written, envelopes.Written)
    envelope = Envelope.from_headers({ENVELOPE_HEADER: written.text})
    return stripe_events.read(envelope, body)


def test_every_event_is_read_by_the_door_and_by_the_books(told: Lives) -> None:
    for event in islice(Corpus(1, told).fresh(), len(told.events)):
        fact = read(event.body)
        assert fact.envelope.id == event.fact_id


def test_every_event_of_a_subscription_names_its_customer(of_subscriptions: Lives) -> None:
    events = islice(Corpus(1, of_subscriptions).fresh(), len(of_subscriptions.events))

    assert all(read(event.body).envelope.customer is not None for event in events)


def test_every_event_of_a_subscription_is_of_the_size_that_is_promised(of_subscriptions: Lives) -> None:
    sizes = Corpus(1, of_subscriptions).sizes()

    assert BYTES_MIN <= sizes.bytes_min <= sizes.bytes_p50 <= sizes.bytes_max <= BYTES_MAX
    assert sum(sizes.types.values()) == sizes.events


def test_generations_share_no_id_and_tell_the_same_lives(told: Lives) -> None:
    size = len(told.events)
    events = list(islice(Corpus(1, told).fresh(), 3 * size))

    assert len({event.fact_id for event in events}) == len(events)
    first, second = read(events[0].body), read(events[size].body)
    assert first.envelope.customer != second.envelope.customer
    assert first.envelope.type == second.envelope.type
    assert events[0].body.replace(generation_mark(1), generation_mark(2)) == events[size].body


def test_tracks_are_other_lives_at_other_places_and_each_goes_on_in_order(told: Lives) -> None:
    alone = [event.body for event in islice(Corpus(1, told).fresh(), len(told.events))]
    both = [event.body for event in islice(Corpus(1, told, tracks=2).fresh(), len(told.events))]
    half = len(alone) // 2

    first, second = both[::2], both[1::2]
    assert first == alone[: len(first)]
    assert second[: len(alone) - half] == [
        body.replace(generation_mark(1), generation_mark(2)) for body in alone[half : half + len(second)]
    ]


def test_the_facts_of_one_life_are_of_one_customer_in_each_generation(told: Lives) -> None:
    by_customer: dict[str | None, set[str]] = {}
    for event in islice(Corpus(7, told).fresh(), len(told.events)):
        fact = read(event.body)
        if isinstance(fact.body, SubscriptionSeen):
            by_customer.setdefault(fact.envelope.customer, set()).add(fact.body.after.subscription_id)

    assert len(by_customer) == SUBSCRIBERS
    assert all(generation_mark(7).decode() in (customer or "") for customer in by_customer)


def test_what_one_generation_shows_no_other_one_names(everything: Lives) -> None:
    shown: list[set[str]] = []
    touched: list[set[str]] = []
    for generation in (1, 2):
        facts = [read(event.body) for event in islice(Corpus(generation, everything).fresh(), len(everything.events))]
        shown.append({fact.body.object_id for fact in facts if isinstance(fact.body, ObjectSeen)})
        touched.append(books.touched(facts))

    assert len(shown[0]) > len(everything.events) / 4
    assert not shown[0] & touched[1]


def test_everything_is_what_stripe_sends(everything: Lives) -> None:
    told = set(everything.types)

    assert {"invoice.paid", "payment_intent.succeeded", "charge.succeeded", "invoice_payment.paid"} <= told
    assert {"customer.subscription.updated", "customer.created", "product.created", "price.created"} <= told


def test_no_mark_is_left_in_what_is_sent(told: Lives) -> None:
    corpus = Corpus(1, told)
    events = [*islice(corpus.fresh(), len(told.events)), *corpus.about(range(3), 1_790_000_000)]

    assert all(MARK not in event.body and b"KNOWN" not in event.body for event in events)


def test_a_known_subscriber_has_other_seats_each_second_under_the_same_id(of_subscriptions: Lives) -> None:
    corpus = Corpus(1, of_subscriptions)
    one = [read(event.body) for event in corpus.about(range(41, 43), 1_790_000_000)]
    later = [read(event.body) for event in corpus.about(range(41, 43), 1_790_000_001)]

    for before, after in zip(one, later, strict=True):
        assert isinstance(before.body, SubscriptionSeen)
        assert isinstance(after.body, SubscriptionSeen)
        assert before.envelope.id != after.envelope.id
        assert before.envelope.customer == after.envelope.customer
        assert before.body.after.subscription_id == after.body.after.subscription_id
        assert before.envelope.occurred_at < after.envelope.occurred_at
        assert after.body.before is not None
        assert before.body.after.items == after.body.before.items
        assert before.body.after.items != after.body.after.items
    assert one[1].envelope.customer == f"cus_{42:014}"
    assert one[1].envelope.subject == f"sub_{42:024}"


def test_a_tenth_comes_twice_with_the_same_bytes_and_later(told: Lives) -> None:
    posts = list(with_copies(islice(Corpus(1, told).fresh(), 1_000), 0.1))
    first = {post.event: (place, post) for place, post in enumerate(posts) if not post.copy}
    copies = [(place, post) for place, post in enumerate(posts) if post.copy]

    assert len(first) == 1_000
    assert len(copies) == len({post.event for _, post in copies}) == 100
    assert all(first[post.event][0] < place for place, post in copies)
    assert all(first[post.event][1].content == post.content for _, post in copies)


def test_a_generation_has_eight_figures() -> None:
    assert generation_mark(0) == b"00000000"
    assert generation_mark(36**8 - 1) == b"zzzzzzzz"
    with pytest.raises(ValueError, match="eight figures"):
        generation_mark(36**8)


def test_lives_survive_a_file(tmp_path: Path, told: Lives) -> None:
    told.write(tmp_path / "lives.json")

    assert Lives.read(tmp_path / "lives.json") == told
    assert json.loads((tmp_path / "lives.json").read_text())["types"] == told.types
