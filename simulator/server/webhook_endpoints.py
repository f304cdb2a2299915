"""Webhook endpoints: who wants to hear of what, in which shape, signed with what.

Delivery is the couriers'; here is what they need to know, and what they tell: that an endpoint accepts, or fails.
"""

from typing import Final

from simulator.clock import DAY_SECONDS
from simulator.dice import Dice
from simulator.happenings import Json
from simulator.world import World

DISABLED_AFTER_SECONDS: Final = 7 * DAY_SECONDS
"""An endpoint that accepted nothing for so long is disabled."""
OLD_SECRET_SECONDS: Final = DAY_SECONDS
"""How long an old secret signs beside the new one."""


class WebhookEndpoint:
    """One endpoint.  Its secrets are shown once, and never lie in its body."""

    def __init__(self, world: World, dice: Dice, asked: Json) -> None:
        self._world = world
        self._dice = dice
        self._secret = dice.identifier("whsec", 32)
        self._old_secret: tuple[str, int] | None = None  # With the second from which on it signs no more.
        self._failing_since: int | None = None
        self.is_thin = False  # Whether it hears of what happened without being shown it.
        self.body = _body(dice.identifier("we"), world.now, asked)
        world.shelf.put(self)

    @property
    def url(self) -> str:
        """Where to."""
        return str(self.body["url"])

    @property
    def is_enabled(self) -> bool:
        """Whether anything is sent there."""
        return bool(self.body["status"] == "enabled")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What a delivery is signed with now: two while one is being rotated."""
        if self._old_secret and self._world.now < self._old_secret[1]:
            return (self._secret, self._old_secret[0])
        return (self._secret,)

    def wants(self, event_type: str) -> bool:
        """Whether an event of this type is sent there."""
        return self.is_enabled and not {"*", event_type}.isdisjoint(self.body["enabled_events"])

    def update(self, **changes: object) -> None:
        """Take what was changed; `disabled` is a verb of its own."""
        disabled = changes.pop("disabled", None)
        if disabled is not None:
            changes["status"] = "disabled" if disabled else "enabled"
            self._failing_since = None
        self.body = self.body | _with_metadata(self.body["metadata"], changes)

    def roll_secret(self) -> str:
        """A new secret; the old one goes on signing for a day."""
        self._old_secret = (self._secret, self._world.now + OLD_SECRET_SECONDS)
        self._secret = self._dice.identifier("whsec", 32)
        return self._secret

    def take_secret(self, secret: str) -> None:
        """Sign with a secret that the endpoint has already: of Stripe's it would have to be told."""
        self._secret, self._old_secret = secret, None

    def become_thin(self) -> None:
        """Send thin events from now on, as an event destination with thin payload has them."""
        self.is_thin = True

    def accepted(self) -> None:
        """A delivery was accepted: whatever failed before is forgiven."""
        self._failing_since = None

    def failed(self) -> None:
        """A delivery failed: after days of nothing else the endpoint is disabled."""
        if self._failing_since is None:
            self._failing_since = self._world.now
        elif self._world.now - self._failing_since >= DISABLED_AFTER_SECONDS:
            self.update(disabled=True)


def _with_metadata(before: Json, changes: Json) -> Json:
    """The changes, with the metadata that they leave: a name is set, or taken away by None; None takes all away."""
    if "metadata" not in changes:
        return changes
    named = {} if changes["metadata"] is None else before | changes["metadata"]
    return changes | {"metadata": {name: value for name, value in named.items() if value is not None}}


def _body(endpoint_id: str, now: int, asked: Json) -> Json:
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": asked.get("api_version"),
        "application": None,
        "created": now,
        "description": asked.get("description"),
        "enabled_events": asked["enabled_events"],
        "livemode": False,
        "metadata": _with_metadata({}, {"metadata": asked.get("metadata")})["metadata"],
        "status": "enabled",
        "url": asked["url"],
    }
