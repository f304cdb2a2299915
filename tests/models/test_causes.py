"""The index of pieces by cause is always that of the pieces as they are."""

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from models.causes import Piece, Pieces

Write = Callable[[Pieces, Mapping[str, Piece]], object]


def one_by_one(pieces: Pieces, written: Mapping[str, Piece]) -> None:
    for object_id, piece in written.items():
        pieces[object_id] = piece


ids = st.sampled_from("abcd")
some = st.dictionaries(ids, st.sampled_from([None, "a", "b"])).map(
    lambda causes: {of: Piece(of, cause_id=cause) for of, cause in causes.items()}
)
writes: st.SearchStrategy[Write] = st.sampled_from([one_by_one, Pieces.update, Pieces.__ior__])


def of_one_cause(pieces: Mapping[str, Piece], object_id: str) -> tuple[Piece, ...]:
    if object_id not in pieces:
        return ()
    cause = pieces[object_id].cause_id
    of_cause = {of for of, piece in pieces.items() if cause is not None and piece.cause_id == cause}
    return tuple(pieces[of] for of in sorted(of_cause | {object_id}))


@given(first=some, then=st.lists(st.tuples(writes, some)), behind_the_copy=some)
def test_whatever_was_written_however_a_cause_is_all_of_its_pieces(
    first: Mapping[str, Piece], then: list[tuple[Write, Mapping[str, Piece]]], behind_the_copy: Mapping[str, Piece]
) -> None:
    pieces, plain = Pieces(first), dict(first)
    for write, written in then:
        write(pieces, written)
        plain |= written
    copied = pieces.copy()
    copied |= behind_the_copy

    for told, expected in ((pieces, plain), (copied, plain | dict(behind_the_copy))):
        assert told == expected
        for object_id in "abcd":
            assert told.cause_of([object_id]) == of_one_cause(expected, object_id)
