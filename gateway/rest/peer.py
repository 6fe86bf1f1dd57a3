"""The REST door over TCP: mutual TLS, and whoever connects must be Envoy."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.rpc import https, spiffe
from libs.rpc.certificates import Certificates, is_local

log = logging.getLogger(__name__)


def transport_of(address: str, certificates: Certificates | None) -> dict[str, Any]:
    """What uvicorn is told about the connections at an address."""
    if certificates is None or is_local(address):
        return {"http": "httptools"}
    envoy = spiffe.uri(spiffe.ENVOY, certificates.environment)

    class FromEnvoy(HttpToolsProtocol):
        """Ends the connection of whoever is not Envoy before a request is read."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Look at the certificate that was shown."""
            super().connection_made(transport)
            if (shown := https.shown_by(transport)) != [envoy]:
                log.warning("refused a connection that is not Envoy's: %s", shown)
                transport.abort()

    return {
        "http": FromEnvoy,
        "ssl_context_factory": lambda _config, _default: https.server_context(certificates),
    }
