"""The platform's door: its keys, what it was asked and answered, and the customers that it made.

Expand only: no process of the release before knows of it.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

KEYS: LiteralString = """
CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    lineage text NOT NULL,
    name text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    livemode boolean NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
COMMENT ON TABLE api_keys IS 'By what platform services prove who they are.  No secret is in it, only what proves one.';
"""

REQUESTS: LiteralString = """
CREATE TABLE door_requests (
    lineage text NOT NULL,
    idempotency_key text NOT NULL,
    key_id text NOT NULL,
    request_sha256 bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
    began_at timestamptz NOT NULL,
    claim_id text NOT NULL,
    claimed_until timestamptz NOT NULL,
    again boolean NOT NULL DEFAULT false,
    target text,
    status bigint,
    answer bytea,
    sealed_with text,
    PRIMARY KEY (lineage, idempotency_key),
    CHECK (num_nulls(status, answer, sealed_with) IN (0, 3))
) WITH (fillfactor = 70);
COMMENT ON TABLE door_requests IS
    'What the door was asked to do, once for each Idempotency-Key, and what it answered: sealed, for two days.';

CREATE INDEX door_requests_by_time ON door_requests (began_at);
"""

CUSTOMERS: LiteralString = """
CREATE TABLE door_customers (
    customer_id text PRIMARY KEY,
    account_id text NOT NULL,
    made_at timestamptz NOT NULL
);
COMMENT ON TABLE door_customers IS
    'Customers that the door made for accounts without one: it knows them before the books hear of them.';

CREATE INDEX door_customers_by_account ON door_customers (account_id);
"""

GRANTS: LiteralString = """
GRANT SELECT, INSERT, UPDATE ON api_keys TO billing_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON door_requests TO billing_app;
GRANT SELECT, INSERT ON door_customers TO billing_app;
"""


def upgrade() -> None:
    """Expand: all of it is new."""
    for statements in (LOCK_TIMEOUT, KEYS, REQUESTS, CUSTOMERS, GRANTS):
        op.execute(statements)
