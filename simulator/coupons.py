"""Coupons, the promotion codes by which customers ask for them, and the discounts that come of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.clock import months_after
from simulator.happenings import Json
from simulator.refusals import Refused, invalid, missing
from simulator.things import HIDDEN, Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

_NOTHING: Final[Json] = {}
PERCENT: Final = 100


class Coupon(Thing):
    """So much off, for so long."""

    kind: ClassVar[str] = "coupon"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        id: str | None = None,  # noqa: A002  Stripe's own word.
        percent_off: float | None = None,
        amount_off: int | None = None,
        currency: str | None = None,
        duration: str = "once",
        duration_in_months: int | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new coupon."""
        if (percent_off is None) == (amount_off is None):
            raise invalid("You must pass either `percent_off` or `amount_off`.", "percent_off")
        if amount_off is not None and currency is None:
            raise invalid("You must pass currency when passing amount_off", "currency", "parameter_missing")
        if (duration == "repeating") != (duration_in_months is not None):
            raise invalid("`duration_in_months` goes with a duration of `repeating`.", "duration_in_months")
        coupon_id = id or world.dice.identifier("x", 8)[2:]
        if world.shelf.get(cls.kind, coupon_id):
            raise Refused("Coupon already exists.", code="resource_already_exists", param="id")
        told: Json = {"percent_off": percent_off, "amount_off": amount_off, "currency": currency, "duration": duration}
        told |= {"duration_in_months": duration_in_months, "metadata": merged_metadata({}, metadata)}
        coupon = cls(world, _coupon_body(world, coupon_id) | told | fields)
        world.record("coupon.created", coupon.body, by_request=True)
        return coupon

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change what may change of it."""
        merged = merged_metadata(self.body["metadata"], metadata)
        self.tell("coupon.updated", by_request=True, metadata=merged, **changes)

    def delete(self) -> None:
        """Let nobody redeem it any more; who has, keeps it."""
        self.world.record("coupon.deleted", self.body, by_request=True)
        self.world.shelf.remove(self)

    def redeem(self) -> None:
        """Count one more who has it; Refused when no more may."""
        if not self.is_valid:
            raise invalid(f"Coupon {self.id} is used up and cannot be applied.", "coupon")
        self.become(times_redeemed=self.body["times_redeemed"] + 1)
        self.become(valid=self.is_valid)

    @property
    def is_valid(self) -> bool:
        """Whether one more may have it."""
        most, last = self.body["max_redemptions"], self.body["redeem_by"]
        return (most is None or self.body["times_redeemed"] < most) and (last is None or self.world.now <= last)


class PromotionCode(Thing):
    """A word that customers say to have a coupon."""

    kind: ClassVar[str] = "promotion_code"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        promotion: Json,
        code: str | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new code."""
        coupon: Coupon | None = world.shelf.get("coupon", promotion["coupon"])
        if coupon is None:
            raise missing("coupon", promotion["coupon"], "promotion[coupon]")
        word = code or world.dice.identifier("x", 8)[2:].upper()
        if code_named(world, word):
            raise invalid("An active promotion code with `code: " + word + "` already exists.", "code")
        body = _code_body(world, word, coupon) | {"metadata": merged_metadata({}, metadata)} | fields
        made = cls(world, body)
        world.record("promotion_code.created", made.body, by_request=True)
        return made

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Switch it on or off, or change what is written on it."""
        merged = merged_metadata(self.body["metadata"], metadata)
        self.tell("promotion_code.updated", by_request=True, metadata=merged, **changes)

    @property
    def coupon(self) -> Coupon:
        """What it gives."""
        coupon: Coupon | None = self.world.shelf.get("coupon", self.body["promotion"]["coupon"])
        if coupon is None:
            raise missing("coupon", self.body["promotion"]["coupon"], "promotion_code")
        return coupon

    def redeem(self) -> None:
        """Count one more who has it; Refused when no more may."""
        most, last = self.body["max_redemptions"], self.body["expires_at"]
        spent = most is not None and self.body["times_redeemed"] >= most
        if not self.body["active"] or spent or (last is not None and self.world.now > last):
            raise Refused("This promotion code cannot be redeemed.", code="promotion_code_invalid", param="discounts")
        self.coupon.redeem()
        self.become(times_redeemed=self.body["times_redeemed"] + 1)


class Discount(Thing):
    """A coupon that somebody has: on a subscription, an invoice or a checkout session."""

    kind: ClassVar[str] = "discount"

    def __init__(self, world: "World", coupon: Coupon, body: Json) -> None:
        super().__init__(world, body)
        self.coupon = coupon
        self.is_spent = False

    @property
    def is_live(self) -> bool:
        """Whether it still takes something off."""
        return not self.is_spent and (self.body["end"] is None or self.world.now < self.body["end"])

    def spend(self) -> None:
        """It was used; a coupon for once is over."""
        self.is_spent = self.coupon.body["duration"] == "once"

    def off(self, amount_minor: int, of_total_minor: int) -> int:
        """What it takes off a line of *amount_minor*, of lines of *of_total_minor* together."""
        percent, fixed = self.coupon.body["percent_off"], self.coupon.body["amount_off"]
        if percent is not None:
            return int(amount_minor * percent / PERCENT + 0.5)
        return int(min(fixed, of_total_minor) * amount_minor // of_total_minor) if of_total_minor else 0


def code_named(world: "World", word: str) -> PromotionCode | None:
    """The active code that reads *word*, however it is written."""
    codes = world.shelf.all("promotion_code")
    return next((one for one in codes if one.body["code"].lower() == word.lower() and one.body["active"]), None)


def redeem(world: "World", asked: Sequence[Json] | None, **on: Any) -> list[Discount]:
    """Discounts for what was *asked*: coupons and promotion codes, *on* what they are to be."""
    return [_redeemed(world, one, on) for one in asked or ()]


def _redeemed(world: "World", asked: Json, on: Json) -> Discount:
    if discount_id := asked.get("discount"):
        known: Discount | None = world.shelf.get("discount", discount_id)
        if known is None:
            raise missing("discount", discount_id, "discounts[0][discount]")
        return known if on.items() <= known.body.items() else _told(_passed_on(known, on))
    code: PromotionCode | None = None
    if code_id := asked.get("promotion_code"):
        code = world.shelf.get("promotion_code", code_id)
        if code is None:
            raise missing("promotion code", code_id, "discounts[0][promotion_code]")
        code.redeem()
        coupon = code.coupon
    else:
        found: Coupon | None = world.shelf.get("coupon", asked["coupon"])
        if found is None:
            raise missing("coupon", asked["coupon"], "discounts[0][coupon]")
        coupon = found
        coupon.redeem()
    return _told(Discount(world, coupon, _discount_body(world, coupon, code.id if code else None) | on))


def _passed_on(known: Discount, on: Json) -> Discount:
    """What was on a checkout session goes on to what it makes."""
    world, coupon = known.world, known.coupon
    return Discount(world, coupon, _discount_body(world, coupon, known.body["promotion_code"]) | on)


def _told(discount: Discount) -> Discount:
    if discount.body["customer"]:
        discount.world.record("customer.discount.created", discount.body)
    return discount


def _coupon_body(world: "World", coupon_id: str) -> Json:
    return {
        "id": coupon_id,
        "object": "coupon",
        "created": world.now,
        "livemode": False,
        "max_redemptions": None,
        "name": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }


def _code_body(world: "World", word: str, coupon: Coupon) -> Json:
    return {
        "id": world.dice.identifier("promo"),
        "object": "promotion_code",
        "active": True,
        "code": word,
        "created": world.now,
        "customer": None,
        "expires_at": None,
        "livemode": False,
        "max_redemptions": None,
        "promotion": {"coupon": coupon.id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
        HIDDEN: {"coupon": coupon.body},
    }


def _discount_body(world: "World", coupon: Coupon, code_id: str | None) -> Json:
    months = coupon.body["duration_in_months"]
    return {
        "id": world.dice.identifier("di"),
        "object": "discount",
        "checkout_session": None,
        "customer": None,
        "end": months_after(world.now, months) if months else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": code_id,
        "source": {"coupon": coupon.id, "type": "coupon"},
        "start": world.now,
        "subscription": None,
        "subscription_item": None,
        HIDDEN: {"coupon": coupon.body},
    }
