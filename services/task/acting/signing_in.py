"""Signing in: user name and password, then the one-time code or the mailed link if there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import ElementHandle
from playwright.async_api import Error as BrowserError

from libs.hosts import accepts, host_of
from libs.secrets import Secret
from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose
from services.task.ports import Credential, Given, Wanted
from services.task.schema import Target
from services.task.snapshot import Element, Snapshot

from . import forms, links, troubles
from .moving import opened, page_text, squash
from .scene import Found, Scene

LOOK_EVERY_S = 0.1
FORM_APPEARS_S = 10.0
ANSWER_S = 15.0
OLD_REFUSAL_S = 3.0
QUIET_LOOKS = 3
MOST_STAGES = 6
_SUBMIT = """el => el.form?.querySelector(
    'button:not([type=button]):not([type=reset]),input[type=submit],input[type=image]')"""


async def login(action: schema.Login, scene: Scene) -> dict[str, Any]:
    """Sign in and make sure of it; a code is asked for once the site wants one."""
    return await _SignIn(action, scene).run()


async def type_code(action: schema.TypeCode, scene: Scene) -> dict[str, Any]:
    """Type a one-time code into the field that asks for it, and send it."""
    sign_in = _SignIn(action, scene)
    await sign_in.give_code(
        await sign_in.appear(
            lambda form: bool(form.code) or sign_in.is_mailed(form), "one-time code field"
        )
    )
    return sign_in.given


class _SignIn:
    """One sign-in. It goes by what the page shows, so it may start at any stage of it."""

    def __init__(self, action: schema.Login | schema.TypeCode, scene: Scene) -> None:
        self._action = action
        self._scene = scene
        self._credential_id = action.credential_id or scene.credential_id
        self._identifier = action.totp_identifier or ""
        self._success = action.success_text if isinstance(action, schema.Login) else None
        # What the challenge that is under way has given, and what the site said to it.
        self._given: Given | None = None
        self._refused = ""
        self._kind = "code"
        # Challenges whose code or link the site took, by kind.
        self._passed: Counter[str] = Counter()
        self.given: dict[str, Any] = {"one_time_code": False}

    async def run(self) -> dict[str, Any]:
        form = await self._first_form()
        if form is None:
            return {"signed_in": True, **self.given}
        for _ in range(MOST_STAGES):
            if self.is_mailed(form) or (form.code and not form.password):
                form = await self.give_code(form)
            else:
                form = await self._give_password(form)
            if form.is_gone and not self.is_mailed(form):
                return {"signed_in": True, **self.given}
        raise TaskFailure(
            Reason.LOGIN_REJECTED, "the sign-in did not work: the site asks for it again and again"
        )

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

    async def give_code(self, form: forms.Form) -> forms.Form:
        """Type a code, or open the link that came in its place; another one when it is refused."""
        while True:
            given = await self._next_code(form)
            if given.link:
                form, self._refused = await self._follow(given.link)
            else:
                form, self._refused = await self._send(form, given)
            if not self._refused:
                self._accepted(given)
                return form

    async def _send(self, form: forms.Form, given: Given) -> tuple[forms.Form, str]:
        """The form after a code was typed, and what the site says against it."""
        if not form.code:
            form = await self.appear(lambda f: bool(f.code), "one-time code field")
        before = await self._moment()
        await self._type_code(form, self._scene.hush(given.code))
        if await self._still_filled(form.code[-1]):
            await self._submit(form.code[-1])
        form = await self._answered(before, lambda f: bool(f.code))
        if not form.code:
            return form, ""
        return form, form.refusals[0] if form.refusals else "it asks for a code again"

    async def _follow(self, link: Secret) -> tuple[forms.Form, str]:
        """The form after a sign-in link was opened, and what the site says against it."""
        url = link.reveal()
        for secret in links.secrets_of(url):
            self._scene.hush(Secret(secret))
        host = host_of(url)
        if not accepts(self._action.link_hosts, host):
            raise TaskFailure(
                Reason.LINK_NOT_ALLOWED,
                f'the sign-in link leads to "{host}", which is not among link_hosts',
            )
        answer = await opened(schema.Goto(url=url), self._scene)
        if answer is not None and answer.status >= 500:
            why = f"the page of the sign-in link answered {answer.status} {answer.status_text}"
            raise TaskFailure(Reason.PAGE_NOT_LOADED, why)
        if answer is not None and answer.status >= 400:
            return await self._form(), f"the link was answered {answer.status}"
        return await self._landed()

    async def _landed(self) -> tuple[forms.Form, str]:
        """The form of the page that a link has opened, once it is clear what it asks."""
        start, quiet, confirmed = self._scene.clock.monotonic(), 0, False
        while True:
            form, elements = await self._form(), self._snapshot.elements
            is_in = await self._is_in()
            button = None if confirmed else forms.confirmation(elements)
            if form.code or form.password:
                return form, ""
            if (refusals := forms.link_refusals(elements)) and not (self._success and is_in):
                return form, refusals[0]
            if button is not None and not (self._success and is_in):
                confirmed, quiet = True, 0
                await self._press(button)
            elif is_in and (quiet := quiet + 1) > QUIET_LOOKS:
                return form, ""
            elif self._scene.clock.monotonic() - start > ANSWER_S:
                raise TaskFailure(
                    Reason.LOGIN_REJECTED,
                    f'after the sign-in link "{self._success}" did not appear',
                )
            await self._scene.clock.sleep(LOOK_EVERY_S)

    async def _next_code(self, form: forms.Form) -> Given:
        """The first code of a challenge, or another once the site has refused the one before."""
        timeout_s = self._action.timeout_ms / 1000
        if self._given is None:
            self._kind = "code" if form.code else "link"
            # A link would leave a form with a password behind, half filled in.
            hosts = () if form.password else tuple(self._action.link_hosts)
            self._given = await self._scene.codes.code(self._wanted(timeout_s, hosts))
            return self._given
        self._given = await self._scene.codes.another(self._given, timeout_s)
        if self._given is None:
            raise TaskFailure(
                Reason.CODE_REJECTED,
                "the site rejected the one-time code, and those after it too "
                f"({self._quoted(self._refused)})",
            )
        return self._given

    def _wanted(self, timeout_s: float, hosts: tuple[str, ...]) -> Wanted:
        if not self._credential_id and not self._identifier:
            raise TaskFailure(
                Reason.NO_CREDENTIAL,
                "the site asks for a one-time code, but no credential was given",
            )
        # Another agent that takes over here comes to the same id, and so to the same challenge.
        request_id = f"{self._scene.action_key}:{self._kind}{self._passed[self._kind] + 1}"
        return Wanted(self._credential_id, self._identifier, request_id, timeout_s, hosts)

    def _accepted(self, given: Given) -> None:
        """The site took it; what it asks for next is another challenge."""
        self._given, self._refused = None, ""
        self._passed[self._kind] += 1
        self.given["sign_in_link" if given.link else "one_time_code"] = True

    def is_mailed(self, form: forms.Form) -> bool:
        """Whether the page only waits for a link that this login may open."""
        return bool(self._action.link_hosts) and form.awaits_link

    async def _first_form(self) -> forms.Form | None:
        """The login form; None when an interrupted sign-in turns out to have worked."""
        if self._scene.resumed:
            form = await self._form()
            if form.is_gone and not self.is_mailed(form):
                return None
        if self._success and squash(self._success) in squash(await page_text(self._scene)):
            return None
        return await self.appear(
            lambda f: bool(f.password or f.code or f.username) or self.is_mailed(f), "login form"
        )

    async def _give_password(self, form: forms.Form) -> forms.Form:
        action = self._action
        assert isinstance(action, schema.Login)
        credential = await self._credential()
        await self._into(action.username, form.username, credential.username)
        if form.password is None and action.password is None:
            await self._submit(form.username)
            form = await self.appear(
                lambda f: bool(f.password or f.code) or self.is_mailed(f), "password field"
            )
            if form.password is None:
                return form
        secret = self._scene.hush(credential.password)
        await self._into(action.password, form.password, secret)
        given = None
        if form.code:
            given = await self._next_code(form)
            await self._type_code(form, self._scene.hush(given.code))
        before = await self._moment()
        await self._submit(form.password)
        form = await self._answered(before, lambda f: f.password is not None)
        self._judge(form, given)
        return form

    def _judge(self, form: forms.Form, given: Given | None) -> None:
        """What has come of a password, and of a code that was typed beside it."""
        said = form.refusals[0] if form.refusals else ""
        if form.password is not None and not form.code:
            why = self._quoted(said) if said else "the login form is still there"
            raise TaskFailure(
                Reason.LOGIN_REJECTED, f"the site did not accept the user name and password: {why}"
            )
        if given is not None and form.code:
            self._refused = said or "it asks for a code again"
        elif given is not None:
            self._accepted(given)

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
            elif form.code or form.password or self.is_mailed(form):
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
            if own is None and named is not None:
                await self._press(named)
                return
            async with self._scene.settling():
                if own is not None:
                    await own.click(timeout=schema.ACTION_TIMEOUT_MS)
                else:
                    await node.press("Enter", timeout=schema.ACTION_TIMEOUT_MS)

        if field is not None:
            await self._on(field, send)
            return
        async with self._scene.settling():
            await self._scene.page.keyboard.press("Enter")

    async def _press(self, button: Element) -> None:
        async def click(node: ElementHandle) -> None:
            async with self._scene.settling():
                await node.click(timeout=schema.ACTION_TIMEOUT_MS)

        await self._on(button, click, Purpose.POINT)

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

    async def _on(
        self,
        element: Element,
        act: Callable[[ElementHandle], Awaitable[None]],
        purpose: Purpose = Purpose.TYPE,
    ) -> None:
        try:
            await act(await self._snapshot.handle(element))
        except BrowserError as error:
            raise troubles.explained(error, element, purpose) from error

    async def _credential(self) -> Credential:
        if not self._credential_id:
            raise TaskFailure(Reason.NO_CREDENTIAL, "the login needs a credential_id")
        return await self._scene.codes.credential(self._credential_id)

    def _quoted(self, said: str) -> str:
        return f'"{self._scene.scrub(said)}"'
