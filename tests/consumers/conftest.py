from collections.abc import AsyncIterator

import pytest

from consumers.stripe_deeds import Deeds
from runtime.stripe_client import Asking, StripeClient
from tests.support_stripe import Pretend, pretending


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    async with pretending() as one:
        yield one


@pytest.fixture
async def client(pretend: Pretend) -> AsyncIterator[StripeClient]:
    async with pretend.client() as one:
        yield one


@pytest.fixture
def deeds(client: StripeClient) -> Deeds:
    return Deeds(client, Asking(within_seconds=20))
