"""A page that tries every way out of a browser, and a listener that hears whoever comes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.serving import served

WAYS = """
const target = location.search.slice(1);
const http = `http://${target}`, tries = [];
const say = (name, work) => tries.push((async () => {
  try { await Promise.race([work(), new Promise(done => setTimeout(done, 3000))]); } catch {}
  return name;
})());
const add = (tag, fields) => new Promise(done => {
  const it = Object.assign(document.createElement(tag), fields, {onload: done, onerror: done});
  document.body.append(it);
});
say('fetch', () => fetch(`${http}/fetch`, {mode: 'no-cors'}));
say('post', () => fetch(`${http}/post`, {mode: 'no-cors', method: 'POST', body: 'x'}));
say('xhr', () => new Promise(done => {
  const xhr = new XMLHttpRequest(); xhr.onloadend = done;
  xhr.open('GET', `${http}/xhr`); xhr.send();
}));
say('redirect', () => fetch(`/redirect?${http}/redirected`, {mode: 'no-cors'}));
say('img', () => add('img', {src: `${http}/img`}));
say('script', () => add('script', {src: `${http}/script`}));
say('style', () => add('link', {rel: 'stylesheet', href: `${http}/style`}));
say('preload', () => add('link', {rel: 'prefetch', href: `${http}/prefetch`}));
say('preconnect', () => add('link', {rel: 'preconnect', href: http}));
say('iframe', () => add('iframe', {src: `${http}/iframe`}));
say('frame redirect', () => add('iframe', {src: `/redirect?${http}/frame-redirected`}));
say('object', () => add('object', {data: `${http}/object`}));
say('video', () => new Promise(done => {
  const it = document.createElement('video'); it.onerror = done; it.src = `${http}/video`;
  document.body.append(it);
}));
say('websocket', () => new Promise(done => {
  const ws = new WebSocket(`ws://${target}/ws`); ws.onclose = done; ws.onerror = done;
}));
say('eventsource', () => new Promise(done => {
  const es = new EventSource(`${http}/events`); es.onerror = () => { es.close(); done(); };
}));
say('beacon', async () => navigator.sendBeacon(`${http}/beacon`, 'x'));
say('worker', () => new Promise(done => {
  const code = `fetch('${http}/worker', {mode: 'no-cors'}).finally(() => postMessage(1))`;
  const it = new Worker(URL.createObjectURL(new Blob([code]))); it.onmessage = done;
}));
say('tls', () => fetch(`https://${target}/tls`, {mode: 'no-cors'}));
say('download', () => new Promise(done => {
  const it = Object.assign(document.createElement('a'), {
    href: `${http}/download`, download: 'x', target: '_blank'});
  document.body.append(it); it.click(); setTimeout(done, 500);
}));
say('popup', async () => window.open(`${http}/popup`));
say('form', () => new Promise(done => {
  const it = Object.assign(document.createElement('form'), {
    action: `${http}/form`, method: 'post', target: '_blank'});
  document.body.append(it); it.submit(); setTimeout(done, 500);
}));
say('webrtc', async () => {
  const [udp, user] = [__UDP__, {username: 'a', credential: 'b'}];
  const pc = new RTCPeerConnection({iceServers: [
    {urls: `stun:127.0.0.1:${udp}`}, {urls: `turn:127.0.0.1:${udp}?transport=udp`, ...user},
    {urls: `turn:${target}?transport=tcp`, ...user}]});
  pc.createDataChannel('x');
  await pc.setLocalDescription(await pc.createOffer());
  await new Promise(done => setTimeout(done, 1500));
});
say('webtransport', async () => {
  const it = new WebTransport(`https://127.0.0.1:${__UDP__}/`); await it.ready;
});
window.result = Promise.all(tries);
"""


@dataclass
class World:
    """The page's own site, and the place it must not reach."""

    site: str
    forbidden_port: int
    reached: list[str] = field(default_factory=list)
    datagrams: list[int] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port of the page's own site."""
        return int(self.site.rpartition(":")[2])

    def page(self, host: str = "127.0.0.1") -> str:
        """The address of the page that tries to reach the forbidden place by this name."""
        return f"{self.site}/?{host}:{self.forbidden_port}"


class _Ears(asyncio.DatagramProtocol):
    def __init__(self, heard: list[int]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._heard.append(len(data))


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Serves the page, and listens at the forbidden place by TCP and UDP."""
    reached: list[str] = []
    datagrams: list[int] = []

    async def forbidden(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.read(2000)).partition(b"\r\n")[0]
        reached.append(first.decode("latin-1") or "connected")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    listener = await asyncio.start_server(forbidden, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(
        lambda: _Ears(datagrams), local_addr=("127.0.0.1", 0)
    )
    script = WAYS.replace("__UDP__", str(udp.get_extra_info("sockname")[1]))

    async def page(request: web.Request) -> web.Response:
        body = f"<title>out</title><body><script>{script}</script>"
        return web.Response(text=body, content_type="text/html")

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": request.query_string})

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/redirect", redirect)
    try:
        async with served(app) as site:
            port = listener.sockets[0].getsockname()[1]
            yield World(site, port, reached, datagrams)
    finally:
        udp.close()
        listener.close()
