"""Room on each page for the rows that every fact writes anew.  Expand only: no release reads it.

A new version of a row that fits on its page needs no entry in any index (PostgreSQL's heap-only tuples).  On a full
page it goes elsewhere, and a page of each index is written for it, somewhere in the index's whole breadth, and logged
whole when it is the first time since a checkpoint.  The setting counts for what is written from now on, and locks out
nothing but other changes of the schema.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

ROOM: LiteralString = """
ALTER TABLE accounts SET (fillfactor = 70);
ALTER TABLE outbox_sequences SET (fillfactor = 70);
ALTER TABLE subscriptions SET (fillfactor = 70);
"""


def upgrade() -> None:
    """Expand."""
    for statements in (LOCK_TIMEOUT, ROOM):
        op.execute(statements)
