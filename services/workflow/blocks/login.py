"""login: signs in with a stored credential."""

from __future__ import annotations

from pydantic import Field

from .contract import BrowserBlock, Hosts, Params, TaskOrder, Text, Url, Words


class LoginParams(Params):
    """Parameters of login. The credential is an id or a name, never the secret itself."""

    credential_id: Words
    url: Url | None = None
    totp_identifier: Text = ""
    success_text: Text = ""
    # Hosts whose sign-in links are opened when the site mails one in place of a code.
    link_hosts: Hosts = Field(default=[])


class Login(BrowserBlock):
    """Signs in with user name, password and, if the site asks, a code or a mailed link."""

    kind = "login"
    summary = "Signs in with a stored credential, one-time code included."
    Params = LoginParams

    def order(self, params: LoginParams) -> TaskOrder:
        """A task with a login, after opening the page if one is given."""
        login = {
            "credential_id": params.credential_id,
            "totp_identifier": params.totp_identifier,
            "success_text": params.success_text,
            "link_hosts": params.link_hosts,
        }
        return TaskOrder(url=params.url or "", login=login)
