"""The browsers of this replica: getting a place, starting, ending, and attending to what changed.

Decisions are rows (any replica may make them); the processes are here. A decision about a session
of ours reaches us as an order on the bus of signals, and at the latest with the next sweep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from libs import errors, ids
from libs.db import Tx
from libs.rpc.mesh import Mesh
from libs.secrets import Secret
from services.browser_session import store
from services.browser_session.artifacts import Artifacts
from services.browser_session.browser import Browser, Look, find_binary
from services.browser_session.cdp_gateway import CdpGateway, DrivenBrowser
from services.browser_session.domain import (
    LIVE,
    USABLE,
    Reason,
    Session,
    State,
    check_usable,
    overdue,
)
from services.browser_session.live import Download, LiveSession
from services.browser_session.orphans import reap_orphans
from services.browser_session.settings import BrowserSettings
from services.browser_session.tokens import Claim, InvalidToken, sign, verify

log = logging.getLogger(__name__)
RETRY_AFTER_S = 2.0
ROOM_POLL_S = 1.0


class Pool:
    """Owns the browsers that run in this process."""

    def __init__(self, mesh: Mesh, artifacts: Artifacts) -> None:
        assert isinstance(mesh.settings, BrowserSettings)
        self.replica = mesh.replica
        self.gateway = CdpGateway(self._admit_driver)
        self._settings = mesh.settings
        self._db = mesh.db
        self._signals = mesh.signals
        self._clock = mesh.clock
        self._vault = mesh.vault
        self._artifacts = artifacts
        self._draining = False
        self._live: dict[str, LiveSession] = {}
        self._starting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._beat_due = 0.0

    @property
    def http(self) -> aiohttp.ClientSession:
        """The client side of every connection to a browser."""
        assert self._http is not None, "the pool is not open"
        return self._http

    async def open(self) -> None:
        """Ends what an earlier life left behind, and starts to serve drivers."""
        reaped = await asyncio.to_thread(reap_orphans, self._settings.browsers)
        if reaped:
            log.warning("ended %d browsers whose owner had died", reaped)
        self._http = aiohttp.ClientSession()
        await self.gateway.open(self._settings.cdp_host, self._settings.cdp_port)
        await self._db.write(lambda tx: store.replicas.beat(tx, self.replica))

    async def drain(self) -> None:
        """Starts no more browsers, ends those of this replica and says so in their rows."""
        self._draining = True

        def unit(tx: Tx) -> None:
            for row in store.sessions.on_replica(tx, self.replica):
                store.sessions.end(tx, row, State.CRASHED, Reason.REPLICA_STOPPED)

        await self._db.write(unit)
        await asyncio.gather(*(self._clear(live) for live in list(self._live.values())))

    async def close(self) -> None:
        """Ends what is left and stops serving drivers."""
        await self.drain()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gateway.close()
        await self.http.close()
        await self._db.write(lambda tx: store.replicas.depart(tx, self.replica))

    def seal_new_key(self, session_id: str) -> bytes:
        """A key for the tokens of a new session, sealed for its row."""
        return self._vault.seal(ids.random_bytes(32), session_id.encode())

    def token(self, row: Session) -> Secret:
        """A token that opens the session's browser for as long as this lease and life last."""
        key = self._vault.open(row.cdp_key, row.session_id.encode())
        return sign(key, Claim(row.session_id, row.fence, row.expires_at))

    async def row(self, session_id: str) -> Session | None:
        """The session as it now stands."""
        return await self._db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))

    # Starting

    def expect(self, session_id: str) -> None:
        """Says that a session of this id is about to be queued by this replica."""
        if self._draining:
            raise errors.Unavailable("this replica is stopping", retry_after_s=RETRY_AFTER_S)
        self._starting.add(session_id)

    def unexpect(self, session_id: str) -> None:
        """Says that it was not queued after all."""
        self._starting.discard(session_id)

    def admit(self, tx: Tx, queued: Session) -> Session:
        """The session with a place if there is one for it now, else as it was."""
        if store.sessions.admit(tx, queued.session_id, self._settings.capacity):
            return replace(queued, state=State.PROVISIONING)
        return queued

    async def start(self, new: Session, timeout_s: float) -> None:
        """Waits for a place up to the timeout, then starts the browser.

        Raises Exhausted, and the session is as if never asked for, when no place came free.
        A caller who leaves while the browser starts leaves a started session behind, which the
        same request finds again and idleness ends.
        """
        if new.state is State.QUEUED:
            try:
                await self._get_place(new.session_id, timeout_s)
            except BaseException:
                self._starting.discard(new.session_id)
                raise
        await asyncio.shield(self._spawn(self._launch(new.session_id)))

    async def _get_place(self, session_id: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait_for_place(session_id)
        except TimeoutError:
            if not await self._db.write(lambda tx: store.sessions.withdraw(tx, session_id)):
                return
            raise errors.Exhausted(
                "no room for another browser now", retry_after_s=RETRY_AFTER_S
            ) from None
        except asyncio.CancelledError:
            self._spawn(self._withdraw(session_id))
            raise

    async def _wait_for_place(self, session_id: str) -> None:
        capacity = self._settings.capacity
        async with self._signals.subscribe(store.ROOM) as room:
            while True:
                if await self._db.write(lambda tx: store.sessions.admit(tx, session_id, capacity)):
                    return
                row = await self.row(session_id)
                if row is None or row.state is not State.QUEUED:
                    return
                await room.wait(ROOM_POLL_S)

    async def _withdraw(self, session_id: str) -> None:
        await self._db.write(lambda tx: store.sessions.withdraw(tx, session_id))

    async def _launch(self, session_id: str) -> None:
        browser: Browser | None = None
        try:
            row = await self.row(session_id)
            if row is None or row.state is not State.PROVISIONING:
                return
            browser = await Browser.launch(
                find_binary(self._settings.chromium),
                self._settings.browsers / session_id,
                Look(row.options.viewport_width, row.options.viewport_height, row.options.locale),
                self._clock,
                self._settings.browser_launch_timeout_s,
            )
            live = LiveSession(
                session_id, browser, self._clock, lambda done: self._keep(session_id, done)
            )
            await live.open(self.http, self._settings.browser_launch_timeout_s)
            self._live[session_id] = live
        except Exception:
            if browser:
                await browser.kill()
            await self._fail(session_id)
            raise
        finally:
            self._starting.discard(session_id)
        self._spawn(self._watch(live))
        host = self._settings.cdp_public_host or self._settings.cdp_host
        url = f"ws://{host}:{self.gateway.port}/sessions/{session_id}"
        if not await self._db.write(lambda tx: store.sessions.set_ready(tx, session_id, url)):
            await self._clear(live)

    async def _fail(self, session_id: str) -> None:
        def unit(tx: Tx) -> None:
            row = store.sessions.get_anywhere(tx, session_id)
            if row is not None:
                store.sessions.end(tx, row, State.FAILED, Reason.START_FAILED)
                store.sessions.process_gone(tx, session_id)

        await self._db.write(unit)

    async def await_usable(self, session_id: str, timeout_s: float) -> Session:
        """The session once it has a browser; raises when it ended or the time is over."""
        async with self._signals.subscribe(store.changed(session_id)) as changed:
            deadline = self._clock.monotonic() + timeout_s
            while True:
                row = await self.row(session_id)
                if row is None:
                    raise errors.Exhausted(
                        "no room for another browser now", retry_after_s=RETRY_AFTER_S
                    )
                if row.state in USABLE:
                    return row
                if row.state not in LIVE:
                    raise errors.Unavailable(
                        f"the session ended while it was starting ({row.close_reason})",
                        retry_after_s=RETRY_AFTER_S,
                    )
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise errors.Exhausted(
                        "the browser is not ready yet", retry_after_s=RETRY_AFTER_S
                    )
                await changed.wait(min(left, ROOM_POLL_S))

    # Ending

    async def end(self, row: Session, reason: Reason) -> None:
        """Ends a session; returns when its processes are gone, wherever they run."""
        await self._end_row(row, State.CLOSED, reason)
        await self.await_cleared(row.session_id)

    async def await_cleared(self, session_id: str) -> None:
        """Returns when no process of the session is left."""
        live = self._live.get(session_id)
        if live is not None:
            await self._clear(live)
            return
        async with self._signals.subscribe(store.changed(session_id)) as changed:
            while (row := await self.row(session_id)) and row.has_process:
                await changed.wait(ROOM_POLL_S)

    async def _end_row(self, row: Session, state: State, reason: Reason) -> None:
        await self._db.write(lambda tx: store.sessions.end(tx, row, state, reason))

    async def _clear(self, live: LiveSession) -> None:
        """Takes a session that has ended out of this process; every caller waits for the one."""
        if live.clearing is None:
            live.clearing = self._spawn(self._take_down(live))
        await asyncio.shield(live.clearing)

    async def _take_down(self, live: LiveSession) -> None:
        await self.gateway.end(live.session_id)
        await live.close()
        await self._db.write(lambda tx: store.sessions.process_gone(tx, live.session_id))
        self._live.pop(live.session_id, None)

    async def _watch(self, live: LiveSession) -> None:
        """Notices at once when the browser dies by itself."""
        await live.browser.exited.wait()
        if live.clearing is not None:
            return
        log.warning("browser of session %s %s", live.session_id, live.browser.exit_reason)
        row = await self.row(live.session_id)
        if row is not None:
            await self._end_row(row, State.CRASHED, Reason.BROWSER_CRASHED)
        await self._clear(live)

    # Attending

    async def attend(self) -> None:
        """Sweeps whenever something was decided about a session of ours, and now and then."""
        async with self._signals.subscribe(store.orders(self.replica)) as orders:
            while True:
                await orders.wait(self._settings.browser_sweep_s)
                try:
                    await self.sweep()
                except Exception:
                    # The next sweep is a moment away; a database that is away comes back.
                    log.exception("a sweep of the sessions failed")

    async def sweep(self) -> None:
        """Brings what runs here in line with what the rows say."""
        before = set(self._live)
        if self._clock.monotonic() >= self._beat_due:
            self._beat_due = self._clock.monotonic() + self._settings.browser_sweep_s
            used = [live.session_id for live in self._live.values() if live.take_touched()]
            await self._db.write(lambda tx: self._beat(tx, used))
        now, rows = await self._db.read(
            lambda tx: (tx.now, store.sessions.on_replica(tx, self.replica))
        )
        known = {row.session_id for row in rows}
        for row in rows:
            await self._attend_to(row, now)
        for session_id in before - known:
            live = self._live.get(session_id)
            if live is not None:
                self._spawn(self._clear(live))

    def _beat(self, tx: Tx, used: list[str]) -> None:
        store.replicas.beat(tx, self.replica)
        if used:
            store.sessions.touch(tx, used)
        store.replicas.bury(tx, timedelta(seconds=self._settings.browser_silence_s))

    async def _attend_to(self, row: Session, now: datetime) -> None:
        live = self._live.get(row.session_id)
        if live is None:
            if row.session_id not in self._starting:
                await self._forget(row.session_id)
        elif row.state not in LIVE:
            self._spawn(self._clear(live))
        else:
            await self.gateway.fence_off(row.session_id, row.fence)
            if overdue(row, now):
                self._spawn(self._end_overdue(row.session_id))

    async def _end_overdue(self, session_id: str) -> None:
        """Ends the session if it still is overdue: a run may just have been given it."""

        def unit(tx: Tx) -> bool:
            row = store.sessions.get_anywhere(tx, session_id)
            reason = overdue(row, tx.now) if row else None
            if row is None or reason is None:
                return False
            return store.sessions.end(tx, row, State.CLOSED, reason)

        if await self._db.write(unit):
            await self.await_cleared(session_id)

    async def _forget(self, session_id: str) -> None:
        """Tidies a row that says we have something which we have not, or no longer."""

        def unit(tx: Tx) -> None:
            row = store.sessions.get_anywhere(tx, session_id)
            if row is None or session_id in self._live or session_id in self._starting:
                return
            store.sessions.end(tx, row, State.CRASHED, Reason.REPLICA_DIED)
            store.sessions.process_gone(tx, session_id)

        await self._db.write(unit)

    # Serving drivers and files

    async def _admit_driver(self, session_id: str, token: str) -> tuple[DrivenBrowser, int]:
        row = await self.row(session_id)
        live = self._live.get(session_id)
        if row is None or live is None:
            raise errors.NotFound("browser session", session_id)
        key = self._vault.open(row.cdp_key, session_id.encode())
        claim = verify(key, token, session_id, self._clock.now())
        check_usable(row)
        if claim.fence != row.fence:
            raise InvalidToken("the lease of this token is over")
        return live, row.fence

    async def _keep(self, session_id: str, download: Download) -> None:
        row = await self.row(session_id)
        if row is not None:
            await self._artifacts.keep_download(row, download.path, download.suggested_name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
