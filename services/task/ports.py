"""What the hands need from the world besides the page: the session, credentials and codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from libs.secrets import Secret


@dataclass(frozen=True)
class Artifact:
    """A file kept by browser_session."""

    artifact_id: str
    kind: str
    name: str = ""
    size_bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class File:
    """The bytes of an artifact."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Credential:
    """What is typed into a login form."""

    username: str
    password: Secret
    has_totp: bool


@dataclass(frozen=True)
class Wanted:
    """A one-time code that a site asks for; the same `request_id` is the same wait for it."""

    credential_id: str
    identifier: str
    request_id: str
    timeout_s: float
    # Hosts whose sign-in links may come in place of a code.
    link_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What came of a wait: a code, or a sign-in link in its place (then the code is empty)."""

    challenge_id: str
    code: Secret
    link: Secret


class Session(Protocol):
    """The browser session the page lives in."""

    async def screenshot(self, name: str, *, full_page: bool) -> Artifact:
        """Take a picture of the page."""
        ...

    async def download(self, trigger: Callable[[], Awaitable[None]], timeout_s: float) -> Artifact:
        """Run `trigger` and wait for the file it makes the page download."""
        ...

    async def file(self, artifact_id: str) -> File:
        """The bytes of an artifact of the same organisation."""
        ...


class Codes(Protocol):
    """Where credentials and one-time codes come from."""

    async def credential(self, credential_id: str) -> Credential:
        """Look a credential up at the moment it is typed."""
        ...

    async def code(self, wanted: Wanted) -> Given:
        """Wait for a one-time code; asked again, the same one until the site has refused it."""
        ...

    async def another(self, refused: Given, timeout_s: float) -> Given | None:
        """Say that the site refused a code and wait for the next; None when that was the last."""
        ...


class Reader(Protocol):
    """Reads data off text when the rules cannot; there is one only if a model is configured."""

    async def read(self, schema: dict[str, Any], instruction: str, text: str) -> Any:
        """The data in the shape of the schema, not validated."""
        ...
