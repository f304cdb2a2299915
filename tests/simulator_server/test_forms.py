from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from simulator.refusals import Refused
from simulator.server.forms import Raw, as_array, read_form

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
VALUES = st.text(max_size=12)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        VALUES, lambda inner: st.dictionaries(NAMES, inner, min_size=1) | st.lists(inner, min_size=1), max_leaves=8
    ),
)


def read_back(raw: Raw) -> object:
    if isinstance(raw, str):
        return raw
    if all(index.isdigit() for index in raw):
        return [read_back(one) for one in as_array(raw)]
    return {name: read_back(value) for name, value in raw.items()}


@given(TREES)
def test_what_the_library_writes_is_read_back_as_it_was(tree: dict[str, object]) -> None:
    written = urlencode(list(_api_encode(tree)))
    read = read_form(parse_qsl(written, keep_blank_values=True))

    assert {name: read_back(value) for name, value in read.items()} == tree


def test_empty_brackets_are_one_more_element() -> None:
    read = read_form([("expand[]", "customer"), ("expand[]", "data.customer")])

    assert as_array(read["expand"]) == ["customer", "data.customer"]


def test_a_key_that_comes_again_in_empty_brackets_begins_the_next_element() -> None:
    pairs = [
        ("items[][price]", "one"),
        ("items[][quantity]", "1"),
        ("items[][price]", "two"),
    ]

    assert read_form(pairs) == {"items": {"0": {"price": "one", "quantity": "1"}, "1": {"price": "two"}}}


@pytest.mark.parametrize("key", ["", "[a]", "a[b", "a]b", "a[b]c", "a[[b]]"])
def test_a_key_whose_brackets_do_not_fit_is_refused(key: str) -> None:
    with pytest.raises(Refused, match="Invalid parameter name"):
        read_form([(key, "x")])


@pytest.mark.parametrize("pairs", [[("a", "1"), ("a[b]", "2")], [("a[b]", "2"), ("a", "1")]])
def test_a_name_is_a_value_or_a_hash_and_never_both(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused, match="Invalid hash"):
        read_form(pairs)


def test_nobody_builds_a_tower_of_brackets_or_a_book_of_parameters() -> None:
    with pytest.raises(Refused, match="nested"):
        read_form([("a" + "[b]" * 50, "x")])
    with pytest.raises(Refused, match="at most"):
        read_form((f"a{number}", "x") for number in range(100_000))
