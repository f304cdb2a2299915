"""The `billing` command: one place for whoever runs the pipeline.

Each concern has a module with its commands; here they are only put together, and imported when they are, because help
must come at once.
"""

import logging

import typer

from ops import console
from ops.local.errors import CannotStart
from runtime import logs


def app() -> typer.Typer:
    """The whole command."""
    from ops import (
        api_keys_commands,
        backfill,
        catalog_commands,
        deliver,
        demo,
        history,
        keys,
        lag_commands,
        migrations,
        parked_commands,
        reconcile,
        simulate,
        stack_commands,
        topics_commands,
    )

    whole = typer.Typer(
        name="billing",
        help="Run the billing pipeline, look into it, and put right what it could not.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
    )
    whole.command("up")(stack_commands.up)
    whole.command("down")(stack_commands.down)
    whole.command("status")(stack_commands.status)
    whole.command("demo")(demo.demo)
    whole.command("simulate")(simulate.simulate)
    whole.add_typer(topics_commands.app, name="topics")
    whole.add_typer(migrations.app, name="migrate")
    whole.add_typer(catalog_commands.app, name="catalog")
    whole.command("backfill")(backfill.backfill)
    whole.command("import")(history.import_)
    whole.command("reconcile")(reconcile.reconcile)
    whole.command("lag")(lag_commands.show)
    whole.add_typer(parked_commands.app, name="parked")
    whole.command("sign")(deliver.sign)
    whole.command("send")(deliver.send)
    whole.add_typer(keys.app, name="keys")
    whole.add_typer(api_keys_commands.app, name="api-keys")
    return whole


def main() -> None:
    """What the console script runs: expected trouble is one sentence and exit status 1, never a traceback."""
    logs.configure("billing")
    logging.getLogger().setLevel(logging.WARNING)  # A command answers for itself; what libraries do is no news.
    try:
        app()()
    except CannotStart as reason:
        console.problem(str(reason))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
