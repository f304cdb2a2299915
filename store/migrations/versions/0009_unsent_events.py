"""What is still to be said has a narrow table of its own.

Expand only.  A mark in the outbox itself wrote each row a second time, with its payload, and a place in its index; and
those that had been marked stayed in the index of the unsent, for each look to pass, until a vacuum had been through the
whole month.  A row of this table comes and goes with the event, and a vacuum of it takes a moment.

The release before goes on: its relay looks for rows without a mark, and ours for those, too.  What this release writes
has its mark from the beginning, and waits for a relay of this release: bring the relays up to it first.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0009"
down_revision: Final = "0008"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

UNSENT_EVENTS: LiteralString = """
CREATE TABLE unsent_events (
    outbox_id bigint PRIMARY KEY,
    written_at timestamptz NOT NULL
) WITH (
    -- By count alone: it is empty as a rule, and what a look passes is what has been sent since the last vacuum.
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0,
    autovacuum_analyze_threshold = 100000, autovacuum_vacuum_insert_threshold = 100000,
    vacuum_truncate = off  -- Giving pages back would lock out everybody for a moment, and they are wanted again.
);
COMMENT ON TABLE unsent_events IS 'The rows of the outbox that Kafka does not have yet; the relay takes them out.';
COMMENT ON COLUMN outbox.sent_at IS
    'Null in what a release before 0009 wrote and no relay has sent; of the others unsent_events says what is unsent.';

GRANT SELECT, INSERT, DELETE ON unsent_events TO billing_app;
"""


def upgrade() -> None:
    """Expand: it is new."""
    for statements in (LOCK_TIMEOUT, UNSENT_EVENTS):
        op.execute(statements)
