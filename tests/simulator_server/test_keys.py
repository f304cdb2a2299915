import base64

import pytest
import stripe

from simulator.server.keys import masked
from tests.simulator_server.support import KEY, Pretend


async def test_a_test_key_opens_as_a_bearer_and_as_a_user(pretend: Pretend) -> None:
    basic = base64.b64encode(f"{KEY}:".encode()).decode()

    assert (await pretend.ask("GET", "/v1/customers", Authorization=f"Basic {basic}"))[0] == 200
    assert (await pretend.ask("GET", "/v1/customers", Authorization="Bearer rk_test_restricted"))[0] == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer sk_live_123456789", "Bearer pk_test_123456789", "Basic x", "Basic ////", KEY[3:]]
)
async def test_no_other_key_does(pretend: Pretend, header: str) -> None:
    status, told, headers = await pretend.ask("GET", "/v1/customers", Authorization=header)

    assert (status, told["error"]["type"]) == (401, "invalid_request_error")
    assert headers["request-id"].startswith("req_")


async def test_the_library_calls_that_an_authentication_error(pretend: Pretend) -> None:
    with pytest.raises(stripe.AuthenticationError):
        await pretend.stripe.v1.customers.list_async(options={"api_key": "sk_live_123456789"})


def test_a_key_is_never_told_back() -> None:
    assert masked("sk_live_123456789") == "*************6789"
    assert masked("short") == "*****"
