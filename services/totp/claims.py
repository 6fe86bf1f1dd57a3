"""Waiting for the code of a challenge, and claiming it exactly once.

Nobody polls: a waiter is woken by a signal when its challenge changes, in whichever replica it
changed, and by time for a fresh window or the end of the challenge. The slow re-check is there for
the hint that got lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs import errors, history
from libs.clock import Clock
from libs.db import Database, Tx
from libs.secrets import Secret, Vault
from libs.signals import Signals
from services.totp import domain, matching
from services.totp.domain import Challenge, State
from services.totp.store import challenges, credentials, messages

RECHECK_S = 5.0
NOTHING = Secret("")


@dataclass(frozen=True)
class Code:
    """A claimed code, or a link in its place, and until when it is good (None: not known)."""

    value: Secret
    valid_until: datetime | None
    link: Secret = NOTHING


@dataclass(frozen=True)
class Later:
    """No code now; look again at this moment, or when the challenge changes."""

    at: datetime


# Errors are answered, not raised, where the unit has something to commit all the same.
Outcome = Code | Later | errors.PodiumError


class Claims:
    """Claims codes for challenges."""

    def __init__(self, database: Database, vault: Vault, signals: Signals, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._signals = signals
        self._clock = clock

    async def claim(
        self, organization_id: str, challenge_id: str, run_id: str, wait: timedelta | None
    ) -> Code:
        """The code of a challenge, waited for no longer than `wait`."""
        began = self._clock.monotonic()
        async with self._signals.subscribe(matching.topic(challenge_id)) as hints:
            hinted = True
            while True:
                challenge = await self._db.read(
                    lambda tx: _mine(tx, organization_id, challenge_id, run_id)
                )
                outcome = await self._attempt(challenge, hinted)
                if isinstance(outcome, Code):
                    return outcome
                if isinstance(outcome, errors.PodiumError):
                    raise outcome
                pause_s = min(RECHECK_S, (outcome.at - self._clock.now()).total_seconds())
                if wait is not None:
                    left_s = wait.total_seconds() - (self._clock.monotonic() - began)
                    if left_s <= 0:
                        raise errors.DeadlineExceeded(
                            "no code has come yet; ask again", reason="NO_CODE_YET"
                        )
                    pause_s = min(pause_s, left_s)
                hinted = await hints.wait(pause_s)

    async def reject(self, organization_id: str, challenge_id: str, run_id: str) -> Challenge:
        """Takes the refused code out of use and lets the challenge wait for the next one."""

        def unit(tx: Tx) -> Challenge:
            challenge = _mine(tx, organization_id, challenge_id, run_id)
            seen = challenge.seen_at(tx.now)
            domain.check_rejectable(seen)
            given = None if seen.generated else messages.contents_of(tx, self._vault, seen)
            if given is not None and given.code:
                messages.burn_copies(tx, self._vault, seen, given.code)
            waits = matching.reject(tx, seen)
            history.append(
                tx,
                challenge_id,
                "code.rejected",
                {"run_id": seen.run_id, "task_id": seen.task_id},
                source="totp",
            )
            return waits

        return await self._db.write(unit)

    async def watch(self, organization_id: str, challenge_id: str) -> AsyncIterator[Challenge]:
        """The challenge now and at each change, until it is closed."""
        shown: Challenge | None = None
        async with self._signals.subscribe(matching.topic(challenge_id)) as hints:
            while True:
                found = await self._db.read(lambda tx: _mine(tx, organization_id, challenge_id, ""))
                seen = found.seen_at(self._clock.now())
                if seen != shown:
                    shown = seen
                    yield seen
                if seen.state not in domain.OPEN:
                    return
                left_s = (seen.expires_at - self._clock.now()).total_seconds()
                await hints.wait(min(RECHECK_S, max(left_s, 0.01)))

    async def _attempt(self, challenge: Challenge, hinted: bool) -> Outcome:
        seen = challenge.seen_at(self._clock.now())
        if seen.state is State.WAITING and hinted:
            return Later(seen.expires_at)
        try:
            return await self._db.write(lambda tx: self._settle(tx, challenge))
        except challenges.Contended as contended:
            return Later(contended.again_at)

    def _settle(self, tx: Tx, challenge: Challenge) -> Outcome:
        """What this challenge gets now; reads it again, as it may have changed meanwhile."""
        now_is = challenges.find(tx, challenge.organization_id, challenge.challenge_id)
        if now_is is None:
            return errors.NotFound("challenge", challenge.challenge_id)
        seen = now_is.seen_at(tx.now)
        if seen.state is State.EXPIRED:
            matching.expire(tx, now_is)
            return domain.refusal(seen)
        if seen.state is State.CANCELED:
            return domain.refusal(seen)
        if seen.state is State.WAITING:
            # The safety net also heals a match that two replicas missed at the same moment.
            return Later(tx.now if matching.look_back(tx, seen) else seen.expires_at)
        if seen.generated:
            return self._generate(tx, seen)
        return self._hand_over(tx, seen)

    def _hand_over(self, tx: Tx, challenge: Challenge) -> Outcome:
        given = messages.contents_of(tx, self._vault, challenge)
        if given is None:
            matching.expire(tx, challenge)
            return domain.refusal(challenge)
        if challenge.state is State.AVAILABLE:
            self._close(tx, challenge)
        return Code(given.code, None, NOTHING if given.code else given.link)

    def _generate(self, tx: Tx, challenge: Challenge) -> Outcome:
        found = credentials.find(tx, challenge.organization_id, challenge.credential_id)
        if found is None or not found[0].has_seed:
            return domain.refusal(challenge)
        seed = credentials.open_seed(self._vault, *found)
        if challenge.step is not None and challenge.valid_until is not None:
            if challenge.valid_until <= tx.now:
                return domain.refusal(challenge)
            return Code(Secret(seed.code(challenge.step)), challenge.valid_until)
        taken = challenges.take_step(tx, challenge, seed.period_s)
        if isinstance(taken, datetime):
            return Later(taken)
        step, ends_at = taken
        self._close(tx, challenge, step=step, valid_until=ends_at)
        return Code(Secret(seed.code(step)), ends_at)

    def _close(self, tx: Tx, challenge: Challenge, **changes: object) -> None:
        if not challenges.move(tx, challenge, State.CLAIMED, **changes):
            raise challenges.Contended(tx.now)
        history.append(
            tx,
            challenge.challenge_id,
            "code.claimed",
            {"run_id": challenge.run_id, "task_id": challenge.task_id},
            source="totp",
        )
        tx.notify(matching.topic(challenge.challenge_id))


def _mine(tx: Tx, organization_id: str, challenge_id: str, run_id: str) -> Challenge:
    """The challenge, when the caller's organisation and run are the ones that opened it."""
    challenge = challenges.find(tx, organization_id, challenge_id)
    if challenge is None or (run_id and challenge.run_id and run_id != challenge.run_id):
        raise errors.NotFound("challenge", challenge_id)
    return challenge
