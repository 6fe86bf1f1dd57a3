"""Taking the wheel of a session and giving it back, inside one unit of work."""

from __future__ import annotations

from datetime import timedelta

from libs import errors, ids
from libs.db import Tx
from services.browser_session import store as sessions_store
from services.browser_session.domain import Session, check_usable
from services.browser_session.view import store
from services.browser_session.view.store import Control

DEFAULT_TIME = timedelta(seconds=60)
LONGEST_TIME = timedelta(minutes=10)
LONGEST_HOLDER = 100
TAKEN = "browser_session.control_taken"
RETURNED = "browser_session.control_returned"


def checked_time(asked: timedelta | None) -> timedelta:
    """How long a wheel may be held without another word; Invalid for a useless length."""
    if asked is not None and not timedelta(0) < asked <= LONGEST_TIME:
        raise errors.Invalid("ttl", "must be more than 0 and at most 10 minutes")
    return asked or DEFAULT_TIME


def take(
    tx: Tx, organization_id: str, session_id: str, control_id: str, holder: str, span: timedelta
) -> tuple[Session, Control]:
    """Gives the wheel to somebody, or renews the hold of who has it.

    Raises FailedPrecondition when somebody else has it.
    """
    row = sessions_store.sessions.get(tx, organization_id, session_id)
    check_usable(row)
    held = store.control(tx, session_id)
    if control_id:
        if not store.renew_control(tx, session_id, control_id, span):
            raise errors.FailedPrecondition("this control is over", reason="CONTROL_OVER")
        held = store.control(tx, session_id)
        assert held is not None
        return row, held
    if held is not None:
        who = held.holder or "somebody"
        raise errors.FailedPrecondition(
            f"{who} holds the wheel until {held.until:%H:%M:%S} UTC", reason="CONTROL_TAKEN"
        )
    taken = Control(
        session_id, organization_id, ids.new("ctl"), holder, False, tx.now, tx.now + span
    )
    store.add_control(tx, taken)
    tx.notify(store.wheel_topic(row.owner))
    _tell(tx, TAKEN, taken, row)
    return row, taken


def give_back(tx: Tx, control: Control) -> bool:
    """Ends a control; False when it had ended already."""
    if not store.delete_control(tx, control.session_id, control.control_id):
        return False
    row = sessions_store.sessions.get_anywhere(tx, control.session_id)
    if row is not None:
        tx.notify(store.wheel_topic(row.owner))
        _tell(tx, RETURNED, control, row)
    return True


def _tell(tx: Tx, type_: str, control: Control, row: Session) -> None:
    tx.publish(
        type_,
        {
            "browser_session_id": row.session_id,
            "control_id": control.control_id,
            "holder": control.holder,
        },
        organization_id=row.organization_id,
        run_id=row.run_id,
    )
