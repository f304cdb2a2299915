"""Early fraud warnings: a bank thinks that a charge was not made by whom it seems."""

from typing import TYPE_CHECKING, ClassVar, Self

from simulator.things import Thing

if TYPE_CHECKING:
    from simulator.charges import Charge


class EarlyFraudWarning(Thing):
    """One warning; there is something to do about it until the charge is refunded or disputed."""

    kind: ClassVar[str] = "radar.early_fraud_warning"

    @classmethod
    def issue(cls, charge: "Charge", fraud_type: str = "made_with_stolen_card") -> Self:
        """A new warning of *charge*."""
        world = charge.world
        body = {
            "id": world.dice.identifier("issfr"),
            "object": "radar.early_fraud_warning",
            "actionable": not (charge.body["refunded"] or charge.body["disputed"]),
            "charge": charge.id,
            "created": world.now,
            "fraud_type": fraud_type,
            "livemode": False,
            "payment_intent": charge.body["payment_intent"],
        }
        warning = cls(world, body)
        world.record("radar.early_fraud_warning.created", warning.body)
        return warning

    def settle(self) -> None:
        """Nothing is left to be done about it."""
        if self.body["actionable"]:
            self.tell("radar.early_fraud_warning.updated", actionable=False)
