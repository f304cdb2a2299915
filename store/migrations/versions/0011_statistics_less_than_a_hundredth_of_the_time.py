"""Statistics take less than a hundredth of the time, also at thousands of events a second.  Expand only.

To analyze a table costs the same whatever has changed, a third of a second of a processor for the wide ones.  Every
100,000 rows, at 2,000 events a second, that was about a second of each minute, on end with the vacuums, and the 99th
percentile was made of it.  So it is every million rows now, and a tenth of the table.

And months to come are stored as the newest one is, whatever a migration makes of that.
"""

from typing import Final, LiteralString

from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"

LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '2s'"

TABLES: LiteralString = """
DO $$
DECLARE
    written regclass;
BEGIN
    FOR written IN
        SELECT oid FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
          AND 'autovacuum_analyze_threshold=100000' = ANY(reloptions)
    LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_analyze_threshold = 1000000)', written);
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
    stored text;
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
                SELECT array_to_string(newest.reloptions, ', ') INTO stored
                FROM pg_inherits JOIN pg_class AS newest ON newest.oid = inhrelid
                WHERE inhparent = format('public.%I', parent)::regclass
                ORDER BY newest.relname DESC
                LIMIT 1;
                -- Made apart and then attached: PARTITION OF would wait for every reader of the parent.
                EXECUTE
                    format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)',
                           parent || to_char(month, '_YYYY_MM'), parent)
                    || coalesce(' WITH (' || stored || ')', '');
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
