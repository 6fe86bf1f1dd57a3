"""Who is at the other end of a TLS connection, and whose call it brings.

A service is called by Envoy alone, and Envoy says whose certificate it was shown. So a part that
was taken over can neither go past Envoy's policy nor speak with the token of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs import errors
from libs.rpc import spiffe
from libs.rpc.certificates import Certificates


@dataclass(frozen=True)
class Peers:
    """What certificates have to say in one environment."""

    environment: str = ""

    def check_is_envoy(self, grpc_context: Any) -> None:
        """Refuse a connection that did not come through Envoy."""
        shown = grpc_context.auth_context().get("peer_uri", ())
        envoy = spiffe.uri(spiffe.ENVOY, self.environment)
        if list(shown) != [envoy.encode()]:
            raise errors.PermissionDenied(
                f"only {envoy} may connect to a service", reason="NOT_THROUGH_ENVOY"
            )

    def check_certified(self, metadata: Mapping[str, str], caller: str) -> None:
        """Refuse a caller whose token says another name than its certificate."""
        certified = metadata.get(spiffe.CERTIFIED_CALLER, "")
        if certified != spiffe.uri(caller, self.environment):
            raise errors.Unauthenticated(
                f"the token of {caller} came with the certificate of {certified or 'nobody'}",
                reason="CERTIFICATE_OF_ANOTHER",
            )


def peers_of(certificates: Certificates | None) -> Peers | None:
    """What a server asks of those who connect; None where there is no TLS."""
    return Peers(certificates.environment) if certificates else None
