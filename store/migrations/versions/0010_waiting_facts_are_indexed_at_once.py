"""Facts that wait are in their index at once.  Expand only: no release reads it.

A GIN index lets new entries gather in a list, up to 4 MB of it, and reads the list from one end to the other at each
look.  Every batch looks who waits for what it touches, and few facts wait: the list is read far more often than it is
added to.
(https://www.postgresql.org/docs/current/gin.html#GIN-FAST-UPDATE)
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0010"
down_revision: Final = "0009"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

AT_ONCE: LiteralString = """
ALTER INDEX waiting_facts_by_object SET (fastupdate = off);
SELECT gin_clean_pending_list('waiting_facts_by_object');
"""


def upgrade() -> None:
    """Expand: what has gathered goes in now, and nothing gathers any more."""
    for statements in (LOCK_TIMEOUT, AT_ONCE):
        op.execute(statements)
