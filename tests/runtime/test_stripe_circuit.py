from hypothesis import given
from hypothesis import strategies as st

from runtime.stripe_circuit import Circuit, State

MAX, WITHIN, OPEN = 5, 10.0, 5.0


def broken(at: float = 0.0) -> Circuit:
    """A circuit that has just opened."""
    circuit = Circuit(MAX, WITHIN, OPEN)
    for _ in range(MAX):
        circuit.failed(at)
    return circuit


def test_failures_in_a_row_within_a_while_keep_everybody_back() -> None:
    circuit = broken(at=100)

    assert circuit.state(104.9) is State.OPEN
    assert not circuit.admits(104.9)
    assert circuit.closed_for(102) == 3.0


@given(st.lists(st.booleans(), max_size=40))
def test_one_success_among_so_many_keeps_it_closed(answers: list[bool]) -> None:
    circuit, row = Circuit(MAX, WITHIN, OPEN), 0
    for answered in answers:
        if not answered and row == MAX - 1:
            answered = True  # noqa: PLW2901  # Before the last one in the row comes an answer.
        circuit.succeeded() if answered else circuit.failed(0)
        row = 0 if answered else row + 1

    assert circuit.admits(0)


@given(st.integers(1, 50))
def test_failures_that_lie_far_apart_are_no_outage(count: int) -> None:
    circuit = Circuit(MAX, WITHIN, OPEN)
    for number in range(count):
        circuit.failed(number * (WITHIN / (MAX - 1) + 0.01))

    assert circuit.state(count * WITHIN) is State.CLOSED


def test_after_a_while_one_goes_ahead_alone_and_its_success_lets_all_pass() -> None:
    circuit = broken()

    assert [circuit.admits(OPEN) for _ in range(3)] == [True, False, False]
    circuit.succeeded()
    assert [circuit.admits(OPEN) for _ in range(3)] == [True, True, True]


def test_if_the_one_that_goes_ahead_fails_everybody_waits_as_long_again() -> None:
    circuit = broken()
    circuit.admits(OPEN)

    circuit.failed(OPEN + 1)

    assert circuit.closed_for(OPEN + 1) == OPEN
    assert circuit.admits(2 * OPEN + 1)


def test_one_that_goes_ahead_and_leaves_makes_room_for_the_next() -> None:
    circuit = broken()
    circuit.admits(OPEN)

    circuit.gave_up()

    assert circuit.admits(OPEN)


def test_one_that_is_never_heard_of_again_keeps_nobody_out_for_ever() -> None:
    circuit = broken()
    circuit.admits(OPEN)

    assert not circuit.admits(OPEN + 59)
    assert circuit.admits(OPEN + 61)
