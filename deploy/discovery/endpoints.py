"""Which endpoints each of Envoy's clusters has, from what the registry says and last said.

Static stability: while nobody can say who lives, everybody who lived stays. A registry that was
away or has started anew knows only who has registered since, so for a while nobody is removed; and
the last endpoint of a cluster never is, for Envoy's own checks know better than an empty list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from deploy.envoy.governing import canary_of
from deploy.envoy.routes import GATEWAY_GRPC, GATEWAY_HTTP
from libs.registry import CANARY, TTL_S, Listing, Replica

GATEWAY = "gateway"
# After this everybody who lives has registered again.
DOUBT_S = TTL_S + 1.0


class Endpoints:
    """The endpoints of every cluster, as they were last published."""

    def __init__(self, known: Mapping[str, Iterable[str]]) -> None:
        self.clusters = {name: tuple(targets) for name, targets in known.items()}
        # Where no canary is left, the stable replicas answer.
        self._canaries = {canary_of(name) for name in self.clusters}
        self._run_id = ""
        self._doubt_until = math.inf

    def doubt(self) -> None:
        """The registry does not answer: what is known stays."""
        self._doubt_until = math.inf

    def take(self, listing: Listing, now: float) -> list[str]:
        """Takes over what the registry says; answers the clusters that have changed."""
        if listing.run_id != self._run_id or self._doubt_until == math.inf:
            self._run_id = listing.run_id
            self._doubt_until = now + DOUBT_S
        found = self._found(listing.replicas)
        changed = []
        for name, before in self.clusters.items():
            last = not found[name] and name not in self._canaries
            kept = before if now < self._doubt_until or last else ()
            after = tuple(sorted({*found[name], *kept}))
            if after != before:
                self.clusters[name] = after
                changed.append(name)
        return changed

    def _found(self, replicas: Iterable[Replica]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {name: set() for name in self.clusters}
        for each in replicas:
            for name, address in self._places(each):
                if name in found:
                    found[name].add(address)
        return found

    def _places(self, replica: Replica) -> Iterable[tuple[str, str]]:
        if replica.service == GATEWAY:
            return [(GATEWAY_GRPC, replica.address), (GATEWAY_HTTP, replica.http_address)]
        canary = canary_of(replica.service)
        # Where the values file names no canary of a service, one is a replica like the others.
        tried = replica.stage == CANARY and canary in self.clusters
        return [(canary if tried else replica.service, replica.address)]
