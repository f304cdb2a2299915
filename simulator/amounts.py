"""Amounts: what a bill comes to, with what is taken off and what is added kept apart, line by line."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.coupons import Discount
from simulator.happenings import Json
from simulator.taxes import TaxRate, tax_line


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What is done to every line of a bill."""

    discounts: Sequence[Discount] = ()
    tax_rate: TaxRate | None = None  # None: nobody reckons taxes.

    def lines(self, lines: Sequence[Json]) -> list[Json]:
        """The *lines* with what is taken off each and added to each."""
        live = [discount for discount in self.discounts if discount.is_live]
        whole = sum(line["amount"] for line in lines if line["discountable"] and line["amount"] > 0)
        return [self._line(line, live, whole) for line in lines]

    def _line(self, line: Json, live: Sequence[Discount], whole: int) -> Json:
        taken: list[Json] = []
        if line["discountable"] and line["amount"] > 0:
            taken = [{"amount": one.off(line["amount"], whole), "discount": one.id} for one in live]
        taxable = line["amount"] - sum(one["amount"] for one in taken)
        taxes = [] if self.tax_rate is None else [tax_line(self.tax_rate, taxable)]
        return line | {"discount_amounts": taken, "taxes": taxes}


def totals(lines: Sequence[Json]) -> Json:
    """What the *lines* come to."""
    discounts, taxes = _by_discount(lines), _by_rate(lines)
    subtotal = sum(line["amount"] for line in lines)
    without_tax = subtotal - sum(one["amount"] for one in discounts)
    total = without_tax + sum(one["amount"] for one in taxes)
    return {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": discounts,
        "total_excluding_tax": without_tax,
        "total_taxes": taxes,
    }


def _by_discount(lines: Sequence[Json]) -> list[Json]:
    sums: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        for one in line["discount_amounts"]:
            sums[one["discount"]] += one["amount"]
    return [{"amount": amount, "discount": discount} for discount, amount in sums.items()]


def _by_rate(lines: Sequence[Json]) -> list[Json]:
    sums: dict[str, Json] = {}
    for line in lines:
        for tax in line["taxes"]:
            known = sums.get(tax["tax_rate_details"]["tax_rate"])
            sums[tax["tax_rate_details"]["tax_rate"]] = tax | {
                name: tax[name] + (known[name] if known else 0) for name in ("amount", "taxable_amount")
            }
    return list(sums.values())
