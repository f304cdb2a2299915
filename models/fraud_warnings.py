"""Fraud warnings: a card network believes that a charge is fraud, before anybody asks for the money back."""

from models.events import AlertRaised, Rule
from models.objects import FraudWarning, State
from models.payments import About


def told(object_id: str, before: State | None, after: State, about: About) -> tuple[AlertRaised, ...]:
    """An alert, once a warning."""
    if not isinstance(after, FraudWarning) or before is not None:
        return ()
    alert = AlertRaised(
        rule=Rule.EARLY_FRAUD_WARNING,
        subject=object_id,
        account_id=about.account_id,
        as_of=about.as_of,
        detail=f"A card network calls charge {after.charge_id} fraud ({after.fraud_type or 'it does not say how'}).",
    )
    return (alert,)
