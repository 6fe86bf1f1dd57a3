"""The typed shape of every action: one model per kind, shared by callers and both planners.

Nothing here touches a page. `actions.py` pairs each model with the code that performs it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

ACTION_TIMEOUT_MS = 10_000
PAGE_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 600_000


def _as_text(value: Any) -> Any:
    """A YAML author who writes `value: 42` means the text 42, and a Struct turns it into 42.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if float(value).is_integer() else str(value)


def _as_target(value: Any) -> Any:
    return {"words": value} if isinstance(value, str) else value


def _http_url(value: Any) -> Any:
    if isinstance(value, str) and not re.match(r"https?://[^\s/]", value, re.IGNORECASE):
        raise ValueError("must be an http:// or https:// URL")
    return value


Text = Annotated[str, BeforeValidator(_as_text), Field(max_length=20_000)]
Words = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=500)]
Url = Annotated[str, BeforeValidator(_http_url), Field(max_length=8_000)]


class Strict(BaseModel):
    """A model that refuses fields it does not know and cannot be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Target(Strict):
    """Which element is meant: by what a person sees, or by selector when nothing else works.

    All fields given must match. `words` is what a plain string becomes: it is tried as role and
    name, then label, then placeholder, then text. `nth` counts from 1; -1 is the last.
    """

    role: Words | None = None
    name: Words | None = None
    label: Words | None = None
    text: Words | None = None
    placeholder: Words | None = None
    selector: Words | None = None
    words: Words | None = None
    nth: int | None = Field(default=None, ge=-1, le=1000)

    @model_validator(mode="after")
    def _says_something(self) -> Target:
        if not any(getattr(self, field) for field in TARGET_FIELDS):
            raise ValueError(f"needs at least one of {', '.join(TARGET_FIELDS[:-1])}")
        if self.nth == 0:
            raise ValueError("nth counts from 1; -1 is the last one")
        return self

    def __str__(self) -> str:
        if self.words:
            said = f'"{self.words}"'
        else:
            parts = [(f, getattr(self, f)) for f in TARGET_FIELDS if getattr(self, f)]
            said = ", ".join(f'{field} "{value}"' for field, value in parts)
        return said if self.nth is None else f"{said} (nth {self.nth})"


TARGET_FIELDS = ("role", "name", "label", "text", "placeholder", "selector", "words")
Where = Annotated[Target, BeforeValidator(_as_target)]


class Step(Strict):
    """What all actions share."""

    timeout_ms: int = Field(default=ACTION_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)


class Goto(Step):
    """Open an address."""

    kind: Literal["goto"] = "goto"
    url: Url
    timeout_ms: int = Field(default=PAGE_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)


class GoBack(Step):
    """Go back one page in the history."""

    kind: Literal["go_back"] = "go_back"


class Reload(Step):
    """Load the page again."""

    kind: Literal["reload"] = "reload"
    timeout_ms: int = Field(default=PAGE_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)


class Click(Step):
    """Click an element; a question the page asks in answer is declined unless `accept_dialog`."""

    kind: Literal["click"] = "click"
    target: Where
    accept_dialog: bool = False
    count: int = Field(default=1, ge=1, le=3)
    button: Literal["left", "right", "middle"] = "left"


class Hover(Step):
    """Move the pointer over an element."""

    kind: Literal["hover"] = "hover"
    target: Where


class Fill(Step):
    """Replace what a field holds; `$credential.username` and `.password` are typed for real."""

    kind: Literal["fill"] = "fill"
    target: Where
    value: Text
    submit: bool = False


class Select(Step):
    """Choose options of a list or a radio group; without a target, the one that offers them."""

    kind: Literal["select"] = "select"
    target: Where | None = None
    options: list[Words] = Field(min_length=1, max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _one_option(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "option" in raw and "options" not in raw:
            rest = {key: value for key, value in raw.items() if key != "option"}
            return {**rest, "options": [raw["option"]]}
        return raw


class Check(Step):
    """Make sure a checkbox, switch or radio button is on."""

    kind: Literal["check"] = "check"
    target: Where


class Uncheck(Step):
    """Make sure a checkbox or switch is off."""

    kind: Literal["uncheck"] = "uncheck"
    target: Where


class Press(Step):
    """Press a key or a combination such as Control+A, in an element or where the focus is."""

    kind: Literal["press"] = "press"
    key: Words
    target: Where | None = None


ARTIFACT_ID = r"^art_[0-9a-z]{26}$"


class Upload(Step):
    """Put a file into a file field: an artifact by its id, or content as text or as base64."""

    kind: Literal["upload"] = "upload"
    target: Where | None = None
    file_name: Words | None = None
    content: Annotated[str, Field(max_length=700_000)] | None = None
    content_base64: Annotated[str, Field(max_length=700_000)] | None = None
    artifact_id: Annotated[str, Field(pattern=ARTIFACT_ID)] | None = None

    @model_validator(mode="after")
    def _one_content(self) -> Upload:
        given = (self.content, self.content_base64, self.artifact_id)
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs exactly one of content, content_base64, artifact_id")
        if self.content_base64 is not None:
            try:
                base64.b64decode(self.content_base64, validate=True)
            except binascii.Error as error:
                raise ValueError("content_base64 is not base64") from error
        if self.file_name is None:
            if self.artifact_id is None:
                raise ValueError("needs a file_name with content")
        elif re.search(r"[/\\\0]", self.file_name):
            raise ValueError("file_name must not contain a path")
        return self

    @property
    def data(self) -> bytes:
        """The bytes of the file, when they are in the action."""
        if self.content is not None:
            return self.content.encode()
        return base64.b64decode(self.content_base64 or "")


class WaitFor(Step):
    """Wait for an element, a text (there or gone), an address, or some seconds."""

    kind: Literal["wait_for"] = "wait_for"
    target: Where | None = None
    text: Words | None = None
    url: Words | None = None
    seconds: float | None = Field(default=None, gt=0, le=600)
    gone: bool = False
    timeout_ms: int = Field(default=PAGE_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)

    @model_validator(mode="after")
    def _one_condition(self) -> WaitFor:
        given = [f for f in ("target", "text", "url", "seconds") if getattr(self, f) is not None]
        if len(given) != 1:
            raise ValueError("needs exactly one of target, text, url, seconds")
        return self


class Scroll(Step):
    """Bring an element into view, or scroll the page."""

    kind: Literal["scroll"] = "scroll"
    target: Where | None = None
    direction: Literal["up", "down", "top", "bottom"] = "down"


class Extract(Step):
    """Read data off the page in the shape of a JSON schema."""

    kind: Literal["extract"] = "extract"
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    instruction: Text = ""


Host = Annotated[str, Field(pattern=r"^[^\s/:@?#]*[^\s/:@?#.]$", max_length=253)]
LinkHosts = Annotated[list[Host], Field(max_length=20)]


class Login(Step):
    """Sign in with a stored credential, one-time code or mailed sign-in link included."""

    kind: Literal["login"] = "login"
    credential_id: Words | None = None
    totp_identifier: Words | None = None
    success_text: Words | None = None
    link_hosts: LinkHosts = []
    username: Where | None = None
    password: Where | None = None
    timeout_ms: int = Field(default=120_000, ge=1, le=MAX_TIMEOUT_MS)


class TypeCode(Step):
    """Obtain a one-time code and type it into the field that asks for it."""

    kind: Literal["type_code"] = "type_code"
    credential_id: Words | None = None
    totp_identifier: Words | None = None
    link_hosts: LinkHosts = []
    target: Where | None = None
    timeout_ms: int = Field(default=120_000, ge=1, le=MAX_TIMEOUT_MS)


class Download(Step):
    """Click something that starts a download, or open its address, and keep the file."""

    kind: Literal["download"] = "download"
    target: Where | None = None
    url: Url | None = None
    timeout_ms: int = Field(default=60_000, ge=1, le=MAX_TIMEOUT_MS)

    @model_validator(mode="after")
    def _one_trigger(self) -> Download:
        if (self.target is None) == (self.url is None):
            raise ValueError("needs either target or url")
        return self


class Screenshot(Step):
    """Keep a picture of the page."""

    kind: Literal["screenshot"] = "screenshot"
    name: Words | None = None
    full_page: bool = False


class ReportInfeasible(Step):
    """Say that the goal cannot be reached, and why."""

    kind: Literal["report_infeasible"] = "report_infeasible"
    reason: Words


class Finish(Step):
    """Say that the goal is reached, with an answer if one was asked for."""

    kind: Literal["finish"] = "finish"
    answer: Text = ""
