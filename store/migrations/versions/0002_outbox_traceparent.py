"""The outbox remembers which trace an event goes on with.  Expand only: the release before neither writes nor reads it.

A column without a default changes no row; it comes to every month there is with the parent, and `make_months` copies
the parent as it is.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

COLUMN: LiteralString = """
ALTER TABLE outbox ADD COLUMN traceparent text;
COMMENT ON COLUMN outbox.traceparent IS 'The span of the fact that made us say it, where that is traced (W3C).';
"""


def upgrade() -> None:
    """Expand."""
    for statements in (LOCK_TIMEOUT, COLUMN):
        op.execute(statements)
