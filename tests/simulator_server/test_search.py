import pytest

from simulator.refusals import Refused
from simulator.server.search import read_query
from tests.simulator_server.support import Pretend

BODY = {"id": "cus_1", "email": "Ada@x.example", "name": None, "created": 100, "metadata": {"account_id": "acct-1"}}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('email:"ada@x.example"', True),
        ("email:'bob@x.example'", False),
        ('email~"X.EXAMPLE"', True),
        ('-email:"ada@x.example"', False),
        ('metadata["account_id"]:"acct-1"', True),
        ("metadata['account_id']:'acct-2'", False),
        ('-metadata["plan"]:null', False),
        ('metadata["plan"]:null', True),
        ("created>99 AND created<=100", True),
        ("created>100 OR email~'ada'", True),
        ("created>100 AND email~'ada'", False),
        ("name:null", True),
    ],
)
def test_a_query_finds_what_it_describes(query: str, found: bool) -> None:
    assert read_query(query, ("email", "name", "created"))(BODY) is found


@pytest.mark.parametrize(
    "query", ["", "email", 'email:"a" email:"b"', 'pony:"x"', 'metadata:"x"', 'email["x"]:"y"', "created>ada"]
)
def test_a_query_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(Refused):
        read_query(query, ("email", "name", "created"))(BODY)


def test_and_and_or_do_not_mix() -> None:
    with pytest.raises(Refused, match="combine"):
        read_query("name:'a' AND name:'b' OR name:'c'", ("name",))


async def test_the_library_searches_page_by_page(pretend: Pretend) -> None:
    for number in range(5):
        account = "acct-1" if number % 2 else "acct-2"
        await pretend.stripe.v1.customers.create_async({"name": f"{number}", "metadata": {"account_id": account}})

    found = await pretend.stripe.v1.customers.search_async({"query": 'metadata["account_id"]:"acct-2"', "limit": 2})

    assert [one.name async for one in found.auto_paging_iter()] == ["4", "2", "0"]
