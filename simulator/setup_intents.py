"""Setup intents: a card is put on file without a payment."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from simulator.things import Thing

if TYPE_CHECKING:
    from simulator.payment_methods import PaymentMethod
    from simulator.world import World


class SetupIntent(Thing):
    """One card that somebody means to put on file."""

    kind: ClassVar[str] = "setup_intent"

    @classmethod
    def make(cls, world: "World", customer: str | None, **fields: Any) -> Self:
        """A setup intent, told of."""
        intent = cls(world, _body(world) | {"customer": customer} | fields)
        world.record("setup_intent.created", intent.body)
        return intent

    def succeed(self, method: "PaymentMethod") -> None:
        """The card is on file, and was authenticated for payments that nobody watches."""
        method.is_saved = True
        customer_id = self.body["customer"]
        if customer_id and method.customer_id is None:
            method.attach(customer_id)
        self.note("setup_intent.succeeded", status="succeeded", payment_method=method.id)

    def cancel(self) -> None:
        """It will not be."""
        if self.body["status"] not in {"succeeded", "canceled"}:
            self.note("setup_intent.canceled", status="canceled", cancellation_reason="abandoned")


def _body(world: "World") -> dict[str, Any]:
    intent_id = world.dice.identifier("seti")
    unset = """
        application automatic_payment_methods cancellation_reason description flow_directions last_setup_error
        latest_attempt mandate next_action on_behalf_of payment_method payment_method_configuration_details
        single_use_mandate
    """.split()
    return {
        "id": intent_id,
        "object": "setup_intent",
        **dict.fromkeys(unset),
        "client_secret": f"{intent_id}_{world.dice.identifier('secret', 30)}",
        "created": world.now,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {"card": {"mandate_options": None, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        "usage": "off_session",
    }
