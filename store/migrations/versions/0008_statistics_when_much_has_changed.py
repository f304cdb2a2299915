"""Statistics are taken when much has changed.  Expand only: no release reads them.

PostgreSQL looks once a minute whether a tenth of a table is new, and of young tables that grow it always is: each was
then analyzed every minute, some twenty of them, for about a second on end, and each time all plans about it
were made anew.  Our statements want no statistics, they have generic plans by key (docs/decisions/0021); the reports do
with those of a hundred thousand rows ago.  The vacuum that new rows alone call for, which marks pages that everybody
may see, waits for as many.  Dead rows are taken away as before: that has a threshold of its own.
(https://www.postgresql.org/docs/current/routine-vacuuming.html, *Updating Planner Statistics*, *The Autovacuum Daemon*)
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

TABLES: LiteralString = """
DO $$
DECLARE
    written regclass;
BEGIN
    FOR written IN
        SELECT partition.inhrelid
        FROM pg_inherits AS partition
        WHERE partition.inhparent IN ('public.inbox'::regclass, 'public.journal'::regclass, 'public.outbox'::regclass)
        UNION ALL
        SELECT unnest(ARRAY[
            'public.accounts', 'public.consumer_positions', 'public.customers', 'public.outbox_sequences',
            'public.payments', 'public.stripe_objects', 'public.stripe_object_versions', 'public.subscriptions',
            'public.subscription_versions', 'public.waiting_facts']::regclass[])
    LOOP
        EXECUTE format(
            'ALTER TABLE %s SET (autovacuum_analyze_threshold = 100000, autovacuum_vacuum_insert_threshold = 100000)',
            written);
    END LOOP;
END
$$;
"""

MONTHS: LiteralString = """
CREATE OR REPLACE FUNCTION make_months(months_ahead integer) RETURNS void
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
                    'CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)
                     WITH (autovacuum_analyze_threshold = 100000, autovacuum_vacuum_insert_threshold = 100000)',
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
"""


def upgrade() -> None:
    """Expand."""
    for statements in (LOCK_TIMEOUT, TABLES, MONTHS):
        op.execute(statements)
