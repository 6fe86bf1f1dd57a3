"""Typing, choosing, checking, uploading."""

from __future__ import annotations

from playwright.async_api import FilePayload

from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.grounding import GOOD, Purpose, likeness
from services.task.schema import Target
from services.task.snapshot import Element

from .pointing import clickable
from .scene import Found, Scene

SECRET_WORDS = ("$credential.username", "$credential.password")


async def fill(action: schema.Fill, scene: Scene) -> None:
    """Replace the content of a field; placeholders become secrets only here."""
    value = await _spelled_out(action.value, scene)

    async def act(found: Found, timeout_ms: float) -> None:
        await found.node.fill(value, timeout=timeout_ms)
        if action.submit:
            await found.node.press("Enter", timeout=timeout_ms)

    await scene.use(action.target, Purpose.TYPE, action.timeout_ms, act)


async def check(action: schema.Check, scene: Scene) -> None:
    """Turn it on, unless it is."""
    await _toggle(action.target, action.timeout_ms, scene, wanted=True)


async def uncheck(action: schema.Uncheck, scene: Scene) -> None:
    """Turn it off, unless it is."""
    await _toggle(action.target, action.timeout_ms, scene, wanted=False)


async def _toggle(target: Target, timeout_ms: int, scene: Scene, *, wanted: bool) -> None:
    async def act(found: Found, left_ms: float) -> None:
        if found.element.state.get("checked") is wanted:
            return
        if found.element.hidden:
            await (await clickable(found)).click(timeout=left_ms)
            return
        await found.node.set_checked(wanted, timeout=left_ms)

    await scene.use(target, Purpose.TOGGLE, timeout_ms, act)


async def select(action: schema.Select, scene: Scene) -> None:
    """Choose in a list, a radio group, or a menu that opens on click."""
    target = action.target or await _offering(action, scene)
    chosen_all = False

    async def act(found: Found, timeout_ms: float) -> None:
        nonlocal chosen_all
        element = found.element
        if element.role == "radio":
            if not element.state.get("checked"):
                await (await clickable(found)).click(timeout=timeout_ms)
            chosen_all = True
        elif element.tag == "select":
            labels = [_option(wanted, element) for wanted in action.options]
            await found.node.select_option(
                index=[element.options.index(label) for label in labels], timeout=timeout_ms
            )
            chosen_all = True
        else:
            await found.node.click(timeout=timeout_ms)

    await scene.use(target, Purpose.CHOOSE, action.timeout_ms, act)
    if chosen_all:
        return
    for wanted in action.options:

        async def choose(found: Found, timeout_ms: float) -> None:
            await found.node.click(timeout=timeout_ms)

        option = Target(role="option", name=wanted)
        await scene.use(option, Purpose.POINT, action.timeout_ms, choose)


async def upload(action: schema.Upload, scene: Scene) -> None:
    """Put the file into the field; without a target, into the only file field there is."""
    payload = await _payload(action, scene)

    async def act(found: Found, timeout_ms: float) -> None:
        await found.node.set_input_files([payload], timeout=timeout_ms)

    target = action.target or Target(role="file")
    await scene.use(target, Purpose.ATTACH, action.timeout_ms, act)


async def _payload(action: schema.Upload, scene: Scene) -> FilePayload:
    if action.artifact_id is None:
        name, kind, data = action.file_name or "", "application/octet-stream", action.data
    else:
        file = await scene.session.file(action.artifact_id)
        name, kind, data = action.file_name or file.name, file.content_type, file.data
    return FilePayload(name=name, mimeType=kind, buffer=data)


async def _offering(action: schema.Select, scene: Scene) -> Target:
    """The one list or radio button that offers the options asked for."""
    deadline = scene.clock.monotonic() + action.timeout_ms / 1000
    while True:
        elements = (await scene.look()).elements
        lists = [e for e in elements if e.tag == "select" and _offers(action.options, e)]
        radios = [
            e for e in elements if e.role == "radio" and likeness(action.options[0], e.name) >= GOOD
        ]
        best = lists or (radios if len(action.options) == 1 else [])
        if len(best) == 1:
            element = best[0]
            same = [e for e in elements if (e.role, e.name) == (element.role, element.name)]
            return Target(role=element.role, name=element.name, nth=same.index(element) + 1)
        if scene.clock.monotonic() > deadline:
            wanted = ", ".join(f'"{option}"' for option in action.options)
            if best:
                places = ", ".join(map(str, best))
                raise TaskFailure(
                    Reason.TARGET_AMBIGUOUS, f"{wanted} can be chosen in more than one: {places}"
                )
            raise TaskFailure(Reason.OPTION_NOT_FOUND, f"no list on the page offers {wanted}")
        await scene.clock.sleep(0.1)


def _offers(wanted: list[str], element: Element) -> bool:
    return all(any(likeness(w, o) >= GOOD for o in element.options) for w in wanted)


def _option(wanted: str, element: Element) -> str:
    scores = sorted(
        ((likeness(wanted, option), option) for option in element.options), reverse=True
    )
    if not scores or scores[0][0] < GOOD:
        there = ", ".join(f'"{option}"' for option in element.options[:10])
        raise TaskFailure(
            Reason.OPTION_NOT_FOUND, f'{element} has no option "{wanted}"; it offers {there}'
        )
    if len(scores) > 1 and scores[1][0] == scores[0][0] and scores[1][1] != scores[0][1]:
        raise TaskFailure(
            Reason.TARGET_AMBIGUOUS,
            f'{element} offers both "{scores[0][1]}" and "{scores[1][1]}" for "{wanted}"',
        )
    return scores[0][1]


async def _spelled_out(value: str, scene: Scene) -> str:
    if not any(word in value for word in SECRET_WORDS):
        return value
    if not scene.credential_id:
        raise TaskFailure(Reason.NO_CREDENTIAL, "the task has no credential to type from")
    credential = await scene.codes.credential(scene.credential_id)
    value = value.replace("$credential.username", credential.username)
    return value.replace("$credential.password", scene.hush(credential.password))
