"""Nothing stays missing: how far whoever looks through Stripe's lists has come, and which alarms are on.

Expand only: no process of the release before knows of it.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

BOOKMARKS: LiteralString = """
CREATE TABLE bookmarks (
    name text PRIMARY KEY,
    place text NOT NULL,
    moved_at timestamptz NOT NULL
);
COMMENT ON TABLE bookmarks IS 'Where whoever looks through a list of Stripe''s goes on, as JSON of its own.';
"""

ALARMS: LiteralString = """
CREATE TABLE alarms (
    rule text NOT NULL,
    subject text NOT NULL,
    times bigint NOT NULL CHECK (times >= 1),
    raised_at timestamptz NOT NULL,
    cleared_at timestamptz,
    PRIMARY KEY (rule, subject)
);
COMMENT ON TABLE alarms IS 'What was wrong with the way to us: since when, and until when.  It is said once each time.';
"""

CUSTOMERS: LiteralString = """
CREATE OR REPLACE VIEW reports.customers AS
SELECT c.account_id, c.customer_id, c.platform_id, c.deleted_at IS NOT NULL AS deleted, c.livemode,
       coalesce(
           (o.state::jsonb ->> 'created_at')::timestamptz,
           (SELECT min((v.state::jsonb ->> 'created_at')::timestamptz) FROM stripe_object_versions AS v
            WHERE v.object_id = c.customer_id)) AS since
FROM customers AS c
LEFT JOIN stripe_objects AS o ON o.object_id = c.customer_id;
COMMENT ON VIEW reports.customers IS
    'Each of Stripe''s customers and whose it is; since is null until it was shown: asked about one that was deleted,
Stripe does not say.';
"""

GRANTS: LiteralString = """
GRANT SELECT, INSERT, UPDATE, DELETE ON bookmarks TO billing_app;
GRANT SELECT, INSERT, UPDATE ON alarms TO billing_app;
"""


def upgrade() -> None:
    """Expand: tables that are new, and a view with the columns that it had."""
    for statements in (LOCK_TIMEOUT, BOOKMARKS, ALARMS, CUSTOMERS, GRANTS):
        op.execute(statements)
