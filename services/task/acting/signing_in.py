"""Signing in: user name and password, then the one-time code when the site asks for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import ElementHandle
from playwright.async_api import Error as BrowserError

from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose
from services.task.ports import Credential
from services.task.schema import Target
from services.task.snapshot import Element, Snapshot

from . import forms, troubles
from .moving import page_text, squash
from .scene import Found, Scene

LOOK_EVERY_S = 0.1
FORM_APPEARS_S = 10.0
ANSWER_S = 15.0
OLD_REFUSAL_S = 3.0
CODE_ATTEMPTS = 2
_SUBMIT = """el => el.form?.querySelector(
    'button:not([type=button]):not([type=reset]),input[type=submit],input[type=image]')"""


async def login(action: schema.Login, scene: Scene) -> dict[str, Any]:
    """Sign in and make sure of it; a code is asked for once the site wants one."""
    return await _SignIn(action, scene).run()


async def type_code(action: schema.TypeCode, scene: Scene) -> dict[str, Any]:
    """Type a one-time code into the field that asks for it, and send it."""
    sign_in = _SignIn(action, scene)
    await sign_in.give_code(
        await sign_in.appear(lambda form: bool(form.code), "one-time code field")
    )
    return {"one_time_code": True}


class _SignIn:
    """One sign-in. It goes by what the page shows, so it may start at any stage of it."""

    def __init__(self, action: schema.Login | schema.TypeCode, scene: Scene) -> None:
        self._action = action
        self._scene = scene
        self._credential_id = action.credential_id or scene.credential_id
        self._identifier = action.totp_identifier or ""
        self._success = action.success_text if isinstance(action, schema.Login) else None

    async def run(self) -> dict[str, Any]:
        form = await self._first_form()
        if form is None:
            return {"signed_in": True, "one_time_code": False}
        if not form.code or form.password:
            form = await self._give_password(form)
        if asked := bool(form.code):
            await self.give_code(form)
        return {"signed_in": True, "one_time_code": asked}

    async def appear(self, wanted: Callable[[forms.Form], bool], what: str) -> forms.Form:
        """Wait for a part of the login to show."""
        deadline = self._scene.clock.monotonic() + FORM_APPEARS_S
        while True:
            form = await self._form()
            if wanted(form):
                return form
            if self._scene.clock.monotonic() > deadline:
                raise TaskFailure(
                    Reason.LOGIN_FIELDS_NOT_FOUND,
                    f"found no {what} on the page {troubles.shown(self._scene.page.url)}",
                )
            await self._scene.clock.sleep(LOOK_EVERY_S)

    async def give_code(self, form: forms.Form) -> None:
        """Type a code; when the site refuses it, one more, and then no more."""
        refused = ""
        for attempt in range(1, CODE_ATTEMPTS + 1):
            code = await self._code(attempt)
            before = await self._moment()
            await self._type_code(form, code)
            if await self._still_filled(form.code[-1]):
                await self._submit(form.code[-1])
            form = await self._answered(before, lambda f: bool(f.code))
            if not form.code:
                return
            refused = form.refusals[0] if form.refusals else "it asks for a code again"
        raise TaskFailure(
            Reason.CODE_REJECTED,
            f"the site rejected the one-time code, and a second one too ({self._quoted(refused)})",
        )

    async def _first_form(self) -> forms.Form | None:
        """The login form; None when an interrupted sign-in turns out to have worked."""
        if self._scene.resumed and (await self._form()).is_gone:
            return None
        if self._success and squash(self._success) in squash(await page_text(self._scene)):
            return None
        return await self.appear(lambda f: bool(f.password or f.code or f.username), "login form")

    async def _give_password(self, form: forms.Form) -> forms.Form:
        assert isinstance(self._action, schema.Login)
        credential = await self._credential()
        await self._into(self._action.username, form.username, credential.username)
        if form.password is None and self._action.password is None:
            await self._submit(form.username)
            form = await self.appear(lambda f: bool(f.password), "password field")
        secret = self._scene.hush(credential.password)
        await self._into(self._action.password, form.password, secret)
        if form.code:
            await self._type_code(form, await self._code(1))
        before = await self._moment()
        await self._submit(form.password)
        form = await self._answered(before, lambda f: f.password is not None)
        if form.password is not None and not form.code:
            why = (
                self._quoted(form.refusals[0]) if form.refusals else "the login form is still there"
            )
            raise TaskFailure(
                Reason.LOGIN_REJECTED, f"the site did not accept the user name and password: {why}"
            )
        return form

    async def _answered(
        self, before: tuple[float, tuple[str, ...]], asks: Callable[[forms.Form], bool]
    ) -> forms.Form:
        """The form after the site has answered what was sent: gone, another one, or a refusal."""
        start = self._scene.clock.monotonic()
        settled = False
        while True:
            form = await self._form()
            waited = self._scene.clock.monotonic() - start
            fresh = (await self._moment())[0] != before[0]
            new = [
                r for r in form.refusals if fresh or waited > OLD_REFUSAL_S or r not in before[1]
            ]
            if asks(form):
                if new or (fresh and waited > OLD_REFUSAL_S) or waited > ANSWER_S:
                    return form
            elif form.code or form.password:
                return form
            elif await self._is_in():
                if settled:
                    return form
                settled = True
            elif new or waited > ANSWER_S:
                why = self._quoted(new[0]) if new else f'"{self._success}" did not appear'
                raise TaskFailure(Reason.LOGIN_REJECTED, f"the sign-in did not work: {why}")
            await self._scene.clock.sleep(LOOK_EVERY_S / 2)

    async def _is_in(self) -> bool:
        return not self._success or squash(self._success) in squash(await page_text(self._scene))

    async def _form(self) -> forms.Form:
        self._snapshot: Snapshot = await self._scene.look()
        return forms.read(self._snapshot.elements)

    async def _moment(self) -> tuple[float, tuple[str, ...]]:
        """Which document this is, and what it complains of already."""
        for _ in range(20):
            try:
                origin = await self._scene.page.evaluate("() => performance.timeOrigin")
                return origin, forms.refusals(self._snapshot.elements)
            except BrowserError as error:
                if not troubles.is_passing(error):
                    raise
                await self._scene.clock.sleep(LOOK_EVERY_S)
        return 0.0, ()

    async def _into(self, target: Target | None, found: Element | None, text: str) -> None:
        """Type into the field the caller named, else into the one that was recognised."""
        if target is not None:

            async def write(there: Found, timeout_ms: float) -> None:
                await there.node.fill(text, timeout=timeout_ms)

            await self._scene.use(target, Purpose.TYPE, schema.ACTION_TIMEOUT_MS, write)
        elif found is not None:
            await self._type(found, text)

    async def _type(self, element: Element, text: str) -> None:
        async def write(node: ElementHandle) -> None:
            await node.fill(text, timeout=schema.ACTION_TIMEOUT_MS)

        await self._on(element, write)

    async def _type_code(self, form: forms.Form, code: str) -> None:
        if len(form.code) == 1:
            await self._type(form.code[0], code)
            return
        for element, digit in zip(form.code, code, strict=False):
            await self._type(element, digit)

    async def _submit(self, field: Element | None) -> None:
        """Send the form of a field: by its own button, by one that says so, or by Enter."""
        buttons = [e for e in self._snapshot.elements if e.role == "button"]
        named = next((e for e in buttons if forms.SUBMIT_WORDS.match(e.name)), None)

        async def send(node: ElementHandle) -> None:
            own = (await node.evaluate_handle(_SUBMIT)).as_element()
            async with self._scene.settling():
                if own is not None:
                    await own.click(timeout=schema.ACTION_TIMEOUT_MS)
                elif named is not None:
                    button = await self._snapshot.handle(named)
                    await button.click(timeout=schema.ACTION_TIMEOUT_MS)
                else:
                    await node.press("Enter", timeout=schema.ACTION_TIMEOUT_MS)

        if field is not None:
            await self._on(field, send)
            return
        async with self._scene.settling():
            await self._scene.page.keyboard.press("Enter")

    async def _still_filled(self, field: Element) -> bool:
        """Whether the code still waits to be sent: some forms send themselves at the last digit."""
        async with self._scene.settling():
            await self._scene.clock.sleep(0.02)
        try:
            node = await self._snapshot.handle(field)
            return bool(
                await node.evaluate("el => el.isConnected && !el.disabled && el.value !== ''")
            )
        except BrowserError as error:
            if troubles.is_detached(error):
                return False
            raise

    async def _on(self, element: Element, act: Callable[[ElementHandle], Awaitable[None]]) -> None:
        try:
            await act(await self._snapshot.handle(element))
        except BrowserError as error:
            raise troubles.explained(error, element, Purpose.TYPE) from error

    async def _credential(self) -> Credential:
        if not self._credential_id:
            raise TaskFailure(Reason.NO_CREDENTIAL, "the login needs a credential_id")
        return await self._scene.codes.credential(self._credential_id)

    async def _code(self, attempt: int) -> str:
        if not self._credential_id and not self._identifier:
            raise TaskFailure(
                Reason.NO_CREDENTIAL,
                "the site asks for a one-time code, but no credential was given",
            )
        code = await self._scene.codes.code(
            self._credential_id,
            self._identifier,
            f"{self._scene.action_key}:{attempt}",
            self._action.timeout_ms / 1000,
        )
        return self._scene.hush(code)

    def _quoted(self, said: str) -> str:
        return f'"{self._scene.scrub(said)}"'
