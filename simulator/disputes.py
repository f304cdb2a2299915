"""Disputes: a bank asks about a payment, or takes its money back, and gives it back if it is told why it should.

The money of a dispute is in its balance transactions: what is withdrawn now is minus their sum.
"""

from typing import TYPE_CHECKING, ClassVar, Final, Self

from simulator.balance_transactions import DISPUTE_FEE_MINOR, BalanceTransaction
from simulator.clock import DAY_SECONDS
from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.charges import Charge

ENDS: Final = frozenset({"won", "lost", "warning_closed"})
ANSWER_SECONDS: Final = 9 * DAY_SECONDS
JUDGMENT_SECONDS: Final = 30 * DAY_SECONDS
INQUIRY_SECONDS: Final = 60 * DAY_SECONDS
WINNING: Final = "winning_evidence"
LOSING: Final = "losing_evidence"

_NOTHING: Final[Json] = {}
_EVIDENCE: Final = """
    access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal
    customer_communication customer_email_address customer_name customer_purchase_ip customer_signature
    duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt
    refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation
    shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number
    uncategorized_file uncategorized_text
""".split()


class Dispute(Thing):
    """One dispute of one charge."""

    kind: ClassVar[str] = "dispute"

    def __init__(self, charge: "Charge", body: Json) -> None:
        super().__init__(charge.world, body)
        self.charge = charge

    @classmethod
    def open(
        cls, charge: "Charge", reason: str = "fraudulent", *, inquiry: bool = False, amount: int | None = None
    ) -> Self:
        """The bank asks, or takes what is left of the payment at once."""
        disputed = charge.refundable_minor if amount is None else amount
        dispute = cls(charge, _body(charge, reason, disputed, inquiry=inquiry))
        charge.become(disputed=True)
        dispute.world.record("charge.dispute.created", dispute.body)
        if inquiry:
            dispute.world.later(INQUIRY_SECONDS, dispute._let_rest)
        else:
            dispute._withdraw()
            dispute._expect_answer()
        return dispute

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def is_inquiry(self) -> bool:
        """Whether the bank only asks."""
        return self.status.startswith("warning_")

    def update(
        self, *, evidence: Json | None = None, metadata: Json | None = _NOTHING, submit: bool | None = None
    ) -> None:
        """Say why the payment was right; once it is submitted, the bank looks at it."""
        if self.status in ENDS:
            raise Refused("This dispute is already closed", param="dispute")
        submits = bool(evidence) if submit is None else submit
        changes: Json = {
            "evidence": self.body["evidence"] | (evidence or {}),
            "metadata": merged_metadata(self.body["metadata"], metadata),
        }
        details = self.body["evidence_details"] | {"has_evidence": any(changes["evidence"].values())}
        if submits:
            details |= {"submission_count": details["submission_count"] + 1}
            changes["status"] = "warning_under_review" if self.is_inquiry else "under_review"
        self.tell("charge.dispute.updated", by_request=True, evidence_details=details, **changes)
        if submits:
            self._expect_judgment(changes["evidence"]["uncategorized_text"])

    def escalate(self) -> None:
        """The bank was not content with an answer: now it takes the money."""
        if self.status not in {"warning_needs_response", "warning_under_review"}:
            return
        self.tell("charge.dispute.updated", status="needs_response", is_charge_refundable=False, **_case("chargeback"))
        self._withdraw()
        self._expect_answer()

    def close(self) -> None:
        """Give in."""
        if self.status in ENDS:
            raise Refused("This dispute is already closed", param="dispute")
        self._end("warning_closed" if self.is_inquiry else "lost")

    def win(self) -> None:
        """The bank gives the money back."""
        if self.status in ENDS:
            return
        self._end("warning_closed" if self.is_inquiry else "won")
        if self.withdrawn_minor:
            self._move(self.withdrawn_minor, "charge.dispute.funds_reinstated", fee=-DISPUTE_FEE_MINOR)

    def lose(self) -> None:
        """The bank keeps it."""
        if self.status not in ENDS:
            self._end("warning_closed" if self.is_inquiry else "lost")

    @property
    def withdrawn_minor(self) -> int:
        """What the bank has taken and not given back."""
        return max(0, -sum(int(one["amount"]) for one in self.body["balance_transactions"]))

    def _end(self, status: str) -> None:
        self.note("charge.dispute.closed", status=status)

    def _withdraw(self) -> None:
        self._move(-self.body["amount"], "charge.dispute.funds_withdrawn", fee=DISPUTE_FEE_MINOR)

    def _move(self, amount: int, event_type: str, *, fee: int) -> None:
        category = "dispute" if amount < 0 else "dispute_reversal"
        words = f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {self.charge.id}"
        moved = BalanceTransaction.book(
            self.world,
            "adjustment",
            amount,
            self.body["currency"],
            self.id,
            fee=fee,
            description=words,
            category=category,
        )
        self.note(event_type, balance_transactions=[*self.body["balance_transactions"], moved.body])

    def _expect_answer(self) -> None:
        self.world.later(ANSWER_SECONDS, lambda: self.lose() if self.status == "needs_response" else None)

    def _expect_judgment(self, text: str | None) -> None:
        """Test mode judges by the text; a bank, by what it finds."""
        wins = text == WINNING or (text != LOSING and self.world.dice.happens(0.5))
        pause = HASTY_SECONDS if text in {WINNING, LOSING} else JUDGMENT_SECONDS
        self.world.later(pause, self.win if wins else self.lose)

    def _let_rest(self) -> None:
        if self.is_inquiry:
            self.lose()


HASTY_SECONDS: Final = 60


def _case(kind: str) -> Json:
    card = {"brand": "visa", "case_type": kind, "network": "visa", "network_reason_code": "10.4"}
    return {"payment_method_details": {"card": card, "type": "card"}}


def _body(charge: "Charge", reason: str, amount: int, *, inquiry: bool) -> Json:
    world = charge.world
    return {
        "id": world.dice.identifier("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge.id,
        "created": world.now,
        "currency": charge.body["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now + ANSWER_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.body["payment_intent"],
        **_case("inquiry" if inquiry else "chargeback"),
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
