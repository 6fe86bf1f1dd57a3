"""goto_url: opens a page."""

from __future__ import annotations

from .contract import BrowserBlock, Params, TaskOrder, Url


class GotoUrlParams(Params):
    """Parameters of goto_url."""

    url: Url


class GotoUrl(BrowserBlock):
    """Opens a page and waits until its content can be read."""

    kind = "goto_url"
    summary = "Opens a page and waits until its content can be read."
    Params = GotoUrlParams
    default_timeout_s = 60.0

    def order(self, params: GotoUrlParams) -> TaskOrder:
        """A task with nothing but an address."""
        return TaskOrder(url=params.url)
