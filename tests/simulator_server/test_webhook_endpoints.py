import pytest
import stripe

from simulator.server.webhook_endpoints import DISABLED_AFTER_SECONDS, OLD_SECRET_SECONDS, WebhookEndpoint
from tests.simulator_server.support import Pretend

WANTED = {"url": "https://platform.example/webhooks/stripe", "enabled_events": ["invoice.paid", "customer.created"]}


async def make(pretend: Pretend, **more: object) -> tuple[stripe.WebhookEndpoint, WebhookEndpoint]:
    shown = await pretend.stripe.v1.webhook_endpoints.create_async({**WANTED, **more})
    endpoint = pretend.desk.world.shelf.get("webhook_endpoint", shown.id)
    assert isinstance(endpoint, WebhookEndpoint)
    return shown, endpoint


async def test_a_secret_is_shown_once_and_never_again(pretend: Pretend) -> None:
    shown, endpoint = await make(pretend)
    again = await pretend.stripe.v1.webhook_endpoints.retrieve_async(shown.id)
    listed = await pretend.stripe.v1.webhook_endpoints.list_async()

    assert endpoint.secrets == (shown.secret,)
    assert "secret" not in again
    assert "secret" not in listed.data[0]


async def test_several_endpoints_have_their_own_version_secret_and_choice(pretend: Pretend) -> None:
    _, one = await make(pretend, api_version="2024-06-20")
    _, all_of_it = await make(pretend, enabled_events=["*"])

    assert one.body["api_version"] == "2024-06-20"
    assert one.secrets != all_of_it.secrets
    assert [one.wants(name) for name in ("invoice.paid", "invoice.voided")] == [True, False]
    assert all_of_it.wants("invoice.voided")


async def test_a_disabled_or_deleted_endpoint_wants_nothing(pretend: Pretend) -> None:
    shown, endpoint = await make(pretend)

    changed = await pretend.stripe.v1.webhook_endpoints.update_async(shown.id, {"disabled": True})
    assert (changed.status, endpoint.wants("invoice.paid")) == ("disabled", False)
    changed = await pretend.stripe.v1.webhook_endpoints.update_async(
        shown.id, {"disabled": False, "enabled_events": ["*"], "metadata": {"a": "b"}}
    )
    assert (changed.status, endpoint.wants("invoice.voided"), changed.metadata["a"]) == ("enabled", True, "b")

    deleted = await pretend.stripe.v1.webhook_endpoints.delete_async(shown.id)
    assert deleted.deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint"):
        await pretend.stripe.v1.webhook_endpoints.retrieve_async(shown.id)


async def test_while_a_secret_is_rotated_both_sign(pretend: Pretend) -> None:
    _, endpoint = await make(pretend)
    (old,) = endpoint.secrets

    new = (await pretend.fate("webhook_endpoint", endpoint.body["id"], "roll_secret"))["secret"]
    assert endpoint.secrets == (new, old)
    await pretend.advance(seconds=OLD_SECRET_SECONDS)
    assert endpoint.secrets == (new,)


async def test_days_of_nothing_but_failures_disable_an_endpoint_and_one_success_forgives(pretend: Pretend) -> None:
    _, endpoint = await make(pretend)
    endpoint.failed()
    await pretend.advance(seconds=DISABLED_AFTER_SECONDS - 1)
    endpoint.failed()
    endpoint.accepted()
    endpoint.failed()
    await pretend.advance(seconds=DISABLED_AFTER_SECONDS - 1)
    endpoint.failed()
    assert endpoint.is_enabled

    await pretend.advance(seconds=1)
    endpoint.failed()
    assert not endpoint.is_enabled


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"url": "platform.example"}, "url"),
        ({"enabled_events": []}, "enabled_events"),
        ({"enabled_events": ["everything"]}, "enabled_events[0]"),
        ({"api_version": "yesterday"}, "Stripe-Version"),
    ],
)
async def test_an_endpoint_that_makes_no_sense_is_refused(
    pretend: Pretend, wrong: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await make(pretend, **wrong)

    assert caught.value.param == param
