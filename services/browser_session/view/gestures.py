"""What a person does in the live view, as commands of the browser. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs import errors
from services.browser_session.view.opening import check_url

Command = tuple[str, dict[str, Any]]
MOST_AT_ONCE = 100
LONGEST_TEXT = 10_000
BUTTONS = {"": "left", "left": "left", "middle": "middle", "right": "right"}
MODIFIERS = {"alt": 1, "control": 2, "meta": 4, "shift": 8}
# Keys that do something instead of writing something: virtual key code, and what they write.
KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Backspace": (8, ""),
    "Delete": (46, ""),
    "Escape": (27, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
}
MOUSE = {
    "mouse_move": ("mouseMoved",),
    "mouse_down": ("mousePressed",),
    "mouse_up": ("mouseReleased",),
    "click": ("mouseMoved", "mousePressed", "mouseReleased"),
}
STEPS = {"back": -1, "forward": 1}


@dataclass(frozen=True)
class Gesture:
    """One thing that a person does."""

    type: str
    x: float = 0.0
    y: float = 0.0
    button: str = ""
    click_count: int = 1
    delta_x: float = 0.0
    delta_y: float = 0.0
    key: str = ""
    text: str = ""
    url: str = ""
    modifiers: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How far it goes in the page's history; 0 when it does not."""
        return STEPS.get(self.type, 0)


def parse(field: str, raw: Mapping[str, Any]) -> Gesture:
    """A gesture as it came; Invalid names what is wrong with it."""
    try:
        gesture = Gesture(
            type=str(raw.get("type", "")),
            x=float(raw.get("x", 0)),
            y=float(raw.get("y", 0)),
            button=str(raw.get("button", "")),
            click_count=min(3, max(1, int(raw.get("click_count", 1) or 1))),
            delta_x=float(raw.get("delta_x", 0)),
            delta_y=float(raw.get("delta_y", 0)),
            key=str(raw.get("key", "")),
            text=str(raw.get("text", "")),
            url=str(raw.get("url", "")),
            modifiers=tuple(str(each) for each in raw.get("modifiers", ())),
        )
    except (TypeError, ValueError):
        raise errors.Invalid(field, "has a value of the wrong type") from None
    wrong = _wrong(gesture)
    if wrong:
        raise errors.Invalid(f"{field}.{wrong[0]}", wrong[1])
    return gesture


def _wrong(gesture: Gesture) -> tuple[str, str] | None:
    known = {*MOUSE, *STEPS, "wheel", "key", "text", "navigate", "reload"}
    if gesture.type not in known:
        return "type", f"must be one of {', '.join(sorted(known))}"
    if gesture.button not in BUTTONS:
        return "button", "must be left, middle or right"
    if not set(gesture.modifiers) <= MODIFIERS.keys():
        return "modifiers", f"must be of {', '.join(MODIFIERS)}"
    if gesture.type == "key" and len(gesture.key) != 1 and gesture.key not in KEYS:
        return "key", f"must be a single character or one of {', '.join(KEYS)}"
    if gesture.type == "text" and not 0 < len(gesture.text) <= LONGEST_TEXT:
        return "text", f"is required, at most {LONGEST_TEXT} characters"
    if gesture.type == "navigate":
        check_url(gesture.url)
    return None


def commands(gesture: Gesture) -> list[Command]:
    """What the browser is told; nothing for a step in the history, which needs to know that."""
    modifiers = sum(MODIFIERS[each] for each in gesture.modifiers)
    if gesture.type in MOUSE:
        return [_mouse(kind, gesture, modifiers) for kind in MOUSE[gesture.type]]
    match gesture.type:
        case "wheel":
            turned = {"deltaX": gesture.delta_x, "deltaY": gesture.delta_y}
            method, params = _mouse("mouseWheel", gesture, modifiers)
            return [(method, params | turned)]
        case "key":
            return _key(gesture.key, modifiers)
        case "text":
            return [("Input.insertText", {"text": gesture.text})]
        case "navigate":
            return [("Page.navigate", {"url": gesture.url})]
        case "reload":
            return [("Page.reload", {})]
    return []


def _mouse(kind: str, gesture: Gesture, modifiers: int) -> Command:
    params: dict[str, Any] = {
        "type": kind,
        "x": gesture.x,
        "y": gesture.y,
        "modifiers": modifiers,
    }
    if kind in ("mousePressed", "mouseReleased"):
        params |= {"button": BUTTONS[gesture.button], "clickCount": gesture.click_count}
    elif kind == "mouseMoved":
        params["button"] = BUTTONS[gesture.button] if gesture.button else "none"
    return "Input.dispatchMouseEvent", params


def _key(key: str, modifiers: int) -> list[Command]:
    if key in KEYS:
        code, text = KEYS[key]
    else:
        code, text = ord(key.upper()), "" if modifiers & ~MODIFIERS["shift"] else key
    pressed: dict[str, Any] = {
        "key": key,
        "windowsVirtualKeyCode": code,
        "modifiers": modifiers,
    }
    down = {"type": "keyDown" if text else "rawKeyDown", **pressed}
    if text:
        down["text"] = text
    return [
        ("Input.dispatchKeyEvent", down),
        ("Input.dispatchKeyEvent", {"type": "keyUp", **pressed}),
    ]
