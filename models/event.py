"""The noun that everything we say is: an event.  Which there are stands in `models/events.py`."""

from typing import ClassVar

from models.base import Model, Moment
from models.topics import Topic


class Event(Model):
    """Something we tell the world.  `subject` is the object it is about."""

    topic: ClassVar[Topic]
    type: str
    subject: str
    account_id: str | None
    as_of: Moment  # When it became true in Stripe's world, not when we heard of it.
    historical: bool = False  # It was so before we went live: nothing is to be granted, mailed or alerted for it.

    @property
    def key(self) -> str:
        """The Kafka key: facts with one key keep their order."""
        return self.account_id or self.subject
