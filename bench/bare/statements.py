"""The bare consumer's SQL: the rows of `store`, every statement in bulk, nothing asked that need not be known.

It is written apart from `store` on purpose: what makes ours quicker must not move the ceiling.
"""

from typing import Final, LiteralString

SEED: Final[LiteralString] = """
    INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset)
    SELECT %(group)s, %(topic)s, * FROM unnest(%(partitions)b::bigint[], %(offsets)b::bigint[])
    ON CONFLICT DO NOTHING
"""

POSITIONS: Final[LiteralString] = """
    SELECT partition, next_offset FROM consumer_positions WHERE consumer_group = %(group)s AND topic = %(topic)s
"""

CLAIM: Final[LiteralString] = """
    INSERT INTO inbox (source, fact_id, slice_sha256, slice_version, api_version)
    SELECT 'stripe', fact_id, slice_sha256, 1, api_version
    FROM unnest(%(fact_ids)b::text[], %(hashes)b::bytea[], %(api_versions)b::text[])
        AS claimed (fact_id, slice_sha256, api_version)
    ON CONFLICT DO NOTHING
    RETURNING fact_id
"""

CUSTOMERS: Final[LiteralString] = """
    SELECT customer_id, account_id FROM customers
    WHERE customer_id = ANY(%(customer_ids)b::text[] || ARRAY(
        SELECT customer_id FROM stripe_objects WHERE object_id = ANY(%(object_ids)b::text[])))
"""

ACCOUNTS: Final[LiteralString] = """
    WITH wanted AS (
        SELECT unnest(%(account_ids)b::text[]) AS account_id
        UNION SELECT account_id FROM customers WHERE customer_id = ANY(%(customer_ids)b::text[])
        UNION SELECT coalesce(c.account_id, o.account_id)
        FROM stripe_objects AS o LEFT JOIN customers AS c USING (customer_id)
        WHERE o.object_id = ANY(%(object_ids)b::text[])
    )
    SELECT account_id, last_seq, coalesce(last_sequence, 0)
    FROM wanted JOIN accounts USING (account_id)
    LEFT JOIN (SELECT * FROM outbox_sequences WHERE topic = %(said_topic)s) AS said USING (account_id)
"""

PIECES: Final[LiteralString] = """
    WITH named AS (
        SELECT object_id, cause_id FROM stripe_objects WHERE object_id = ANY(%(object_ids)b::text[])
    ), wanted AS (
        SELECT object_id FROM named
        UNION SELECT object_id FROM stripe_objects WHERE cause_id = ANY(ARRAY(SELECT cause_id FROM named))
    )
    SELECT o.object_id, o.kind, o.cause_id, o.customer_id, o.account_id, o.fact_id, o.occurred_at, o.state, to_jsonb(p)
    FROM wanted JOIN stripe_objects AS o USING (object_id) LEFT JOIN payments AS p ON p.payment_id = o.object_id
"""

SUBSCRIPTIONS: Final[LiteralString] = """
    SELECT subscription_id FROM subscriptions WHERE subscription_id = ANY(%(subscription_ids)b::text[])
"""

SAVE_CUSTOMERS: Final[LiteralString] = """
    INSERT INTO customers (customer_id, account_id, livemode, platform_id, named_at, named_by)
    SELECT customer_id, account_id, false, platform_id, named_at, named_by
    FROM unnest(%(customer_ids)b::text[], %(account_ids)b::text[], %(platform_ids)b::text[],
                %(named_ats)b::timestamptz[], %(named_bys)b::text[])
        AS met (customer_id, account_id, platform_id, named_at, named_by)
    ON CONFLICT (customer_id) DO UPDATE SET
        account_id = excluded.account_id, platform_id = excluded.platform_id, named_at = excluded.named_at,
        named_by = excluded.named_by
"""

SAVE_ACCOUNTS: Final[LiteralString] = """
    INSERT INTO accounts (account_id, last_seq)
    SELECT * FROM unnest(%(account_ids)b::text[], %(last_seqs)b::bigint[])
    ON CONFLICT (account_id) DO UPDATE SET last_seq = excluded.last_seq
"""

SAVE_SEQUENCES: Final[LiteralString] = """
    INSERT INTO outbox_sequences (account_id, topic, last_sequence)
    SELECT account_id, %(said_topic)s, last_sequence
    FROM unnest(%(account_ids)b::text[], %(lasts)b::bigint[]) AS said (account_id, last_sequence)
    ON CONFLICT (account_id, topic) DO UPDATE SET last_sequence = excluded.last_sequence
"""

SAVE_VERSIONS: Final[LiteralString] = """
    INSERT INTO subscription_versions (
        subscription_id, fact_id, ended, occurred_at, ordinal, rank, before, customer_id, status, plan,
        price_lookup_key, billing_interval, quantity, current_period_start, current_period_end, trial_end, cancel_at,
        cancel_at_period_end, canceled_at, collection_paused, livemode)
    SELECT * FROM unnest(
        %(subscription_id)b::text[], %(fact_id)b::text[], %(ended)b::boolean[], %(occurred_at)b::timestamptz[],
        %(ordinal)b::bigint[], %(rank)b::bigint[], %(before)b::text[], %(customer_id)b::text[], %(status)b::text[],
        %(plan)b::text[], %(price_lookup_key)b::text[], %(billing_interval)b::text[], %(quantity)b::bigint[],
        %(current_period_start)b::timestamptz[], %(current_period_end)b::timestamptz[], %(trial_end)b::timestamptz[],
        %(cancel_at)b::timestamptz[], %(cancel_at_period_end)b::boolean[], %(canceled_at)b::timestamptz[],
        %(collection_paused)b::boolean[], %(livemode)b::boolean[])
"""

SAVE_PRESENT: Final[LiteralString] = """
    INSERT INTO subscriptions (
        subscription_id, fact_id, occurred_at, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
        current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
        collection_paused, livemode)
    SELECT * FROM unnest(
        %(subscription_id)b::text[], %(fact_id)b::text[], %(occurred_at)b::timestamptz[], %(customer_id)b::text[],
        %(status)b::text[], %(plan)b::text[], %(price_lookup_key)b::text[], %(billing_interval)b::text[],
        %(quantity)b::bigint[], %(current_period_start)b::timestamptz[], %(current_period_end)b::timestamptz[],
        %(trial_end)b::timestamptz[], %(cancel_at)b::timestamptz[], %(cancel_at_period_end)b::boolean[],
        %(canceled_at)b::timestamptz[], %(collection_paused)b::boolean[], %(livemode)b::boolean[])
    ON CONFLICT (subscription_id) DO UPDATE SET
        fact_id = excluded.fact_id, occurred_at = excluded.occurred_at, customer_id = excluded.customer_id,
        status = excluded.status, plan = excluded.plan, price_lookup_key = excluded.price_lookup_key,
        billing_interval = excluded.billing_interval, quantity = excluded.quantity,
        current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
        trial_end = excluded.trial_end, cancel_at = excluded.cancel_at,
        cancel_at_period_end = excluded.cancel_at_period_end, canceled_at = excluded.canceled_at,
        collection_paused = excluded.collection_paused, livemode = excluded.livemode
"""

SAVE_PIECES: Final[LiteralString] = """
    INSERT INTO stripe_objects (object_id, kind, cause_id, customer_id, account_id, fact_id, occurred_at, state)
    SELECT * FROM unnest(
        %(object_id)b::text[], %(kind)b::text[], %(cause_id)b::text[], %(customer_id)b::text[], %(account_id)b::text[],
        %(fact_id)b::text[], %(occurred_at)b::timestamptz[], %(state)b::text[])
    ON CONFLICT (object_id) DO UPDATE SET
        kind = excluded.kind, cause_id = excluded.cause_id, customer_id = excluded.customer_id,
        account_id = excluded.account_id, fact_id = excluded.fact_id, occurred_at = excluded.occurred_at,
        state = excluded.state
"""

SAVE_OBJECT_VERSIONS: Final[LiteralString] = """
    INSERT INTO stripe_object_versions (object_id, fact_id, ended, occurred_at, ordinal, rank, before, state)
    SELECT * FROM unnest(
        %(object_id)b::text[], %(fact_id)b::text[], %(ended)b::boolean[], %(occurred_at)b::timestamptz[],
        %(ordinal)b::bigint[], %(rank)b::bigint[], %(before)b::text[], %(state)b::text[])
"""

DROP_PAYMENTS: Final[LiteralString] = "DELETE FROM payments WHERE payment_id = ANY(%(payment_ids)b::text[])"

SAVE_PAYMENTS: Final[LiteralString] = """
    INSERT INTO payments (
        payment_id, customer_id, guest_account_id, kind, status, currency, amount_minor, tax_minor, discount_minor,
        refunded_minor, disputed_minor, invoice_id, payment_intent_id, charge_id, failure_code, purpose, occurred_at,
        livemode)
    SELECT * FROM unnest(
        %(payment_id)b::text[], %(customer_id)b::text[], %(guest_account_id)b::text[], %(kind)b::text[],
        %(status)b::text[], %(currency)b::text[], %(amount_minor)b::bigint[], %(tax_minor)b::bigint[],
        %(discount_minor)b::bigint[], %(refunded_minor)b::bigint[], %(disputed_minor)b::bigint[],
        %(invoice_id)b::text[], %(payment_intent_id)b::text[], %(charge_id)b::text[], %(failure_code)b::text[],
        %(purpose)b::text[], %(occurred_at)b::timestamptz[], %(livemode)b::boolean[])
    ON CONFLICT (payment_id) DO UPDATE SET
        customer_id = excluded.customer_id, guest_account_id = excluded.guest_account_id, kind = excluded.kind,
        status = excluded.status, currency = excluded.currency, amount_minor = excluded.amount_minor,
        tax_minor = excluded.tax_minor, discount_minor = excluded.discount_minor,
        refunded_minor = excluded.refunded_minor, disputed_minor = excluded.disputed_minor,
        invoice_id = excluded.invoice_id, payment_intent_id = excluded.payment_intent_id,
        charge_id = excluded.charge_id, failure_code = excluded.failure_code, purpose = excluded.purpose,
        occurred_at = excluded.occurred_at, livemode = excluded.livemode
"""

JOURNAL: Final[LiteralString] = """
    INSERT INTO journal (
        committed_at, account_id, account_seq, source, fact_id, type, subject, customer_id, account_hint, occurred_at,
        received_at, api_version, livemode, schema_version, slice, outcome, caused, topic, partition, topic_offset)
    SELECT
        clock_timestamp(), account_id, account_seq, 'stripe', fact_id, type, subject, customer_id, account_hint,
        occurred_at, received_at, api_version, false, 1, slice, outcome,
        string_to_array(caused, E'\n'), %(topic)s, partition, topic_offset
    FROM unnest(
        %(account_id)b::text[], %(account_seq)b::bigint[], %(fact_id)b::text[], %(type)b::text[], %(subject)b::text[],
        %(customer_id)b::text[], %(account_hint)b::text[], %(occurred_at)b::timestamptz[],
        %(received_at)b::timestamptz[], %(api_version)b::text[], %(slice)b::text[], %(outcome)b::text[],
        %(caused)b::text[], %(partition)b::bigint[], %(offset)b::bigint[])
        AS heard (account_id, account_seq, fact_id, type, subject, customer_id, account_hint, occurred_at, received_at,
                  api_version, slice, outcome, caused, partition, topic_offset)
"""

OUTBOX: Final[LiteralString] = """
    INSERT INTO outbox (written_at, topic, key, account_id, account_seq, sequence, event_id, type, subject,
                        occurred_at, data, sent_at)
    SELECT now(), %(said_topic)s, coalesce(account_id, subject), account_id, account_seq, sequence, event_id, type,
           subject, occurred_at, data, now()
    FROM unnest(%(account_id)b::text[], %(account_seq)b::bigint[], %(sequence)b::bigint[], %(event_id)b::text[],
                %(type)b::text[], %(subject)b::text[], %(occurred_at)b::timestamptz[], %(data)b::text[])
        AS said (account_id, account_seq, sequence, event_id, type, subject, occurred_at, data)
"""

MOVE: Final[LiteralString] = """
    UPDATE consumer_positions AS position
    SET next_offset = moved.next_offset
    FROM unnest(%(partitions)b::bigint[], %(offsets)b::bigint[]) AS moved (partition, next_offset)
    WHERE consumer_group = %(group)s AND topic = %(topic)s AND position.partition = moved.partition
"""
