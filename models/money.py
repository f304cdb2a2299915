"""Money is whole minor units with a currency.

How many digits a currency has is Stripe's convention, not ISO 4217's alone, so the table is our own
(https://docs.stripe.com/currencies: zero-decimal, three-decimal and special cases).  No float ever holds money.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final, Self

import msgspec
from pydantic import AfterValidator, Field, StringConstraints

from models.base import Model

ZERO_DECIMAL: Final = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
TWO_DECIMAL: Final = frozenset(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve
    czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr kyd kzt
    lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln
    qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd
    xcg yer zar zmw
    """.split()
)
"""ISK and UGX have no cents any more, yet Stripe's API keeps two digits for them; so do HUF and TWD for charges."""

EXPONENTS: Final = (
    dict.fromkeys(ZERO_DECIMAL, 0) | dict.fromkeys(TWO_DECIMAL, 2) | dict.fromkeys(THREE_DECIMAL, 3)
)  # Digits behind the point.
assert len(EXPONENTS) == len(ZERO_DECIMAL) + len(TWO_DECIMAL) + len(THREE_DECIMAL), "a currency has one exponent"

MINOR_MAX: Final = 2**53 - 1
"""Far beyond any amount of Stripe's (99,999,999 by default), and exact in every reader's JSON."""


def known_currency(currency: str) -> str:
    """The currency itself; ValueError when Stripe does not charge in it."""
    if currency not in EXPONENTS:
        raise ValueError(f"{currency!r} is no currency that Stripe charges in (lower case, three letters)")
    return currency


Currency = Annotated[
    str,
    StringConstraints(min_length=3, max_length=3),
    AfterValidator(known_currency),
    msgspec.Meta(min_length=3, max_length=3),
]
MinorUnits = Annotated[int, Field(strict=True, ge=-MINOR_MAX, le=MINOR_MAX)]


class Money(Model):
    """An amount of one currency, in its minor units; negative when it is owed the other way."""

    minor: MinorUnits
    currency: Currency

    @property
    def major(self) -> Decimal:
        """The amount as people write it, exact: 1234 usd is 12.34."""
        return Decimal(self.minor).scaleb(-EXPONENTS[self.currency])

    def __add__(self, other: Self) -> Self:
        """Sum of two amounts of one currency; ValueError when the currencies differ."""
        return self._of(self.minor + self._same(other))

    def __sub__(self, other: Self) -> Self:
        """Difference of two amounts of one currency; ValueError when the currencies differ."""
        return self._of(self.minor - self._same(other))

    def __neg__(self) -> Self:
        return self._of(-self.minor)

    def split(self, weights: Sequence[int]) -> tuple[Self, ...]:
        """Share the amount by *weights* without losing a cent: the sum of the parts is the whole.

        What does not divide goes, unit by unit, to the largest remainders, the earlier part first.  Weights are whole,
        not negative, and not all zero; else ValueError.

        >>> [part.minor for part in Money(minor=100, currency="usd").split((1, 1, 1))]
        [34, 33, 33]
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("weights are whole numbers from 0 up, and not all 0")
        floors = [self.minor * weight // total for weight in weights]
        left = self.minor - sum(floors)
        by_remainder = sorted(range(len(weights)), key=lambda part: (-(self.minor * weights[part] % total), part))
        lucky = set(by_remainder[:left])
        return tuple(self._of(floor + (part in lucky)) for part, floor in enumerate(floors))

    def _same(self, other: Self) -> int:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up: convert one first")
        return other.minor

    def _of(self, minor: int) -> Self:
        return type(self)(minor=minor, currency=self.currency)
