"""The one list of topics: names that last, and nothing that would lose or leak."""

import re

import pytest

from models.events import EVENTS
from models.topics import DAY_MS, STRIPE_EVENTS, TOPICS, Cleanup, Topic

KNOWN = {
    "stripe.events": (12, 7 * DAY_MS),
    "billing.subscriptions": (12, 30 * DAY_MS),
    "billing.alerts": (3, 30 * DAY_MS),
    "billing.stripe-requests": (3, 30 * DAY_MS),
    "billing.parked": (3, 30 * DAY_MS),
}
"""Partitions and retention as readers know them: fewer of either would break them."""

every_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


@every_topic
def test_a_name_is_dots_and_hyphens_and_no_environment(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+", topic.name)
    assert not re.search(r"prod|dev|test|stag", topic.name)


def test_a_topic_is_listed_once() -> None:
    names = [topic.name for topic in TOPICS]

    assert len(names) == len(set(names))


def test_no_topic_goes_and_none_gets_smaller() -> None:
    now = {topic.name: (topic.partitions, topic.retention_ms) for topic in TOPICS}

    for name, (partitions, retention_ms) in KNOWN.items():
        assert now[name][0] >= partitions
        assert now[name][1] >= retention_ms


@every_topic
def test_everybody_who_writes_and_reads_is_named(topic: Topic) -> None:
    assert topic.written_by
    assert topic.read_by


@every_topic
def test_facts_and_news_are_deleted_by_age_and_never_compacted_away(topic: Topic) -> None:
    assert topic.cleanup is Cleanup.DELETE


def test_a_sealed_body_of_the_largest_size_fits_its_topic() -> None:
    largest_body_bytes = 512 * 1024
    assert largest_body_bytes * 4 / 3 < STRIPE_EVENTS.max_message_bytes


def test_every_event_of_ours_has_a_topic_of_the_list() -> None:
    assert {event.topic for event in EVENTS} <= set(TOPICS)
