"""Prices: whether Stripe sells on the terms of our catalog."""

from models.catalog import Catalog, Terms
from models.events import AlertRaised, Rule
from models.objects import Price, State
from models.payments import About


def told(object_id: str, after: State, about: About, catalog: Catalog) -> tuple[AlertRaised, ...]:
    """An alert when a price bears a lookup key of the catalog and sells on other terms, or does not sell."""
    if not isinstance(after, Price) or after.lookup_key is None:
        return ()
    wanted = catalog.terms(after.lookup_key)
    if wanted is None or (after.active and wanted == _terms(after)):
        return ()
    alert = AlertRaised(
        rule=Rule.PRICE_UNLIKE_CATALOG,
        subject=object_id,
        account_id=about.account_id,
        as_of=about.as_of,
        detail=f"Stripe's price for {after.lookup_key} is not as the catalog has it: `billing catalog plan` shows how.",
    )
    return (alert,)


def _terms(price: Price) -> Terms | None:
    if price.unit_amount_minor is None or (price.interval_count or 1) != 1:
        return None
    return Terms(price.unit_amount_minor, price.currency, price.interval)
