"""Taxes: what the state takes on top, by where the customer lives."""

from dataclasses import dataclass
from typing import Final

from simulator.happenings import Json

DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One rate of one place, added to what is owed."""

    id: str
    place: str
    basis_points: int

    def of(self, amount_minor: int) -> int:
        """The tax on *amount_minor*, rounded half up."""
        return (amount_minor * self.basis_points + 5_000) // 10_000


_RATES: Final = {
    "US": TaxRate("txr_1SimTaxUnitedStates0000", "US", 850),
    "DE": TaxRate("txr_1SimTaxGermany000000000", "DE", 1900),
    "FR": TaxRate("txr_1SimTaxFrance0000000000", "FR", 2000),
    "GB": TaxRate("txr_1SimTaxUnitedKingdom000", "GB", 2000),
}
NO_TAX: Final = TaxRate("txr_1SimTaxNowhere000000000", "nowhere", 0)


def rate_for(address: Json | None, tax_exempt: str | None) -> TaxRate:
    """The rate of whoever lives at *address*."""
    if tax_exempt in {"exempt", "reverse"}:
        return NO_TAX
    return _RATES.get((address or {}).get("country") or "", NO_TAX)


def tax_line(rate: TaxRate, taxable_minor: int) -> Json:
    """The tax on so much, as lines and invoices show it in the newest shape."""
    return {
        "amount": rate.of(taxable_minor),
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": rate.id},
        "taxability_reason": "standard_rated" if rate.basis_points else "not_collecting",
        "taxable_amount": taxable_minor,
        "type": "tax_rate_details",
    }
