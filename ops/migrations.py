"""`billing migrate status|apply`: the schema as it is against the schema that this program needs."""

import typer

from ops import connection, console
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.plainly import plainly
from store import migrate

app = typer.Typer(help="Bring the database to the version that this program needs.", no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """The database's revision, and what `apply` would run."""
    with plainly():
        current, pending = migrate.status(_owner_url())
    if as_json:
        console.show_json({"current": current, "pending": pending})
        return
    console.say(f"The database is at {f'revision {current}' if current else 'no revision: it has no schema yet'}.")
    console.say(f"`apply` would run {', '.join(pending)}." if pending else "Nothing is to be run.")


@app.command("apply")
def carry_out(as_json: AsJson = False) -> None:
    """Run what is not in yet, each migration in a transaction of its own; processes go on working meanwhile."""
    with plainly():
        ran = migrate.apply(_owner_url())
    if as_json:
        console.show_json({"applied": ran})
    else:
        console.say(f"Applied {', '.join(ran)}." if ran else "Nothing was to be run.")


def _owner_url() -> str:
    url = connection.owner_url()
    if not url.startswith(("postgresql://", "postgres://")):
        raise CannotStart("DATABASE_OWNER_URL must begin with postgresql://")
    return url
