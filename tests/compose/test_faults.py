"""Containers are killed, frozen, cut off and replaced under load: nothing is lost by it."""

import asyncio

import pytest

from tests.compose.containers import PARTS
from tests.compose.load import load

# Longer than Envoy needs to notice (two checks of a second) and than a lease (4 s).
LONG_ENOUGH_S = 8.0


@pytest.mark.parametrize("part", PARTS)
async def test_a_killed_container_is_not_noticed_by_those_who_read(mesh, part):
    async with load(mesh) as (found, door):
        await asyncio.sleep(1)
        victim = mesh.of(part)[0]
        await victim.die()
        await victim.healthy()
        await found.goes_on()
        await found.all_completed(door)
        assert found.failures == []
    assert found.reads > 10


@pytest.mark.parametrize("hurt", ["freeze", "cut_off"])
@pytest.mark.parametrize("part", ["gateway", "run", "workflow"])
async def test_a_container_that_answers_nothing_is_left_out(mesh, part, hurt):
    async with load(mesh) as (found, door):
        await asyncio.sleep(1)
        victim = mesh.of(part)[0]
        await getattr(victim, hurt)(LONG_ENOUGH_S)
        await victim.healthy()
        await found.goes_on()
        print(f"{part} {hurt}: {found.reads} reads, slowest {found.slowest_s:.2f} s")
        await found.all_completed(door)
        assert found.failures == []


@pytest.mark.parametrize("store", ["postgres", "redis", "envoy"])
async def test_what_is_there_once_comes_back_and_nothing_is_lost(mesh, store):
    async with load(mesh) as (found, door):
        await asyncio.sleep(2)
        victim = mesh.of(store)[0]
        await victim.die()
        await victim.healthy()
        await found.goes_on()
        print(f"{store}: {found.reads} reads, {len(found.failures)} failed while it was gone")
        await found.all_completed(door)


async def test_every_part_is_replaced_one_by_one_without_a_failed_request(mesh):
    async with load(mesh, run_every_s=3.0) as (found, door):
        for part in PARTS:
            for replica in mesh.of(part):
                await replica.restart()
                await replica.healthy()
        print(f"{found.reads} reads, {len(found.runs)} runs, slowest {found.slowest_s:.2f} s")
        assert found.failures == []
        assert found.refused == []
        await found.all_completed(door)
