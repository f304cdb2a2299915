"""`billing catalog plan|apply|drift`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from models.catalog import Catalog
from ops import catalog as catalogs
from ops import connection, console
from ops.catalog import Do, Shelf, Step
from ops.console import AsJson
from ops.plainly import plainly
from runtime import clock
from runtime.settings import StripeCatalogSettings
from runtime.stripe_client import StripeClient
from store import catalog as store_catalog

app = typer.Typer(
    help="Stripe's products and prices against the catalog; nothing is ever deleted.", no_args_is_help=True
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the plan is carried out.")]
Agree = Callable[[Sequence[Step]], bool]


@app.command("plan")
def show_plan(as_json: AsJson = False) -> None:
    """What `apply` would do."""
    _show(_steps(), as_json=as_json)


@app.command("apply")
def carry_out(yes: Yes = False, as_json: AsJson = False) -> None:
    """Create and update products and prices until Stripe sells what the catalog does."""
    if as_json and not yes:
        raise typer.BadParameter("a script cannot be asked: add --yes", param_hint="--json")

    def agreed(steps: Sequence[Step]) -> bool:
        _show(steps, as_json=as_json)
        return any(map(_is_ours, steps)) and (yes or typer.confirm("Carry this out?"))

    left = [step for step in _steps(agreed) if _is_ours(step)]
    if left:
        console.problem(f"Not as in the catalog: {', '.join(step.thing for step in left)}.")
        raise typer.Exit(1)


@app.command()
def drift(as_json: AsJson = False) -> None:
    """What is not as in the catalog.  Exit status 1 when anything is not."""
    steps = _steps()
    _show(steps, as_json=as_json)
    raise typer.Exit(1 if steps else 0)


def _steps(agree: Agree | None = None) -> tuple[Step, ...]:
    """What there is to do; where somebody agrees and it is done, what is left."""
    settings = connection.settings(StripeCatalogSettings)
    with plainly():
        wanted = store_catalog.read(settings.catalog_file)
        return asyncio.run(_ask(settings, wanted, agree))


async def _ask(settings: StripeCatalogSettings, wanted: Catalog, agree: Agree | None) -> tuple[Step, ...]:
    async with StripeClient.of(settings) as stripe:
        shelf = Shelf(stripe)
        steps = catalogs.plan(wanted, await shelf.found())
        if agree is None or not agree(steps):
            return steps
        planned_at = clock.now()
        for step in filter(_is_ours, steps):
            await shelf.carry_out(step, planned_at)
        return catalogs.plan(wanted, await shelf.found())


def _is_ours(step: Step) -> bool:
    """Whether we may do it."""
    return step.do is not Do.DECIDE


def _show(steps: Sequence[Step], *, as_json: bool) -> None:
    if as_json:
        console.show_json([step.shown() for step in steps])
    elif steps:
        console.show_table(("do", "thing", "why"), [tuple(step.shown().values()) for step in steps])
    else:
        console.say("Stripe sells what the catalog does.")
