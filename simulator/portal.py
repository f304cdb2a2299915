"""The billing portal: a link that one customer may use, and the configuration that says what for."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.customers import Customer, customer_named
from simulator.happenings import Json
from simulator.prices import price_named
from simulator.refusals import Refused, invalid, missing
from simulator.subscription_schedules import change_at_period_end
from simulator.subscriptions import Subscription
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

_NOTHING: Final[Json] = {}


class PortalConfiguration(Thing):
    """What one may do in the portal."""

    kind: ClassVar[str] = "billing_portal.configuration"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        features: Json | None = None,
        business_profile: Json | None = None,
        metadata: Json | None = None,
        is_default: bool = False,
        **fields: Any,
    ) -> Self:
        """A new configuration: what is not told is not allowed."""
        told = {"metadata": merged_metadata({}, metadata), "is_default": is_default}
        body = _configuration(world) | fields | told | {"features": _merged(_FEATURES, features or {})}
        body["business_profile"] = body["business_profile"] | (business_profile or {})
        configuration = cls(world, body)
        world.record("billing_portal.configuration.created", configuration.body, by_request=True)
        return configuration

    @classmethod
    def default(cls, world: "World") -> "PortalConfiguration":
        """The one that is used when none is named: everything is allowed, and what saves money waits for the end."""
        made: list[PortalConfiguration] = [one for one in world.shelf.all(cls.kind) if one.body["is_default"]]
        return made[0] if made else cls.create(world, features=_EVERYTHING, is_default=True)

    def update(
        self,
        *,
        features: Json | None = None,
        business_profile: Json | None = None,
        metadata: Json | None = _NOTHING,
        **changes: Any,
    ) -> None:
        """Allow something else."""
        self.tell(
            "billing_portal.configuration.updated",
            by_request=True,
            features=_merged(self.body["features"], features or {}),
            business_profile=self.body["business_profile"] | (business_profile or {}),
            metadata=merged_metadata(self.body["metadata"], metadata),
            updated=self.world.now,
            **changes,
        )

    def feature(self, name: str) -> Json:
        """How it is with one feature; Refused where it is not allowed."""
        feature: Json = self.body["features"][name]
        if not feature["enabled"]:
            raise Refused("This portal does not allow that.", code="feature_not_enabled", status=400)
        return feature


class PortalSession(Thing):
    """One customer's link."""

    kind: ClassVar[str] = "billing_portal.session"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        customer: str,
        return_url: str | None = None,
        configuration: str | None = None,
        flow_data: Json | None = None,
        locale: str | None = None,
    ) -> Self:
        """A new session."""
        customer_named(world, customer)
        allowed: PortalConfiguration | None = None
        if configuration:
            allowed = world.shelf.get(PortalConfiguration.kind, configuration)
            if allowed is None:
                raise missing("configuration", configuration, "configuration")
        allowed = allowed or PortalConfiguration.default(world)
        session_id = world.dice.identifier("bps")
        body = {
            "id": session_id,
            "object": "billing_portal.session",
            "configuration": allowed.id,
            "created": world.now,
            "customer": customer,
            "customer_account": None,
            "flow": _flow(flow_data),
            "livemode": False,
            "locale": locale,
            "on_behalf_of": None,
            "return_url": return_url or allowed.body["default_return_url"],
            "url": f"{world.address}/p/session/{session_id}",
        }
        session = cls(world, body)
        world.record("billing_portal.session.created", session.body, by_request=True)
        return session

    @property
    def configuration(self) -> PortalConfiguration:
        """What one may do."""
        configuration: PortalConfiguration | None = self.world.shelf.get(
            PortalConfiguration.kind, self.body["configuration"]
        )
        assert configuration is not None, "configurations are never deleted"
        return configuration

    # What the customer does.

    def change_plan(self, subscription_id: str, price_id: str) -> None:
        """Go over to another price: now, with the difference billed at once; or when the period ends, for less."""
        feature = self.configuration.feature("subscription_update")
        subscription = self._subscription(subscription_id)
        price = price_named(self.world, price_id, "price").body
        if price["recurring"] is None:
            raise invalid("This price is paid once.", "price")
        item = subscription.plan_item
        asked = [{"id": item["id"], "price": price_id}]
        conditions = {one["type"] for one in feature["schedule_at_period_end"]["conditions"]}
        if conditions & _savings(item["price"], price):
            change_at_period_end(subscription, asked)
        else:
            subscription.update(items=asked, proration_behavior=feature["proration_behavior"])

    def update_card(self, number_or_token: str) -> None:
        """Put another card on file, for everything that is to be paid."""
        self.configuration.feature("payment_method_update")
        customer = self._customer()
        customer.use_card(number_or_token)
        for subscription in list(self.world.subscriptions.values()):
            if subscription.customer is customer and subscription.is_live:
                subscription.update(default_payment_method=customer.default_payment_method)

    def cancel(self, subscription_id: str) -> None:
        """Let it run out, or end it at once, as the configuration says."""
        feature = self.configuration.feature("subscription_cancel")
        subscription = self._subscription(subscription_id)
        if feature["mode"] == "immediately":
            subscription.cancel(prorate=feature["proration_behavior"] != "none")
        elif subscription.body["cancel_at_period_end"]:
            raise invalid("This subscription is already set to cancel.", "subscription")
        else:
            subscription.cancel_at_period_end()

    def resume(self, subscription_id: str) -> None:
        """Take the cancellation back."""
        subscription = self._subscription(subscription_id)
        if not subscription.body["cancel_at_period_end"]:
            raise invalid("This subscription is not set to cancel.", "subscription")
        subscription.keep()

    def _customer(self) -> Customer:
        return customer_named(self.world, self.body["customer"])

    def _subscription(self, subscription_id: str) -> Subscription:
        subscription = self.world.subscriptions.get(subscription_id)
        if subscription is None or subscription.customer.id != self.body["customer"] or not subscription.is_live:
            raise missing("subscription", subscription_id, "subscription")
        return subscription


def _savings(before: Json, after: Json) -> set[str]:
    """In which ways *after* is less than *before*: per month, so that a year's price is compared with a month's."""
    years = {"month": 1, "year": 12}
    old, new = (price["recurring"]["interval"] for price in (before, after))
    found = set()
    if old == new and after["unit_amount"] < before["unit_amount"]:
        found.add("decreasing_item_amount")
    if years.get(new, 0) < years.get(old, 0):
        found.add("shortening_interval")
    return found


def _flow(data: Json | None) -> Json | None:
    """Where the customer is led at once."""
    if data is None:
        return None
    completion: Json = {"hosted_confirmation": None, "redirect": None, "type": "portal_homepage"}
    kinds = ("subscription_cancel", "subscription_update", "subscription_update_confirm")
    flow: Json = dict.fromkeys(kinds) | {"type": data["type"]}
    for kind in kinds:
        if told := data.get(kind):
            extra = {"retention": None} if kind == "subscription_cancel" else {}
            extra |= {"discounts": None} if kind == "subscription_update_confirm" else {}
            flow[kind] = extra | told
    return flow | {"after_completion": completion | data.get("after_completion", {})}


def _merged(old: Json, new: Json) -> Json:
    """The *old* features, with what is told of each anew."""
    return {name: feature | dict(new.get(name) or {}) for name, feature in old.items()}


_FEATURES: Final[Json] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
_EVERYTHING: Final[Json] = {
    "customer_update": {"allowed_updates": ["address", "email", "name", "phone"], "enabled": True},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True},
    "subscription_update": {
        "default_allowed_updates": ["price", "promotion_code", "quantity"],
        "enabled": True,
        "proration_behavior": "always_invoice",
        "schedule_at_period_end": {"conditions": [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]},
    },
}


def _configuration(world: "World") -> Json:
    return {
        "id": world.dice.identifier("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": world.now,
        "default_return_url": None,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "name": None,
        "updated": world.now,
    }
