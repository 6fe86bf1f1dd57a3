"""Brings messages and challenges together, inside the unit of work that changes either.

A message goes to the challenge that has waited longest; a new challenge looks back for a code that
came early. Both are decided in the database, so that each message serves one challenge, whichever
replica took it in.
"""

from __future__ import annotations

from dataclasses import replace

from libs.db import Tx
from services.totp import domain
from services.totp.domain import Challenge, Message, State
from services.totp.store import challenges, messages


def topic(challenge_id: str) -> str:
    """The signal that wakes whoever waits for this challenge."""
    return f"totp:{challenge_id}"


def opened_topic(organization_id: str) -> str:
    """The signal that wakes who fetches codes: a challenge of this organisation waits."""
    return f"totp-opened:{organization_id}"


def offer(tx: Tx, message: Message) -> bool:
    """Gives a message to the longest-waiting challenge it may serve; False when nobody waits."""
    for challenge in challenges.waiting_for(tx, message):
        if not messages.take(tx, message, challenge):
            return False
        if _make_available(tx, challenge, message):
            return True
        messages.take_back(tx, message)
    return False


def look_back(tx: Tx, challenge: Challenge) -> bool:
    """Gives a waiting challenge the best message that is already there; False when none is."""
    message = messages.best_for(tx, challenge)
    if message is None or not messages.take(tx, message, challenge):
        return False
    if _make_available(tx, challenge, message):
        return True
    messages.take_back(tx, message)
    return False


def cancel(tx: Tx, challenge: Challenge) -> bool:
    """Ends a challenge that nobody needs; a code it had not used goes to the next in line."""
    if not challenges.move(tx, challenge, State.CANCELED):
        return False
    tx.notify(topic(challenge.challenge_id))
    message = messages.given_to(tx, challenge)
    if message is not None:
        messages.take_back(tx, message)
        offer(tx, message)
    return True


def reject(tx: Tx, challenge: Challenge) -> Challenge:
    """Lets a challenge whose code the site refused wait for the next one.

    Codes that came before the refused one are older still, and count no more.
    """
    refused = messages.given_to(tx, challenge)
    not_before = refused.received_at if refused else challenge.not_before
    changes = {
        "expires_at": domain.extended(challenge, tx.now),
        "rejected": challenge.rejected + 1,
        "message_id": "",
        "step": None,
        "valid_until": None,
        "not_before": max(not_before, challenge.not_before),
    }
    waits = replace(challenge, state=State.WAITING, **changes)
    if not challenges.move(tx, challenge, State.WAITING, **changes):
        raise challenges.Contended(tx.now)
    if refused is not None:
        messages.burn(tx, refused)
    announce(tx, "totp.required", waits, rejected=str(waits.rejected))
    if waits.generated:
        challenges.move(tx, waits, State.AVAILABLE)
        waits = replace(waits, state=State.AVAILABLE)
    elif look_back(tx, waits):
        waits = replace(waits, state=State.AVAILABLE)
    tx.notify(topic(challenge.challenge_id))
    return waits


def expire(tx: Tx, challenge: Challenge) -> bool:
    """Ends a challenge whose time is over."""
    if not challenges.move(tx, challenge, State.EXPIRED):
        return False
    tx.notify(topic(challenge.challenge_id))
    return True


def announce(tx: Tx, type_: str, challenge: Challenge, **facts: str) -> None:
    """Publishes what happened to a challenge; never a code."""
    data = {
        "challenge_id": challenge.challenge_id,
        "credential_id": challenge.credential_id,
        "identifier": challenge.identifier,
        "generated": challenge.generated,
        **facts,
    }
    tx.publish(
        type_,
        data,
        run_id=challenge.run_id,
        task_id=challenge.task_id,
        organization_id=challenge.organization_id,
    )


def _make_available(tx: Tx, challenge: Challenge, message: Message) -> bool:
    if not challenges.move(tx, challenge, State.AVAILABLE, message_id=message.message_id):
        return False
    announce(tx, "totp.available", challenge, source=message.source.value)
    tx.notify(topic(challenge.challenge_id))
    return True
