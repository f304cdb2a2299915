"""Decisions to PostgreSQL: the one write transaction, and literal SQL beside what runs it.  Owns psycopg."""
