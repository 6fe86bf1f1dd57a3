"""The kinds of block: one file and one line each."""

from __future__ import annotations

from .action import ActionBlock
from .conditional import Conditional
from .contract import Block
from .extraction import Extraction
from .file_download import FileDownload
from .for_loop import ForLoop
from .goto_url import GotoUrl
from .http_request import HttpRequest
from .login import Login
from .screenshot import Screenshot
from .task import Task
from .wait import Wait

BLOCKS: dict[str, Block] = {
    block.kind: block
    for block in (
        ActionBlock(),
        Conditional(),
        Extraction(),
        FileDownload(),
        ForLoop(),
        GotoUrl(),
        HttpRequest(),
        Login(),
        Screenshot(),
        Task(),
        Wait(),
    )
}
