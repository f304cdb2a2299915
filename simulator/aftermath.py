"""The aftermath: what some cards bring after the money has moved: warnings of fraud, and disputes."""

from typing import TYPE_CHECKING, Final

from simulator.clock import HOUR_SECONDS
from simulator.disputes import Dispute
from simulator.fraud_warnings import EarlyFraudWarning

if TYPE_CHECKING:
    from simulator.charges import Charge

WARNING_SECONDS: Final = HOUR_SECONDS // 2
DISPUTE_SECONDS: Final = 2 * HOUR_SECONDS


def follow(charge: "Charge") -> None:
    """Put on the agenda what the card that paid *charge* is known for."""
    card = charge.method.card
    if card.warning:
        charge.world.later(WARNING_SECONDS, lambda: _warn(charge))
    reason = card.dispute
    if reason:
        charge.world.later(DISPUTE_SECONDS, lambda: _dispute(charge, reason, inquiry=card.inquiry))


def _warn(charge: "Charge") -> None:
    EarlyFraudWarning.issue(charge)


def _dispute(charge: "Charge", reason: str, *, inquiry: bool) -> None:
    if not charge.body["refunded"]:
        Dispute.open(charge, reason, inquiry=inquiry)
