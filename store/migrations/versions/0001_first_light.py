"""First light: facts, the books of customers and subscriptions, the journal, the outbox, parked facts, reports.

Tables that grow with time (journal, outbox) are partitioned by month, those that grow with what is known (inbox) by
hash.  Nothing uses an extension.  Roles are the environment's: `billing_app` writes, `billing_reader` sees reports.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0001"
down_revision: Final = None

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

FACTS: LiteralString = """
CREATE TABLE consumer_positions (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition bigint NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (consumer_group, topic, partition)
);
COMMENT ON TABLE consumer_positions IS
    'How far each partition is in the books: the truth, of which Kafka''s committed offset is an echo.';

CREATE TABLE inbox (
    source text NOT NULL,
    fact_id text NOT NULL,
    slice_sha256 bytea,
    slice_version bigint NOT NULL,
    api_version text,
    PRIMARY KEY (source, fact_id)
) PARTITION BY HASH (source, fact_id);
COMMENT ON TABLE inbox IS 'Every fact we ever took, once: a second copy finds its place taken.';

CREATE TABLE inbox_0 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE inbox_1 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE inbox_2 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE inbox_3 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE inbox_4 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE inbox_5 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE inbox_6 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE inbox_7 PARTITION OF inbox FOR VALUES WITH (MODULUS 8, REMAINDER 7);

CREATE TABLE journal (
    committed_at timestamptz NOT NULL,
    account_id text,
    account_seq bigint,
    source text NOT NULL,
    fact_id text NOT NULL,
    type text NOT NULL,
    subject text,
    customer_id text,
    account_hint text,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    api_version text,
    livemode boolean NOT NULL,
    stripe_account text,
    causation text,
    correlation text,
    schema_version bigint NOT NULL,
    slice text,
    outcome text NOT NULL CHECK (outcome IN ('applied', 'stale', 'refused', 'ignored')),
    reason text,
    caused text[] NOT NULL,
    topic text,
    partition bigint,
    topic_offset bigint,
    CHECK ((account_id IS NULL) = (account_seq IS NULL)),
    UNIQUE (fact_id, source, committed_at),
    UNIQUE (account_id, account_seq, committed_at)
) PARTITION BY RANGE (committed_at);
COMMENT ON TABLE journal IS
    'What we heard and what we made of it, gapless per account: audit log, replay source, answer to "why".';

CREATE INDEX journal_by_commit ON journal (committed_at);

CREATE TABLE parked_facts (
    parked_id bigint GENERATED ALWAYS AS IDENTITY,
    source text NOT NULL,
    fact_id text NOT NULL,
    lane text NOT NULL,
    root boolean NOT NULL,
    account_id text,
    customer_id text,
    envelope text NOT NULL,
    type text NOT NULL,
    api_version text,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    key_id text NOT NULL,
    opened boolean NOT NULL,
    reason text NOT NULL,
    attempts bigint NOT NULL DEFAULT 1 CHECK (attempts >= 1),
    parked_at timestamptz NOT NULL,
    consumer_group text NOT NULL,
    topic text,
    partition bigint,
    topic_offset bigint,
    PRIMARY KEY (fact_id, source),
    UNIQUE (parked_id)
);
COMMENT ON TABLE parked_facts IS
    'Facts that wait for an operator, in lanes: behind a root, the later facts of its account, in order.';

CREATE INDEX parked_facts_by_lane ON parked_facts (lane, parked_id);
CREATE INDEX parked_facts_by_customer ON parked_facts (customer_id);
CREATE INDEX parked_facts_by_time ON parked_facts (parked_at);

CREATE TABLE conflicting_copies (
    source text NOT NULL,
    fact_id text NOT NULL,
    slice_sha256 bytea NOT NULL,
    envelope text NOT NULL,
    sealed bytea NOT NULL,
    key_id text NOT NULL,
    opened boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (source, fact_id, slice_sha256)
);
COMMENT ON TABLE conflicting_copies IS 'Second contents under an id that we know already: kept, never applied.';

CREATE TABLE intake_stops (
    stop_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group text NOT NULL,
    stopped_at timestamptz NOT NULL,
    reason text NOT NULL,
    cleared_at timestamptz,
    cleared_because text,
    CHECK ((cleared_at IS NULL) = (cleared_because IS NULL))
);
COMMENT ON TABLE intake_stops IS 'So much was parked that we are the bug: the group stays stopped until it is cleared.';

CREATE UNIQUE INDEX intake_stops_open ON intake_stops (consumer_group) WHERE cleared_at IS NULL;
"""

BOOKS: LiteralString = """
CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    last_seq bigint NOT NULL DEFAULT 0 CHECK (last_seq >= 0)
);
COMMENT ON TABLE accounts IS 'Our own, immutable.  Its row is the turn that facts of one account take.';

CREATE TABLE customers (
    customer_id text PRIMARY KEY,
    account_id text NOT NULL,
    livemode boolean NOT NULL,
    platform_id text,
    named_at timestamptz,
    named_by text,
    deleted_at timestamptz,
    CHECK (num_nulls(platform_id, named_at, named_by) IN (0, 3))
);
COMMENT ON TABLE customers IS 'Stripe''s customers and whose they are; a deleted one stays as a tombstone.';

CREATE INDEX customers_by_account ON customers (account_id);

CREATE TABLE subscriptions (
    subscription_id text PRIMARY KEY,
    fact_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    customer_id text NOT NULL REFERENCES customers (customer_id),
    status text NOT NULL,
    plan text,
    price_lookup_key text,
    billing_interval text,
    quantity bigint CHECK (quantity >= 0),
    current_period_start timestamptz,
    current_period_end timestamptz,
    trial_end timestamptz,
    cancel_at timestamptz,
    cancel_at_period_end boolean NOT NULL,
    canceled_at timestamptz,
    collection_paused boolean NOT NULL,
    livemode boolean NOT NULL
);
COMMENT ON TABLE subscriptions IS 'The present: the last version of each line.';

CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id);

CREATE TABLE subscription_versions (
    subscription_id text NOT NULL,
    fact_id text NOT NULL,
    ended boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    ordinal bigint NOT NULL CHECK (ordinal >= 0),
    rank bigint NOT NULL,
    before text,
    customer_id text NOT NULL,
    status text NOT NULL,
    plan text,
    price_lookup_key text,
    billing_interval text,
    quantity bigint,
    current_period_start timestamptz,
    current_period_end timestamptz,
    trial_end timestamptz,
    cancel_at timestamptz,
    cancel_at_period_end boolean NOT NULL,
    canceled_at timestamptz,
    collection_paused boolean NOT NULL,
    livemode boolean NOT NULL,
    PRIMARY KEY (subscription_id, fact_id),
    UNIQUE (subscription_id, ended, occurred_at, ordinal) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE subscription_versions IS
    'Every version in order: living before ended, then by second, then by place within the second.';
"""

OUTBOX: LiteralString = """
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY,
    written_at timestamptz NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    account_id text,
    account_seq bigint,
    sequence bigint,
    event_id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    occurred_at timestamptz NOT NULL,
    data text NOT NULL,
    sent_at timestamptz,
    PRIMARY KEY (outbox_id, written_at),
    CHECK ((account_id IS NULL) = (sequence IS NULL))
) PARTITION BY RANGE (written_at);
COMMENT ON TABLE outbox IS 'What we have to say, written with what made us say it; the relay sends and marks it.';

CREATE INDEX outbox_unsent ON outbox (outbox_id) WHERE sent_at IS NULL;

CREATE TABLE outbox_sequences (
    account_id text NOT NULL,
    topic text NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence >= 1),
    PRIMARY KEY (account_id, topic)
);
COMMENT ON TABLE outbox_sequences IS 'Contiguous per topic and account, so that a reader can see a gap.';
"""

MONTHS: LiteralString = """
CREATE FUNCTION make_months(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month date;
BEGIN
    SET LOCAL lock_timeout = '2s';
    PERFORM pg_advisory_xact_lock(x'6d6f6e74'::integer);  -- "mont": of two callers at once, one makes them.
    FOR month IN
        SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                               date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
                               interval '1 month')::date
    LOOP
        FOREACH parent IN ARRAY ARRAY['journal', 'outbox'] LOOP
            IF to_regclass(format('public.%I', parent || to_char(month, '_YYYY_MM'))) IS NULL THEN
                -- Made apart and then attached: PARTITION OF would wait for every reader of the parent.
                EXECUTE format(
                    'CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)',
                    parent || to_char(month, '_YYYY_MM'), parent);
                EXECUTE format(
                    'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    parent, parent || to_char(month, '_YYYY_MM'),
                    month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION make_months IS 'Make the partitions of this month and of so many after it.  Runs as their owner.';

SELECT make_months(2);
"""

REPORTS: LiteralString = """
CREATE SCHEMA reports;

CREATE VIEW reports.subscriptions AS
SELECT s.subscription_id, c.account_id, s.customer_id, s.status, s.plan, s.price_lookup_key, s.billing_interval,
       s.quantity, s.current_period_start, s.current_period_end, s.trial_end, s.cancel_at, s.cancel_at_period_end,
       s.canceled_at, s.livemode, s.occurred_at AS as_of
FROM subscriptions AS s
JOIN customers AS c USING (customer_id);
COMMENT ON VIEW reports.subscriptions IS 'Each subscription as it is now.';

CREATE VIEW reports.subscription_history AS
SELECT s.subscription_id, c.account_id, v.customer_id, v.status, v.plan, v.price_lookup_key, v.billing_interval,
       v.quantity, v.current_period_start, v.current_period_end, v.trial_end, v.cancel_at, v.cancel_at_period_end,
       v.canceled_at, v.livemode, v.occurred_at AS as_of, v.version
FROM subscriptions AS s
JOIN customers AS c USING (customer_id)
CROSS JOIN LATERAL (
    SELECT *, row_number() OVER (ORDER BY ended, occurred_at, ordinal) AS version
    FROM subscription_versions
    WHERE subscription_versions.subscription_id = s.subscription_id
) AS v;
COMMENT ON VIEW reports.subscription_history IS 'Each subscription as it was from each fact on, numbered in order.';

CREATE VIEW reports.facts AS
SELECT fact_id, source, type, api_version, occurred_at AS created_at, received_at, committed_at, outcome, reason,
       account_id, account_seq, topic, partition, topic_offset
FROM journal
UNION ALL
SELECT fact_id, source, type, api_version, occurred_at, received_at, parked_at, 'parked', reason, account_id, NULL,
       topic, partition, topic_offset
FROM parked_facts;
COMMENT ON VIEW reports.facts IS 'Every distinct fact and what became of it: one row each.';
"""

GRANTS: LiteralString = """
GRANT USAGE ON SCHEMA public TO billing_app;
GRANT SELECT, INSERT, UPDATE ON
    consumer_positions, parked_facts, intake_stops, accounts, customers, subscriptions, subscription_versions, outbox,
    outbox_sequences
    TO billing_app;
GRANT DELETE ON parked_facts TO billing_app;
-- What was heard is never rewritten.  Partitions bear no grants of their own, so none can be reached past its parent.
GRANT SELECT, INSERT ON inbox, journal, conflicting_copies TO billing_app;
REVOKE ALL ON FUNCTION make_months FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_months TO billing_app;
GRANT USAGE ON SCHEMA reports TO billing_app, billing_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA reports TO billing_app, billing_reader;
"""


def upgrade() -> None:
    """Expand: all of it is new."""
    for statements in (LOCK_TIMEOUT, FACTS, BOOKS, OUTBOX, MONTHS, REPORTS, GRANTS):
        op.execute(statements)
