"""Looking at a session from any replica: the pictures that its owner's live view sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import orjson

from libs import errors
from libs.secrets import Secret
from services.browser_session.view.screencast import Picture


async def pictures(
    http: aiohttp.ClientSession, cdp_url: str, token: Secret, per_second: int
) -> AsyncGenerator[Picture, None]:
    """The pictures of a session until it ends; Unavailable when its replica does not answer.

    Its owner leaves out those that follow too soon, so that none grows old on the way.
    """
    headers = {"authorization": f"Bearer {token.reveal()}"}
    try:
        socket = await http.ws_connect(
            f"{cdp_url}/live?per_second={per_second}", headers=headers, compress=0
        )
    except (aiohttp.ClientError, OSError) as reason:
        raise errors.Unavailable(
            "the browser of this session cannot be reached", retry_after_s=1.0
        ) from reason
    async with socket:
        about = {"width": 0, "height": 0, "url": "", "title": ""}
        number = 0
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                told = orjson.loads(frame.data)
                if told["type"] == "page":
                    about = {key: told[key] for key in about}
            elif frame.type is aiohttp.WSMsgType.BINARY:
                number += 1
                yield Picture(number, frame.data, **about)
