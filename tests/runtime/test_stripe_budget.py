import asyncio

from runtime.stripe_budget import Budget, Urgency

PER_SECOND = 200.0


async def test_in_no_second_are_there_more_turns_than_the_budget_has() -> None:
    budget, loop = Budget(PER_SECOND), asyncio.get_running_loop()
    taken: list[float] = []

    async def take() -> None:
        await budget.turn(Urgency.BACKGROUND)
        taken.append(loop.time())

    await asyncio.gather(*(take() for _ in range(41)))

    assert taken[-1] - taken[0] >= 40 / PER_SECOND * 0.99


async def test_a_person_who_comes_is_next_however_many_wait() -> None:
    budget, served, begun = Budget(PER_SECOND), list[str](), asyncio.Event()

    async def take(who: str, urgency: Urgency) -> None:
        await budget.turn(urgency)
        served.append(who)
        begun.set()

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(take(f"background {number}", Urgency.BACKGROUND))
        await begun.wait()
        before = len(served)
        group.create_task(take("person", Urgency.PERSON))

    assert served.index("person") <= before + 1
    assert [who for who in served if who != "person"] == [f"background {number}" for number in range(20)]


async def test_who_leaves_the_queue_takes_no_turn_from_the_others() -> None:
    budget, served = Budget(PER_SECOND), list[int]()

    async def take(number: int) -> None:
        await budget.turn(Urgency.BACKGROUND)
        served.append(number)

    waiting = [asyncio.create_task(take(number)) for number in range(10)]
    await asyncio.sleep(0)
    for task in waiting[2:8]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert served == [0, 1, 8, 9]


async def test_a_queue_that_was_empty_for_long_serves_again() -> None:
    budget = Budget(PER_SECOND)
    await budget.turn(Urgency.PERSON)
    for _ in range(3):
        await asyncio.sleep(0)

    await asyncio.wait_for(budget.turn(Urgency.BACKGROUND), 5)
