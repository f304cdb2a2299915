"""Disputes: somebody's bank takes money back, and one may say why it should not."""

from typing import Final

from simulator.server.parameters import NOTHING, Hash, flag, metadata, text, unsettable
from simulator.server.routes import CREATED, acting, listing, retrieving, same

KIND: Final = "dispute"
PLACE: Final = "/v1/disputes"

EVIDENCE: Final = Hash(
    dict.fromkeys(
        """
        access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal
        customer_communication customer_email_address customer_name customer_purchase_ip customer_signature
        duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt
        refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation
        shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number
        uncategorized_file uncategorized_text
        """.split(),
        unsettable(text),
    )
)
UPDATE: Final = Hash({"evidence": EVIDENCE, "metadata": unsettable(metadata), "submit": flag})

ROUTES: Final = (
    listing(PLACE, KIND, CREATED | same("charge", text) | same("payment_intent", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda dispute, changes: dispute.update(**changes)),
    acting(f"{PLACE}/{{id}}/close", KIND, NOTHING, lambda dispute, _: dispute.close()),
)
