"""Browser processes: started right, never outliving their owner, nothing left on disk."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs import errors
from libs.clock import Clock
from services.browser_session.browser import Browser, Look, command_line, find_binary, is_program
from services.browser_session.orphans import processes_of, reap_orphans
from tests.support.eventually import eventually

OWNER = """
import asyncio, sys
from pathlib import Path
from libs.clock import Clock
from services.browser_session import browser
if sys.argv[2] == "survive":
    browser.shutil.which = lambda name: None  # As on a machine without setpriv.
async def own():
    directory = Path(sys.argv[1])
    await browser.Browser.launch(browser.find_binary(), directory, browser.Look(800, 600),
                                 Clock(), 20)
    print("up", flush=True)
    await asyncio.Event().wait()
asyncio.run(own())
"""


def start_owner(directory: Path, how: str) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, directory, how], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    assert owner.stdout is not None
    owner.stdout.close()


async def test_no_process_survives_the_sigkill_of_its_owner(tmp_path: Path) -> None:
    owner = start_owner(tmp_path / "b", "die")
    # The group holds the children that have no directory on their command line, too.
    main = min(processes_of(tmp_path / "b"))
    members = in_group(main)
    assert len(members) >= 3
    kill(owner)
    await eventually(lambda: not alive(members), within=3)
    assert reap_orphans(tmp_path) == 1
    assert not (tmp_path / "b").exists()


async def test_what_survived_all_the_same_is_reaped_at_the_next_start(tmp_path: Path) -> None:
    owner = start_owner(tmp_path / "b", "survive")
    members = in_group(min(processes_of(tmp_path / "b")))
    assert reap_orphans(tmp_path) == 0
    kill(owner)
    assert alive(members)
    assert reap_orphans(tmp_path) == 1
    await eventually(lambda: not alive(members), within=3)


def in_group(leader: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in alive(pids) if group_id(pid) == leader]


def group_id(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append(pid)
    return found


async def test_killing_ends_the_whole_group_and_the_directory(tmp_path: Path) -> None:
    browser = await Browser.launch(find_binary(), tmp_path / "b", Look(800, 600), Clock(), 20)
    members = in_group(browser.pid)
    assert len(members) >= 3
    for _ in range(2):
        await browser.kill()
    assert browser.exit_reason == "killed by SIGKILL"
    await eventually(lambda: not alive(members), within=3)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kernel_tells", [True, False])
async def test_a_dead_browser_is_noticed_within_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_tells: bool
) -> None:
    if not kernel_tells:
        monkeypatch.delattr(os, "pidfd_open")
    browser = await Browser.launch(find_binary(), tmp_path / "b", Look(800, 600), Clock(), 20)
    os.kill(browser.pid, signal.SIGSEGV)
    async with asyncio.timeout(1):
        await browser.exited.wait()
    assert browser.exit_reason.startswith(("killed by", "exited with"))
    await browser.kill()


async def test_a_browser_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    broken = Path("/bin/false")
    with pytest.raises(errors.Unavailable, match="exited with status 1"):
        await Browser.launch(broken, tmp_path / "b", Look(800, 600), Clock(), 20)
    silent = Path("/bin/cat")
    assert not (tmp_path / "b").exists()
    with pytest.raises(errors.Unavailable):
        await Browser.launch(silent, tmp_path / "c", Look(800, 600), Clock(), 0.2)
    assert not (tmp_path / "c").exists()


def test_a_wrapper_script_is_not_a_browser(tmp_path: Path) -> None:
    wrapper = tmp_path / "chromium"
    wrapper.write_text('#!/bin/sh\nchromium "$@"\n')
    wrapper.chmod(0o755)
    assert not is_program(wrapper)
    with pytest.raises(errors.FailedPrecondition, match="wrapper"):
        find_binary(str(wrapper))
    assert is_program(find_binary())


def test_the_browser_gets_a_language_and_no_fixed_port(tmp_path: Path) -> None:
    line = command_line(Path("/x"), tmp_path, Look(800, 600, "de-CH"))
    assert "--remote-debugging-port=0" in line
    assert "--lang=de-CH" in line
    assert f"--user-data-dir={tmp_path}" in line
