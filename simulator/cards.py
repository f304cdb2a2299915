"""Test cards: how a payment method behaves is said by its number, as at Stripe.

A number is looked up here and forgotten: no body and no event ever holds more of it than the last four digits.
"""

import re
from dataclasses import dataclass
from typing import Final

from simulator.refusals import Refused


@dataclass(frozen=True, slots=True)
class Card:
    """One of the test numbers, and what comes of paying with it."""

    token: str
    last4: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    type: str = "card"  # Or a bank's debit, which takes days.
    decline: str | None = None  # The decline code, of what the bank never pays.
    attaches: bool = True  # Whether a customer can have it: saving it asks the bank, too.
    asks_person: str | None = None  # "always", or "unless_saved": 3-D Secure.
    dispute: str | None = None  # The reason for which its holder will dispute what was paid.
    inquiry: bool = False  # Whether that begins as an inquiry.
    warning: bool = False  # Whether its bank will warn of fraud.
    refund: str | None = None  # "pending": succeeds later; "failed": fails later.
    settles: bool = True  # Whether a debit comes through in the end.

    @property
    def failure_code(self) -> str | None:
        """The code of the error that its decline comes with."""
        if self.decline in _CODES_OF_THEIR_OWN:
            return self.decline
        return "card_declined" if self.decline else None


_CODES_OF_THEIR_OWN: Final = frozenset({"expired_card", "incorrect_cvc", "processing_error"})

_BY_NUMBER: Final = {
    "4242424242424242": Card("visa", "4242"),
    "4000056655665556": Card("visa_debit", "5556", funding="debit"),
    "5555555555554444": Card("mastercard", "4444", "mastercard"),
    "5200828282828210": Card("mastercard_debit", "8210", "mastercard", funding="debit"),
    "378282246310005": Card("amex", "0005", "amex"),
    "6011111111111117": Card("discover", "1117", "discover"),
    "4000002760000016": Card("de", "0016", country="DE"),
    "4000000000000002": Card("visa_chargeDeclined", "0002", decline="generic_decline", attaches=False),
    "4000000000009995": Card(
        "visa_chargeDeclinedInsufficientFunds", "9995", decline="insufficient_funds", attaches=False
    ),
    "4000000000009987": Card("visa_chargeDeclinedLostCard", "9987", decline="lost_card", attaches=False),
    "4000000000009979": Card("visa_chargeDeclinedStolenCard", "9979", decline="stolen_card", attaches=False),
    "4000000000000069": Card("chargeDeclinedExpiredCard", "0069", decline="expired_card", attaches=False),
    "4000000000000127": Card("chargeDeclinedIncorrectCvc", "0127", decline="incorrect_cvc", attaches=False),
    "4000000000000119": Card("chargeDeclinedProcessingError", "0119", decline="processing_error", attaches=False),
    "4000000000000341": Card("chargeCustomerFail", "0341", decline="generic_decline"),
    "4000002760003184": Card("authenticationRequired", "3184", country="DE", asks_person="always"),
    "4000002500003155": Card("authenticationRequiredOnSetup", "3155", country="DE", asks_person="unless_saved"),
    "4000008260003178": Card(
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        "3178",
        country="GB",
        asks_person="always",
        decline="insufficient_funds",
    ),
    "4000000000000259": Card("createDispute", "0259", dispute="fraudulent"),
    "4000000000002685": Card("createDisputeProductNotReceived", "2685", dispute="product_not_received"),
    "4000000000001976": Card("createDisputeInquiry", "1976", dispute="fraudulent", inquiry=True),
    "4000000000005423": Card("createIssuerFraudRecord", "5423", warning=True),
    "4000000000007726": Card("pendingRefund", "7726", refund="pending"),
    "4000000000005126": Card("refundFail", "5126", refund="failed"),
}
_BY_TOKEN: Final = {card.token: card for card in _BY_NUMBER.values()} | {
    "us": _BY_NUMBER["4242424242424242"],
    "threeDSecure2Required": _BY_NUMBER["4000002760003184"],
    "threeDSecureRequired": _BY_NUMBER["4000002760003184"],
    "chargeDeclined": _BY_NUMBER["4000000000000002"],
    "chargeDeclinedInsufficientFunds": _BY_NUMBER["4000000000009995"],
}
_DEBITS: Final = {
    "pm_usBankAccount_success": Card("us_bank_account", "6789", type="us_bank_account"),
    "pm_usBankAccount": Card("us_bank_account", "6789", type="us_bank_account"),
    "pm_usBankAccount_insufficientFunds": Card(
        "us_bank_account", "2227", type="us_bank_account", settles=False, decline="insufficient_funds"
    ),
    "pm_sepaDebit": Card("sepa_debit", "3000", type="sepa_debit", country="DE"),
}
_TOKEN: Final = re.compile(r"(?:pm_card_|tok_)(\w+)")


def card_by(number_or_token: str, param: str = "payment_method") -> Card:
    """The test card with this number or token.  A number that is none of the test numbers is refused, and forgotten."""
    asked = number_or_token.replace(" ", "").replace("-", "")
    if card := _BY_NUMBER.get(asked) or _DEBITS.get(asked):
        return card
    if (found := _TOKEN.fullmatch(asked)) and (card := _BY_TOKEN.get(found[1])):
        return card
    if asked.isdigit():
        raise Refused(
            "Your card was declined. Your request was in test mode, but used a non test card.",
            code="card_declined",
            param=param,
            type="card_error",
            status=402,
            decline_code="test_mode_live_card",
        )
    raise Refused(f"No such PaymentMethod: '{number_or_token}'", code="resource_missing", param=param)


def is_token(name: str) -> bool:
    """Whether *name* stands for a test card, and is no payment method's id."""
    return name in _DEBITS or _TOKEN.fullmatch(name) is not None


MESSAGES: Final = {
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}


def declined_message(decline_code: str) -> str:
    """What the person in front of the screen is told."""
    return MESSAGES.get(decline_code, "Your card was declined.")
