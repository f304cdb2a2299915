"""Payments: Stripe's objects and their versions, the payments that they make, facts that wait for their owner.

Expand only: a worker of the release before writes none of this, and reads none of it.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

OBJECTS: LiteralString = """
CREATE TABLE stripe_objects (
    object_id text PRIMARY KEY,
    kind text,
    cause_id text,
    customer_id text,
    account_id text,
    ownerless boolean NOT NULL DEFAULT false,
    fact_id text,
    occurred_at timestamptz,
    state text,
    CHECK (num_nulls(kind, fact_id, occurred_at, state) IN (0, 4))
) WITH (fillfactor = 70);
COMMENT ON TABLE stripe_objects IS
    'Every object of Stripe''s that we saw or saw named: what it is about, whose it is, and how it is now.';

CREATE INDEX stripe_objects_by_cause ON stripe_objects (cause_id) WHERE cause_id IS NOT NULL;
CREATE INDEX stripe_objects_by_customer ON stripe_objects (customer_id, kind) WHERE customer_id IS NOT NULL;
CREATE INDEX stripe_objects_by_kind ON stripe_objects (kind) WHERE kind IN ('refund', 'dispute', 'invoice', 'price');

CREATE TABLE stripe_object_versions (
    object_id text NOT NULL,
    fact_id text NOT NULL,
    ended boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    ordinal bigint NOT NULL CHECK (ordinal >= 0),
    rank bigint NOT NULL,
    before text,
    state text NOT NULL,
    PRIMARY KEY (object_id, fact_id),
    UNIQUE (object_id, ended, occurred_at, ordinal) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE stripe_object_versions IS
    'Every version in order: living before ended, then by second, then by place within the second.';
"""

PAYMENTS: LiteralString = """
CREATE TABLE payments (
    payment_id text PRIMARY KEY,
    customer_id text,
    guest_account_id text,
    kind text NOT NULL CHECK (kind IN ('subscription', 'one_off', 'other')),
    status text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed', 'canceled')),
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    discount_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL CHECK (refunded_minor >= 0),
    disputed_minor bigint NOT NULL CHECK (disputed_minor >= 0),
    invoice_id text,
    payment_intent_id text,
    charge_id text,
    failure_code text,
    purpose text,
    occurred_at timestamptz NOT NULL,
    livemode boolean NOT NULL,
    CHECK (customer_id IS NULL OR guest_account_id IS NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE payments IS 'One payment is one row, however many of Stripe''s objects tell of it.';

CREATE INDEX payments_by_customer ON payments (customer_id, occurred_at);
CREATE INDEX payments_by_time ON payments (occurred_at);
"""

WAITING: LiteralString = """
CREATE TABLE waiting_facts (
    source text NOT NULL,
    fact_id text NOT NULL,
    envelope text NOT NULL,
    slice text NOT NULL,
    awaits text[] NOT NULL CHECK (cardinality(awaits) > 0),
    type text NOT NULL,
    api_version text,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    waiting_since timestamptz NOT NULL,
    asked_at timestamptz,
    topic text,
    partition bigint,
    topic_offset bigint,
    PRIMARY KEY (fact_id, source)
);
COMMENT ON TABLE waiting_facts IS
    'Facts whose owner nobody knows yet: the fact that tells presents them again, and Stripe is asked.';

CREATE INDEX waiting_facts_by_object ON waiting_facts USING gin (awaits);
CREATE INDEX waiting_facts_by_time ON waiting_facts (waiting_since);
"""

REPORTS: LiteralString = """
CREATE VIEW reports.payments AS
SELECT p.payment_id, coalesce(c.account_id, p.guest_account_id) AS account_id, p.customer_id, p.kind, p.status,
       p.currency, p.amount_minor, p.tax_minor, p.discount_minor, p.refunded_minor, p.disputed_minor, p.invoice_id,
       p.payment_intent_id, p.charge_id, p.failure_code, p.purpose, p.occurred_at, p.livemode
FROM payments AS p
LEFT JOIN customers AS c USING (customer_id);
COMMENT ON VIEW reports.payments IS 'Each payment as it is now; amounts in minor units of its currency.';

CREATE VIEW reports.refunds AS
SELECT o.object_id AS refund_id, coalesce(c.account_id, o.account_id) AS account_id, o.customer_id,
       shown ->> 'status' AS status, shown ->> 'currency' AS currency,
       (shown ->> 'amount_minor')::bigint AS amount_minor,
       shown ->> 'charge_id' AS charge_id, shown ->> 'payment_intent_id' AS payment_intent_id,
       shown ->> 'reason' AS reason, shown ->> 'failure_reason' AS failure_reason,
       (shown ->> 'created_at')::timestamptz AS created_at, o.occurred_at AS as_of,
       (shown ->> 'livemode')::boolean AS livemode
FROM stripe_objects AS o
CROSS JOIN LATERAL (SELECT o.state::jsonb AS shown) AS s
LEFT JOIN customers AS c USING (customer_id)
WHERE o.kind = 'refund';
COMMENT ON VIEW reports.refunds IS 'Each refund as it is now; its status is Stripe''s word.';

CREATE VIEW reports.disputes AS
SELECT o.object_id AS dispute_id, coalesce(c.account_id, o.account_id) AS account_id, o.customer_id,
       shown ->> 'status' AS status, shown ->> 'currency' AS currency,
       (shown ->> 'amount_minor')::bigint AS amount_minor,
       (shown ->> 'withdrawn_minor')::bigint AS withdrawn_minor, (shown ->> 'fee_minor')::bigint AS fee_minor,
       shown ->> 'charge_id' AS charge_id, shown ->> 'payment_intent_id' AS payment_intent_id,
       shown ->> 'reason' AS reason, (shown ->> 'due_by')::timestamptz AS due_by,
       (shown ->> 'created_at')::timestamptz AS created_at, o.occurred_at AS as_of,
       (shown ->> 'livemode')::boolean AS livemode
FROM stripe_objects AS o
CROSS JOIN LATERAL (SELECT o.state::jsonb AS shown) AS s
LEFT JOIN customers AS c USING (customer_id)
WHERE o.kind = 'dispute';
COMMENT ON VIEW reports.disputes IS 'Each dispute as it is now; withdrawn is what is gone from the balance for it.';

CREATE VIEW reports.invoices AS
SELECT o.object_id AS invoice_id, coalesce(c.account_id, o.account_id) AS account_id, o.customer_id,
       shown ->> 'subscription_id' AS subscription_id, shown ->> 'status' AS status,
       shown ->> 'billing_reason' AS billing_reason, shown ->> 'currency' AS currency,
       (shown ->> 'total_minor')::bigint AS total_minor, (shown ->> 'tax_minor')::bigint AS tax_minor,
       (shown ->> 'discount_minor')::bigint AS discount_minor,
       (shown ->> 'amount_due_minor')::bigint AS amount_due_minor,
       (shown ->> 'amount_paid_minor')::bigint AS amount_paid_minor,
       (shown ->> 'amount_remaining_minor')::bigint AS amount_remaining_minor,
       (shown ->> 'attempt_count')::bigint AS attempt_count,
       (shown ->> 'next_attempt_at')::timestamptz AS next_attempt_at,
       (shown ->> 'created_at')::timestamptz AS created_at, (shown ->> 'paid_at')::timestamptz AS paid_at,
       o.occurred_at AS as_of, (shown ->> 'livemode')::boolean AS livemode
FROM stripe_objects AS o
CROSS JOIN LATERAL (SELECT o.state::jsonb AS shown) AS s
LEFT JOIN customers AS c USING (customer_id)
WHERE o.kind = 'invoice';
COMMENT ON VIEW reports.invoices IS 'Each invoice as it is now; its status is Stripe''s word.';

CREATE VIEW reports.customers AS
SELECT c.account_id, c.customer_id, c.platform_id, c.deleted_at IS NOT NULL AS deleted, c.livemode,
       (o.state::jsonb ->> 'created_at')::timestamptz AS since
FROM customers AS c
LEFT JOIN stripe_objects AS o ON o.object_id = c.customer_id;
COMMENT ON VIEW reports.customers IS 'Each of Stripe''s customers and whose it is; since is null until it was shown.';

CREATE OR REPLACE VIEW reports.facts AS
SELECT fact_id, source, type, api_version, occurred_at AS created_at, received_at, committed_at, outcome, reason,
       account_id, account_seq, topic, partition, topic_offset
FROM journal
UNION ALL
SELECT fact_id, source, type, api_version, occurred_at, received_at, parked_at, 'parked', reason, account_id, NULL,
       topic, partition, topic_offset
FROM parked_facts
UNION ALL
SELECT fact_id, source, type, api_version, occurred_at, received_at, waiting_since, 'waiting', NULL, NULL, NULL,
       topic, partition, topic_offset
FROM waiting_facts;
COMMENT ON VIEW reports.facts IS 'Every distinct fact and what became of it: one row each.';
"""

GRANTS: LiteralString = """
GRANT SELECT, INSERT, UPDATE ON stripe_objects, stripe_object_versions TO billing_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON payments, waiting_facts TO billing_app;
GRANT SELECT ON ALL TABLES IN SCHEMA reports TO billing_app, billing_reader;
"""


def upgrade() -> None:
    """Expand."""
    for statements in (LOCK_TIMEOUT, OBJECTS, PAYMENTS, WAITING, REPORTS, GRANTS):
        op.execute(statements)
