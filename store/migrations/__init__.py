"""Migrations: Alembic for the order, literal SQL for the content.  Expand first, contract a release later."""
