"""Where Alembic enters: one transaction a migration, on the connection that `store.migrate` hands over."""

from alembic import context


def _run() -> None:
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, transaction_per_migration=True)
    else:
        context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


_run()
