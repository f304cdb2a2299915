"""When we went live: what was before is history.

Expand only: no process of the release before knows of it.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

GO_LIVE: LiteralString = """
CREATE TABLE go_live (
    livemode boolean PRIMARY KEY,
    went_at timestamptz NOT NULL,
    set_at timestamptz NOT NULL
);
COMMENT ON TABLE go_live IS
    'When we went live, by mode: what Stripe made before was imported as history, and nothing was done about it.';

GRANT SELECT, INSERT ON go_live TO billing_app;
"""


def upgrade() -> None:
    """Expand: it is new."""
    for statements in (LOCK_TIMEOUT, GO_LIVE):
        op.execute(statements)
