"""The supervisor over small real children: restarted, drained, and never outliving it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import processes, state
from deploy.alarms import LOOK_SIGNAL
from deploy.layout import Layout
from tests.support.eventually import eventually

STAND = Path(__file__).parent / "small_mesh.py"


@pytest.fixture
def home(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def mesh(home):
    """A supervisor with two children that listen; yields its process when it is up."""
    reader, writer = os.pipe()
    command = [sys.executable, STAND, str(home.home), str(writer)]
    running = subprocess.Popen(command, pass_fds=[writer], start_new_session=True)
    os.close(writer)
    with os.fdopen(reader) as announced:
        said = next(line for line in announced if "progress" not in line)
        assert said == '{"healthy": true}\n'
        yield running
    running.kill()
    running.wait()


def children_of(home):
    found = state.read(home)
    return {child.name: child for child in found.children} if found else {}


async def test_a_child_that_dies_is_started_again(mesh, home):
    before = children_of(home)
    os.kill(before["a-1"].pid, signal.SIGKILL)

    def again():
        now = children_of(home)["a-1"]
        return now.state == "healthy" and now.pid != before["a-1"].pid

    await eventually(again, within=5)
    assert children_of(home)["a-1"].restarts == 1
    assert children_of(home)["b-1"].pid == before["b-1"].pid
    # It is told which of its lives has ended, so that what that one held can be let go.
    first, second = (line.split(" ", 1) for line in home.log("a-1-lives").read_text().splitlines())
    assert (first[1], second[1]) == ("[]", f'["{first[0]}"]')
    assert first[0] != second[0]


async def test_what_is_wanted_more_starts_and_what_is_wanted_no_more_drains(mesh, home):
    kept = children_of(home)["b-1"].pid

    def want(*names):
        home.scale_file.write_text(json.dumps(names))
        mesh.send_signal(LOOK_SIGNAL)

    def stand(*names):
        now = children_of(home)
        return set(now) == set(names) and {each.state for each in now.values()} == {"healthy"}

    want("b-1", "c-1")
    await eventually(lambda: stand("b-1", "c-1"), within=5)
    assert home.log("a-1").read_text() == "drained\n"
    want("a-1", "b-1")
    await eventually(lambda: stand("a-1", "b-1"), within=5)
    assert children_of(home)["b-1"].pid == kept


def test_a_stop_drains_the_children_and_leaves_nothing(mesh, home):
    members = processes.descendants(mesh.pid)
    mesh.terminate()
    assert mesh.wait(timeout=5) == 0
    assert not [pid for pid in members if processes.start_time(pid)]
    assert home.log("a-1").read_text() == "drained\n"
    assert not home.state_file.exists()
    assert not list(home.sockets.iterdir())


async def test_children_die_with_a_killed_supervisor(mesh, home):
    members = {pid: processes.start_time(pid) for pid in processes.descendants(mesh.pid)}
    mesh.kill()
    mesh.wait()
    await eventually(
        lambda: not [pid for pid, born in members.items() if processes.is_running(pid, born)],
        within=5,
    )
    assert state.read(home) is None, "a dead supervisor's state is not believed"


def test_a_child_that_cannot_start_is_named_with_its_last_words(home):
    reader, writer = os.pipe()
    command = [sys.executable, STAND, str(home.home), str(writer), "broken"]
    running = subprocess.Popen(command, pass_fds=[writer], start_new_session=True)
    os.close(writer)
    with os.fdopen(reader) as announced:
        said = announced.read()
    assert running.wait(timeout=10) == 1
    assert "broken-1 cannot start (exit code 3)" in said
    assert "no such table: cheese" in said
    assert not home.state_file.exists()
