"""The browsers of this replica: starting, ending, and serving them to drivers.

Decisions are rows (any replica may make them); the processes are here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from libs import errors
from libs.db import Tx
from libs.rpc import https
from libs.rpc.mesh import Mesh
from services.browser_session import awaiting, capture, store
from services.browser_session.artifacts import Artifacts
from services.browser_session.cdp_gateway import CdpGateway, DrivenBrowser
from services.browser_session.domain import (
    Reason,
    Session,
    State,
    Wear,
    check_usable,
    may_recover,
)
from services.browser_session.keyring import Keyring
from services.browser_session.live import Download, LiveSession
from services.browser_session.nest import Nest
from services.browser_session.orphans import reap_orphans
from services.browser_session.places import RETRY_AFTER_S, ROOM_POLL_S, Places
from services.browser_session.pressure import Pressure
from services.browser_session.profile import Profile
from services.browser_session.revival import profile_seal
from services.browser_session.saved.profiles import SavedProfiles
from services.browser_session.settings import BrowserSettings
from services.browser_session.tokens import InvalidToken
from services.browser_session.view.revoking import Revoking
from services.browser_session.view.rights import Leave

log = logging.getLogger(__name__)


Lose = Callable[[Session, Reason], Awaitable[None]]


class Pool:
    """Owns the browsers that run in this process."""

    def __init__(self, mesh: Mesh, artifacts: Artifacts) -> None:
        assert isinstance(mesh.settings, BrowserSettings)
        self.replica = mesh.replica
        self._ended = mesh.ended
        self.gateway = CdpGateway(
            self._admit_driver, mesh.clock, Revoking(mesh.db), mesh.certificates
        )
        self.keyring = Keyring(mesh.vault, mesh.clock)
        self._settings = mesh.settings
        self._certificates = mesh.certificates
        self._db = mesh.db
        self._signals = mesh.signals
        self._clock = mesh.clock
        self._vault = mesh.vault
        self._artifacts = artifacts
        self.nest = Nest(mesh.settings, mesh.clock, mesh.vault)
        self.pressure = Pressure(mesh.clock, mesh.settings.marks)
        self.nest.calm = self.pressure.is_calm
        self.saved = SavedProfiles(mesh.db, mesh.vault)
        self.draining = False
        self.live: dict[str, LiveSession] = {}
        self.starting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self.lose: Lose = self._end_lost
        self.on_live: list[Callable[[LiveSession], Awaitable[None]]] = []
        """Who is told of a browser before its session is usable."""
        usual = mesh.settings.capacity
        self.places = Places(
            mesh.db, mesh.signals, lambda: self.pressure.capacity(usual), self.spawn
        )

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
        self._http = https.session(self._certificates, self._settings.service)
        await self.gateway.open(self._settings.cdp_host, self._settings.cdp_port)
        self.nest.own_ports.add(self.gateway.port)
        await self._db.write(self._arrive)

    def _arrive(self, tx: Tx) -> None:
        # Whose silence would otherwise be waited for is known to be dead.
        for ended in self._ended:
            store.replicas.depart(tx, ended)
        store.replicas.beat(tx, self.replica)

    async def drain(self) -> None:
        """Starts no more browsers and ends those of this replica; the others take over from here.

        A session whose browser is still starting has nothing yet that another could go on with.
        """
        self.draining = True
        await self.nest.close()
        most = self._settings.browser_recoveries
        await asyncio.gather(*(live.save_profile() for live in list(self.live.values())))

        def unit(tx: Tx) -> None:
            for row in store.sessions.on_replica(tx, self.replica):
                if not (may_recover(row, tx.now, most) and store.sessions.leave(tx, row)):
                    store.sessions.end(tx, row, State.CRASHED, Reason.REPLICA_STOPPED)

        await self._db.write(unit)
        await asyncio.gather(*(self.clear(live) for live in list(self.live.values())))

    async def close(self) -> None:
        """Ends what is left and stops serving drivers."""
        await self.drain()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gateway.close()
        await self.http.close()
        await self._db.write(lambda tx: store.replicas.depart(tx, self.replica))

    @property
    def keeps_warm(self) -> bool:
        """Whether browsers are launched ahead of their sessions."""
        return self._settings.browser_warm > 0

    @property
    def wear(self) -> Wear:
        """When a session that runs share is replaced."""
        return self._settings.wear

    def check_line(self, tx: Tx, queued: Session) -> None:
        """Raises Exhausted when the line that this session has joined is too long with it."""
        most, most_of_one = self._settings.browser_queue, self._settings.browser_queue_of_one
        store.queue.check_room(tx, queued.organization_id, most, most_of_one)

    def alike(self, left: Session, new: Session) -> bool:
        """Whether a session that was left is what a new one would be."""
        return left.options == new.options and self.nest.hidden(left) == self.nest.hidden(new)

    async def row(self, session_id: str) -> Session | None:
        """The session as it now stands."""
        return await self._db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))

    # Starting

    def expect(self, session_id: str) -> None:
        """Says that a session of this id is about to be queued by this replica."""
        if self.draining:
            raise errors.Unavailable("this replica is stopping", retry_after_s=RETRY_AFTER_S)
        self.starting.add(session_id)

    def unexpect(self, session_id: str) -> None:
        """Says that it was not queued after all."""
        self.starting.discard(session_id)

    async def start(self, new: Session, timeout_s: float) -> None:
        """Waits for a place up to the timeout, then starts the browser.

        Raises Exhausted, and the session is as if never asked for, when no place came free.
        A caller who leaves while the browser starts leaves a started session behind, which the
        same request finds again and idleness ends.
        """
        if new.state is State.QUEUED:
            try:
                await self.places.get(new.session_id, timeout_s)
            except BaseException:
                self.starting.discard(new.session_id)
                raise
        await asyncio.shield(self.spawn(self._launch(new.session_id)))

    def start_later(self, new: Session, timeout_s: float) -> None:
        """The same while nobody waits for it; one that gets no place in time says so."""

        async def begin() -> None:
            try:
                if new.state is State.QUEUED:
                    await self.places.wait_for(new, timeout_s)
                await self._launch(new.session_id)
            except errors.PodiumError as reason:
                log.info("session %s did not start: %s", new.session_id, reason)
            finally:
                self.starting.discard(new.session_id)

        self.spawn(begin())

    async def _launch(self, session_id: str) -> None:
        """The first browser of a session."""
        try:
            row = await self.row(session_id)
            if row is None or row.state is not State.PROVISIONING:
                return
            live = await self.start_browser(row)
            await self._begin_with_profile(row, live)
            url = self.publish(live)
        except Exception:
            await self._fail(session_id)
            raise
        finally:
            self.starting.discard(session_id)
        if not await self._db.write(lambda tx: store.sessions.set_ready(tx, row, url)):
            await self.clear(live)

    async def start_browser(self, row: Session) -> LiveSession:
        """A browser for the session, with our own line to it; nothing is left when it fails."""
        timeout_s = self._settings.browser_launch_timeout_s
        browser = await self.nest.hatch(row, _folder(row))
        live = LiveSession(
            row,
            browser,
            self._clock,
            lambda done: self._keep(row.session_id, done),
            lambda found: self._keep_profile(row, found),
        )
        live.largest_download_bytes = self._artifacts.limits.largest_download_bytes
        try:
            await live.open(self.http, timeout_s)
            await self.nest.present(browser, row, self.http, timeout_s)
            for greet in self.on_live:
                await greet(live)
        except BaseException:
            await browser.kill()
            raise
        return live

    def publish(self, live: LiveSession) -> str:
        """Serves the browser to drivers from now on; answers the address."""
        self.live[live.session_id] = live
        self.spawn(self._watch(live))
        live.start_keeping(self._settings.profile_every_s)
        host = self._settings.cdp_name
        return f"{self.gateway.scheme}://{host}:{self.gateway.port}/sessions/{live.session_id}"

    async def _begin_with_profile(self, row: Session, live: LiveSession) -> None:
        """Gives the session's first browser its profile, which is then the session's own."""
        try:
            found = await self.saved.load(row, self.http, live.browser_url)
            if found is not None:
                live.profile = found
                await self._keep_profile(row, found)
        except BaseException:
            await live.close()
            raise

    async def write_down_profile(self, row: Session) -> None:
        """Has the replica that owns the session's browser save the session's own profile."""
        await capture.save_profile(self.http, row.cdp_url, self.keyring.token(row))

    def open_profile(self, session_id: str, sealed: bytes) -> Profile:
        """A session's own profile."""
        return Profile.of(self._vault.open(sealed, profile_seal(session_id)))

    async def _fail(self, session_id: str) -> None:
        def unit(tx: Tx) -> None:
            row = store.sessions.get_anywhere(tx, session_id)
            if row is not None:
                store.sessions.end(tx, row, State.FAILED, Reason.START_FAILED)
                store.sessions.process_gone(tx, session_id, row.owner, row.generation)

        await self._db.write(unit)

    async def await_usable(self, session_id: str, timeout_s: float) -> Session:
        """The session once it has a browser; raises when it ended or the time is over."""
        return await awaiting.usable(self._db, self._signals, self._clock, session_id, timeout_s)

    # Ending

    async def end(self, row: Session, reason: Reason) -> None:
        """Ends a session; returns when its processes are gone, wherever they run."""
        await self._end_row(row, State.CLOSED, reason)
        await self.await_cleared(row.session_id)

    async def await_cleared(self, session_id: str) -> None:
        """Returns when no process of the session is left."""
        live = self.live.get(session_id)
        if live is not None:
            await self.clear(live)
            return
        async with self._signals.subscribe(store.changed(session_id)) as changed:
            while (row := await self.row(session_id)) and row.has_process:
                await changed.wait(ROOM_POLL_S)

    async def _end_row(self, row: Session, state: State, reason: Reason) -> None:
        await self._db.write(lambda tx: store.sessions.end(tx, row, state, reason))

    async def clear(self, live: LiveSession) -> None:
        """Takes a session that has ended out of this process; every caller waits for the one."""
        if live.clearing is None:
            live.clearing = self.spawn(self._take_down(live))
        await asyncio.shield(live.clearing)

    async def _end_lost(self, row: Session, reason: Reason) -> None:
        """What happens to a session that lost its browser when nobody revives it."""
        await self._end_row(row, State.CRASHED, reason)
        await self.await_cleared(row.session_id)

    async def _take_down(self, live: LiveSession) -> None:
        session_id = live.session_id
        await self.gateway.end(session_id)
        if live.saves_at_end:
            await live.save_profile()
        await live.close()
        if live.saves_at_end:
            await self.saved.take_over(session_id)
        await self._db.write(
            lambda tx: store.sessions.process_gone(tx, session_id, self.replica, live.generation)
        )
        if self.live.get(session_id) is live:
            del self.live[session_id]

    async def _watch(self, live: LiveSession) -> None:
        """Notices at once when the browser dies by itself."""
        await live.lost()
        if live.clearing is not None:
            return
        how = live.browser.exit_reason or "has broken off"
        log.warning("browser of session %s %s", live.session_id, how)
        row = await self.row(live.session_id)
        if row is None or (row.owner, row.generation) != (self.replica, live.generation):
            await self.clear(live)
        else:
            await self.lose(row, Reason.BROWSER_CRASHED)

    # Serving drivers and files

    async def _admit_driver(self, session_id: str, token: str) -> tuple[DrivenBrowser, Leave]:
        row = await self.row(session_id)
        live = self.live.get(session_id)
        if row is None or live is None:
            raise errors.NotFound("browser session", session_id)
        leave = self.keyring.leave(row, token)
        check_usable(row)
        if leave.fence not in (None, row.fence):
            raise InvalidToken("the lease of this token is over")
        await self.gateway.revoking.check(session_id, leave)
        if leave.control_id and leave.control_id != live.wheel.control_id:
            raise InvalidToken("the control of this token is over")
        return live, leave

    async def _keep_profile(self, row: Session, profile: Profile) -> None:
        session_id = row.session_id
        sealed = self._vault.seal(profile.as_bytes(), profile_seal(session_id))
        await self._db.write(
            lambda tx: store.profiles.save(
                tx, session_id, row.owner, row.generation, sealed, row.options.save_profile
            )
        )

    async def _keep(self, session_id: str, download: Download) -> None:
        row = await self.row(session_id)
        if row is None:
            return
        if download.refused:
            name = download.suggested_name or "download"
            await self._artifacts.refuse_download(row, name, download.refused)
        else:
            await self._artifacts.keep_download(row, download.path, download.suggested_name)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something until it ends; closing the pool waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _folder(row: Session) -> str:
    """The name of a browser's folder: a later browser must not meet what an earlier one left."""
    return row.session_id if row.generation == 1 else f"{row.session_id}-{row.generation}"
