import pytest

from simulator.refusals import Refused
from simulator.server.forms import Raw
from simulator.server.parameters import Hash, choice, flag, many, metadata, text, unsettable, whole

ITEM = Hash({"price": text, "quantity": whole}, needs=("price",))
ORDER = Hash(
    {
        "customer": text,
        "items": many(ITEM, count_max=3),
        "metadata": metadata,
        "mode": choice("payment", "setup", "subscription"),
        "note": unsettable(text),
        "paid": flag,
    },
    needs=("customer",),
)


def refusal(raw: dict[str, Raw]) -> Refused:
    with pytest.raises(Refused) as caught:
        ORDER.read(raw)
    return caught.value


def test_a_request_is_read_into_values_of_their_types() -> None:
    raw: dict[str, Raw] = {
        "customer": "cus_1",
        "items": {"0": {"price": "price_1", "quantity": "2"}, "10": {"price": "price_3"}, "2": {"price": "price_2"}},
        "metadata": {"a": "b", "gone": ""},
        "mode": "payment",
        "note": "",
        "paid": "true",
    }

    assert ORDER.read(raw) == {
        "customer": "cus_1",
        "items": [{"price": "price_1", "quantity": 2}, {"price": "price_2"}, {"price": "price_3"}],
        "metadata": {"a": "b", "gone": None},
        "mode": "payment",
        "note": None,
        "paid": True,
    }


@pytest.mark.parametrize(
    ("raw", "code", "param", "words"),
    [
        ({}, "parameter_missing", "customer", "Missing required param: customer."),
        ({"customer": "c", "pony": "x"}, "parameter_unknown", "pony", "Received unknown parameter: pony"),
        ({"customer": ""}, "parameter_invalid_empty", "customer", "You passed an empty string for 'customer'."),
        ({"customer": "c", "items": "x"}, None, "items", "Invalid array"),
        ({"customer": "c", "items": {"first": {"price": "p"}}}, None, "items", "Invalid array"),
        ({"customer": "c", "items": {"0": "p"}}, None, "items[0]", "Invalid object"),
        ({"customer": "c", "items": {"0": {}}}, "parameter_missing", "items[0][price]", "Missing required param"),
        (
            {"customer": "c", "items": {"0": {"price": "p", "quantity": "2.5"}}},
            "parameter_invalid_integer",
            "items[0][quantity]",
            "Invalid integer: 2.5",
        ),
        ({"customer": "c", "items": {"0": {"price": "p", "x": "y"}}}, "parameter_unknown", "items[0][x]", "unknown"),
        ({"customer": "c", "items": {str(n): {"price": "p"} for n in range(4)}}, None, "items", "too many"),
        ({"customer": "c", "mode": "gift"}, None, "mode", "must be one of payment, setup, or subscription"),
        ({"customer": "c", "paid": "yes"}, None, "paid", "Invalid boolean: yes"),
        ({"customer": "c", "metadata": "x"}, None, "metadata", "Invalid hash"),
        ({"customer": "c", "metadata": {"a" * 41: "x"}}, None, f"metadata[{'a' * 41}]", "40 characters"),
        ({"customer": "c", "metadata": {"a": "x" * 501}}, None, "metadata[a]", "500 characters"),
        ({"customer": "c", "metadata": {f"a{n}": "x" for n in range(51)}}, None, "metadata", "50 metadata keys"),
        ({"customer": {"id": "x"}}, None, "customer", "Invalid string"),
        ({"customer": "c", "items": {"9" * 5_000: {"price": "p"}}}, None, "items", "Invalid array"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_wrong(
    raw: dict[str, Raw], code: str | None, param: str, words: str
) -> None:
    refused = refusal(raw)

    assert (refused.code, refused.param, refused.status) == (code, param, 400)
    assert words in refused.message


def test_all_unknown_parameters_are_named_at_once() -> None:
    assert refusal({"customer": "c", "a": "1", "b": "2"}).message == "Received unknown parameters: a, b"
