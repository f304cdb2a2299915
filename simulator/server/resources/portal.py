"""Billing portal: sessions, and the configurations that say what one may do there."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.portal import PortalConfiguration, PortalSession
from simulator.server.parameters import Hash, choice, flag, many, metadata, text, unsettable, whole
from simulator.server.resources.shared import PRORATION
from simulator.server.routes import Call, Route, acting, listing, retrieving, same

SESSIONS: Final = "/v1/billing_portal/sessions"
CONFIGURATION: Final = "billing_portal.configuration"
CONFIGURATIONS: Final = "/v1/billing_portal/configurations"

ENABLED: Final = Hash({"enabled": flag}, needs=("enabled",))
FLOW: Final = Hash(
    {
        "after_completion": Hash(
            {
                "hosted_confirmation": Hash({"custom_message": text}),
                "redirect": Hash({"return_url": text}, needs=("return_url",)),
                "type": choice("hosted_confirmation", "portal_homepage", "redirect"),
            },
            needs=("type",),
        ),
        "subscription_cancel": Hash({"subscription": text}, needs=("subscription",)),
        "subscription_update": Hash({"subscription": text}, needs=("subscription",)),
        "subscription_update_confirm": Hash(
            {
                "items": many(Hash({"id": text, "price": text, "quantity": whole}, needs=("id",))),
                "subscription": text,
            },
            needs=("items", "subscription"),
        ),
        "type": choice(
            "payment_method_update", "subscription_cancel", "subscription_update", "subscription_update_confirm"
        ),
    },
    needs=("type",),
)
CREATE: Final = Hash(
    {"configuration": text, "customer": text, "flow_data": FLOW, "locale": text, "return_url": text},
    needs=("customer",),
)
FEATURES: Final = Hash(
    {
        "customer_update": Hash(
            {
                "allowed_updates": unsettable(many(choice("address", "email", "name", "phone", "shipping", "tax_id"))),
                "enabled": flag,
            }
        ),
        "invoice_history": ENABLED,
        "payment_method_update": ENABLED,
        "subscription_cancel": Hash(
            {
                "enabled": flag,
                "mode": choice("at_period_end", "immediately"),
                "proration_behavior": PRORATION,
            }
        ),
        "subscription_update": Hash(
            {
                "default_allowed_updates": unsettable(many(choice("price", "promotion_code", "quantity"))),
                "enabled": flag,
                "products": unsettable(
                    many(Hash({"prices": many(text), "product": text}, needs=("prices", "product")))
                ),
                "proration_behavior": PRORATION,
                "schedule_at_period_end": Hash(
                    {
                        "conditions": many(
                            Hash({"type": choice("decreasing_item_amount", "shortening_interval")}, needs=("type",))
                        )
                    }
                ),
            }
        ),
    }
)
CONFIGURATION_CHANGE: Final[dict[str, Any]] = {
    "business_profile": Hash({"headline": unsettable(text), "privacy_policy_url": text, "terms_of_service_url": text}),
    "default_return_url": unsettable(text),
    "features": FEATURES,
    "metadata": unsettable(metadata),
    "name": unsettable(text),
}


def create(call: Call) -> Json:
    """A new session: a link that one customer may use."""
    return PortalSession.create(call.world, **call.params).body


def create_configuration(call: Call) -> Json:
    """A new configuration."""
    return PortalConfiguration.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", SESSIONS, CREATE, create),
    Route("POST", CONFIGURATIONS, Hash(CONFIGURATION_CHANGE, needs=("features",)), create_configuration),
    listing(CONFIGURATIONS, CONFIGURATION, same("active", flag) | same("is_default", flag)),
    retrieving(f"{CONFIGURATIONS}/{{id}}", CONFIGURATION),
    acting(
        f"{CONFIGURATIONS}/{{id}}",
        CONFIGURATION,
        Hash(CONFIGURATION_CHANGE | {"active": flag}),
        lambda configuration, changes: configuration.update(**changes),
    ),
)
