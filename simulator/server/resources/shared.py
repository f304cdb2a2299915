"""Parameters that several resources take."""

from typing import Final

from simulator.server.parameters import ADDRESS, Hash, choice, flag, many, metadata, text, unsettable, whole

INTERVALS: Final = choice("day", "week", "month", "year")
RECURRING: Final = Hash({"interval": INTERVALS, "interval_count": whole}, needs=("interval",))
TAX_BEHAVIOR: Final = choice("exclusive", "inclusive", "unspecified")
PRORATION: Final = choice("always_invoice", "create_prorations", "none")
COLLECTION: Final = choice("charge_automatically", "send_invoice")

DISCOUNTS: Final = unsettable(many(Hash({"coupon": text, "promotion_code": text, "discount": text})))
AUTOMATIC_TAX: Final = Hash({"enabled": flag}, needs=("enabled",))
BILLING_DETAILS: Final = Hash(
    {"address": unsettable(ADDRESS), "email": unsettable(text), "name": unsettable(text), "phone": unsettable(text)}
)
PRICE_DATA: Final = Hash(
    {
        "currency": text,
        "product": text,
        "product_data": Hash(
            {"name": text, "description": text, "metadata": metadata, "tax_code": text}, needs=("name",)
        ),
        "recurring": RECURRING,
        "tax_behavior": TAX_BEHAVIOR,
        "unit_amount": whole,
    },
    needs=("currency",),
)
# Of a subscription's items Stripe wants a product that exists.
PRICE_DATA_OF_PRODUCT: Final = Hash(
    {name: reader for name, reader in PRICE_DATA.fields.items() if name != "product_data"},
    needs=("currency", "product", "recurring"),
)
PAYMENT_BEHAVIOR: Final = choice(
    "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
)
TRIAL_SETTINGS: Final = Hash(
    {
        "end_behavior": Hash(
            {"missing_payment_method": choice("cancel", "create_invoice", "pause")}, needs=("missing_payment_method",)
        )
    },
    needs=("end_behavior",),
)
