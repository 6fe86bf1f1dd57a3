"""One Chromium process: find the binary, launch it, notice its end at once, kill all of it.

A browser must never outlive the process that launched it. Two things see to that: the kernel
kills it when our process dies (the parent-death signal, set by `setpriv` before the exec, so no
Python runs between fork and exec), and `reap_orphans` ends what an earlier life left behind.
"""

from __future__ import annotations

import asyncio
import collections
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from libs import errors
from libs.clock import Clock
from services.browser_session.egress import EgressProxy
from services.browser_session.orphans import claim_directory, remove_directory

KNOWN_PLACES = (
    "/usr/lib/chromium/chromium-headless-shell",
    "/usr/lib/chromium/chromium",
)
PLAYWRIGHT_PATTERNS = (
    "chromium_headless_shell-*/chrome-*/*headless*shell",
    "chromium-*/chrome-linux*/chrome",
)
NAMES_ON_PATH = ("chrome-headless-shell", "chromium-headless-shell")
FLAGS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
)
SHARED_MEMORY = Path("/dev", "shm")
SMALL_SHARED_MEMORY_BYTES = 512 * 1024 * 1024
LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
STDERR_LINES_KEPT = 20
EXIT_POLL_S = 0.05
UNUSED_PORT = 9


def find_binary(configured: str = "") -> Path:
    """The Chromium to launch: the configured one, else the fastest this machine has.

    Raises FailedPrecondition with what to do when there is none.
    """
    if configured:
        path = Path(configured)
        if not is_program(path):
            raise errors.FailedPrecondition(
                f"PODIUM_CHROMIUM={configured} is not a browser binary (a shell wrapper keeps "
                "its browser alive after our death; name the binary itself)",
                reason="CHROMIUM_UNUSABLE",
            )
        return path
    for path in _candidates():
        if is_program(path):
            return path
    raise errors.FailedPrecondition(
        "no Chromium on this machine: run `playwright install chromium`, or install Debian's "
        "`chromium` package, or set PODIUM_CHROMIUM",
        reason="CHROMIUM_MISSING",
    )


def _candidates() -> Iterable[Path]:
    yield from map(Path, KNOWN_PLACES)
    cache = Path.home() / ".cache" / "ms-playwright"
    for pattern in PLAYWRIGHT_PATTERNS:
        yield from sorted(cache.glob(pattern), reverse=True)
    yield from (Path(found) for name in NAMES_ON_PATH if (found := shutil.which(name)))


def is_program(path: Path) -> bool:
    """Whether the file is an executable machine program and not a script in front of one."""
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"


@dataclass(frozen=True)
class Look:
    """How the browser presents itself: window size in CSS pixels, language tag, and so on."""

    width: int
    height: int
    locale: str = ""
    time_zone: str = ""
    user_agent: str = ""


def command_line(binary: Path, data_dir: Path, look: Look, proxy_port: int = 0) -> list[str]:
    """What is executed. The sandbox is off only for root, for whom Chromium refuses to use it."""
    flags = [*FLAGS, f"--window-size={look.width},{look.height}", *_way_out(proxy_port)]
    if look.locale:
        flags += [f"--lang={look.locale}", f"--accept-lang={look.locale}"]
    if look.user_agent:
        flags.append(f"--user-agent={look.user_agent}")
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    if _shared_memory_is_small():
        flags.append("--disable-dev-shm-usage")
    death_signal = shutil.which("setpriv")
    launcher = [death_signal, "--pdeathsig", "KILL", "--"] if death_signal else []
    return [*launcher, str(binary), *flags, f"--user-data-dir={data_dir}", "about:blank"]


def _way_out(proxy_port: int) -> list[str]:
    """Nothing leaves but through the proxy, loopback included: no address is looked up here, and
    WebRTC may not send datagrams past it. Without a port there is no way out at all.
    """
    return [
        f"--proxy-server=http://127.0.0.1:{proxy_port or UNUSED_PORT}",
        "--proxy-bypass-list=<-loopback>",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    ]


def _shared_memory_is_small() -> bool:
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return True
    return room.f_frsize * room.f_blocks < SMALL_SHARED_MEMORY_BYTES


class Browser:
    """A running Chromium with a directory of its own; `exited` is set when it is gone."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        directory: Path,
        clock: Clock,
        proxy: EgressProxy | None = None,
    ) -> None:
        self.directory = directory
        self.proxy = proxy
        self.at_end: list[Callable[[], Awaitable[None]]] = []
        """What else ends with the browser."""
        self.cdp_url = ""
        self.exited = asyncio.Event()
        self._process = process
        self._clock = clock
        self._stderr: collections.deque[str] = collections.deque(maxlen=STDERR_LINES_KEPT)
        self._listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks = [
            asyncio.create_task(self._watch_exit()),
            asyncio.create_task(self._read_stderr()),
        ]

    @property
    def pid(self) -> int:
        """The browser's main process, which leads its process group."""
        return self._process.pid

    @property
    def downloads(self) -> Path:
        """Where this browser's downloads land before they become artifacts."""
        return self.directory / "downloads"

    @property
    def exit_reason(self) -> str:
        """How the process ended, in words; empty while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exited with status {code}"

    @classmethod
    async def launch(
        cls,
        binary: Path,
        directory: Path,
        look: Look,
        clock: Clock,
        timeout_s: float,
        proxy: EgressProxy | None = None,
    ) -> Browser:
        """Starts a browser and returns once it answers CDP; leaves nothing behind on failure.

        The open proxy is its only way out, and ends with it.
        """
        (directory / "downloads").mkdir(parents=True)
        claim_directory(directory)
        process = _spawn(binary, directory, look, proxy.port if proxy else 0)
        browser = cls(process, directory, clock, proxy)
        try:
            async with asyncio.timeout(timeout_s):
                browser.cdp_url = await browser._listening
        except BaseException as reason:
            await browser.kill()
            if isinstance(reason, TimeoutError):
                raise errors.Unavailable(
                    f"the browser did not start within {timeout_s:g} s", retry_after_s=1.0
                ) from reason
            raise
        return browser

    async def kill(self) -> None:
        """Ends every process of the browser and removes its directory. Safe to call again."""
        self._kill_group()
        await self.exited.wait()
        if self.proxy is not None:
            await self.proxy.close()
        for end in self.at_end:
            await end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await remove_directory(self.directory, self._clock)

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    async def _watch_exit(self) -> None:
        await self._end_of_process()
        # The group goes before the leader is reaped: until then its id cannot be reused.
        self._kill_group()
        self._process.wait()
        self.exited.set()
        if not self._listening.done():
            self._listening.set_exception(
                errors.Unavailable(
                    f"the browser {self.exit_reason} while starting: {self._last_words()}",
                    retry_after_s=1.0,
                )
            )

    async def _end_of_process(self) -> None:
        """Returns when the process has ended; it is not reaped yet."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # A kernel that cannot tell us: we ask.
            while not self._has_ended():
                await self._clock.sleep(EXIT_POLL_S)
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    async def _read_stderr(self) -> None:
        """Reads for as long as the browser writes, so that a full pipe never stops it."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stderr
        )
        unfinished = ""
        while chunk := await reader.read(65536):
            *lines, unfinished = (unfinished + chunk.decode(errors="replace")).split("\n")
            for line in filter(str.strip, lines):
                self._stderr.append(line)
                found = LISTENING.search(line)
                if found and not self._listening.done():
                    self._listening.set_result(found.group(1))

    def _last_words(self) -> str:
        return " / ".join(line[:200] for line in list(self._stderr)[-3:]) or "it said nothing"


def _spawn(binary: Path, directory: Path, look: Look, proxy_port: int) -> subprocess.Popen[bytes]:
    """Forks on the event loop's thread on purpose: the parent-death signal belongs to the thread
    that forks, and that thread must live as long as we do.
    """
    return subprocess.Popen(
        command_line(binary, directory / "profile", look, proxy_port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=directory,
        env=_environment(directory, look),
    )


def _environment(directory: Path, look: Look) -> dict[str, str]:
    """A browser gets none of our environment: it may hold keys, and pages run in there."""
    zone = {"TZ": look.time_zone} if look.time_zone else {}
    return {
        **zone,
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }
