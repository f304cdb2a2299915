"""Money is whole, of one currency, and none of it is lost."""

import ast
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import models
from models.money import EXPONENTS, MINOR_MAX, Money

# As https://docs.stripe.com/currencies lists them.
ZERO_DECIMAL_BY_STRIPE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"
THREE_DECIMAL_BY_STRIPE = "BHD JOD KWD OMR TND"
SPECIAL_BY_STRIPE = "ISK UGX HUF TWD"  # "5 UGX is an amount of 500": two digits in the API, for compatibility.

amounts = st.integers(-(10**15), 10**15)
currencies = st.sampled_from(sorted(EXPONENTS))
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any)


def usd(minor: int) -> Money:
    return Money(minor=minor, currency="usd")


@given(amounts, currencies, weights)
def test_splitting_loses_nothing(minor: int, currency: str, weights: list[int]) -> None:
    parts = Money(minor=minor, currency=currency).split(weights)

    assert sum(part.minor for part in parts) == minor
    assert len(parts) == len(weights)
    assert {part.currency for part in parts} == {currency}


@given(amounts, weights)
def test_each_part_is_within_one_unit_of_its_share(minor: int, weights: list[int]) -> None:
    total = sum(weights)

    for part, weight in zip(usd(minor).split(weights), weights, strict=True):
        assert abs(part.minor * total - minor * weight) < total


@given(amounts, weights)
def test_a_weight_of_zero_gets_nothing(minor: int, weights: list[int]) -> None:
    parts = usd(minor).split([*weights, 0])

    assert parts[-1].minor == 0


def test_what_does_not_divide_goes_to_the_earlier_parts() -> None:
    assert [part.minor for part in usd(100).split((1, 1, 1))] == [34, 33, 33]
    assert [part.minor for part in usd(-100).split((1, 1, 1))] == [-33, -33, -34]


@pytest.mark.parametrize("wrong", [[], [0, 0], [1, -1, 1], [-1]])
def test_weights_that_share_nothing_are_refused(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        usd(1).split(wrong)


@given(amounts, amounts)
def test_adding_and_taking_away_are_exact(one: int, other: int) -> None:
    assert (usd(one) + usd(other)).minor == one + other
    assert usd(one) - usd(other) == usd(one) + -usd(other)


def test_two_currencies_neither_add_nor_subtract() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        usd(1) + Money(minor=1, currency="eur")
    with pytest.raises(ValueError, match="do not add up"):
        usd(1) - Money(minor=1, currency="eur")


def test_a_sum_beyond_what_json_holds_exactly_is_refused() -> None:
    with pytest.raises(ValidationError):
        usd(MINOR_MAX) + usd(1)


@pytest.mark.parametrize("wrong", [1.0, 1.5, "1", True, None, 2**63, float("nan"), Decimal(1)])
def test_an_amount_is_a_whole_number_and_nothing_like_one(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"minor": wrong, "currency": "usd"})


@pytest.mark.parametrize("wrong", ["USD", "us", "usdd", "xxx", "", "btc"])
def test_a_currency_is_one_that_stripe_charges_in(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Money(minor=1, currency=wrong)


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [(1234, "usd", "12.34"), (500, "jpy", "500"), (5124, "kwd", "5.124"), (-5, "eur", "-0.05"), (500, "ugx", "5.00")],
)
def test_people_read_the_amount_with_the_currencys_digits(minor: int, currency: str, major: str) -> None:
    assert Money(minor=minor, currency=currency).major == Decimal(major)


def test_digits_are_stripes() -> None:
    special = set(SPECIAL_BY_STRIPE.lower().split())

    for currency in set(ZERO_DECIMAL_BY_STRIPE.lower().split()) - special:
        assert EXPONENTS[currency] == 0, currency
    for currency in THREE_DECIMAL_BY_STRIPE.lower().split():
        assert EXPONENTS[currency] == 3, currency
    for currency in special | {"usd", "eur", "gbp", "chf"}:
        assert EXPONENTS[currency] == 2, currency
    assert sum(digits != 2 for digits in EXPONENTS.values()) == 15 + 5, "all others have two"


CHANCES = {"silence.py"}
"""These reckon with probabilities, and may know nothing of money."""


def test_no_float_is_anywhere_in_the_business() -> None:
    for source in Path(models.__file__).parent.glob("*.py"):
        if source.name in CHANCES:
            assert "models.money" not in source.read_text()
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), source.name
            assert not (isinstance(node, ast.Name) and node.id == "float"), source.name
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), source.name
