import pytest
import stripe

from tests.simulator_server.support import Pretend


async def test_a_customer_is_as_it_was_made(pretend: Pretend) -> None:
    made = await pretend.stripe.v1.customers.create_async(
        {
            "email": "ada@subscriber.example",
            "name": "Ada",
            "metadata": {"account_id": "acct-1"},
            "address": {"line1": "1 Row", "country": "US"},
        }
    )
    read = await pretend.stripe.v1.customers.retrieve_async(made.id)

    assert read.to_dict() == made.to_dict()
    assert (read.email, read.name, read.phone) == ("ada@subscriber.example", "Ada", None)
    assert read.metadata is not None
    assert read.metadata["account_id"] == "acct-1"


async def test_a_change_touches_what_it_names_and_an_empty_value_unsets(pretend: Pretend) -> None:
    made = await pretend.stripe.v1.customers.create_async({"name": "Ada", "metadata": {"a": "1", "b": "2"}})

    changed = await pretend.stripe.v1.customers.update_async(made.id, {"metadata": {"a": "", "c": "3"}})
    unnamed = await pretend.stripe.v1.customers.update_async(made.id, {"name": "", "metadata": ""})

    assert (changed.name, changed.to_dict()["metadata"]) == ("Ada", {"b": "2", "c": "3"})
    assert (unnamed.name, unnamed.to_dict()["metadata"]) == (None, {})


async def test_a_deleted_customer_is_shown_as_deleted_and_listed_no_more(pretend: Pretend) -> None:
    made = await pretend.stripe.v1.customers.create_async({"email": "a@b.example"})
    other = await pretend.stripe.v1.customers.create_async({"email": "a@b.example"})

    deleted = await pretend.stripe.v1.customers.delete_async(made.id)
    looked = await pretend.stripe.v1.customers.retrieve_async(made.id)
    listed = await pretend.stripe.v1.customers.list_async({"email": "a@b.example"})

    assert deleted.to_dict() == looked.to_dict() == {"id": made.id, "object": "customer", "deleted": True}
    assert [one.id for one in listed.data] == [other.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await pretend.stripe.v1.customers.update_async(made.id, {"name": "x"})
