"""A process that is up spends little on garbage, and still none of it stays."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime import garbage


@pytest.fixture
def collector() -> Iterator[None]:
    """Everything as it was, afterwards: the other tests share this process."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Knot:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("collector")
def test_what_is_loaded_is_looked_at_no_more() -> None:
    garbage.settle()

    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("collector")
def test_cycles_that_come_later_are_still_freed_without_being_asked_for() -> None:
    garbage.settle()
    first = weakref.ref(Knot())

    knots = 0
    while first() is not None and knots < 2 * garbage.NEW_OBJECTS_BETWEEN_LOOKS:
        Knot()
        knots += 1

    assert first() is None
