"""Mutual TLS on Envoy's side, and the interaction matrix as its policy.

Certificates come by SDS from files: when the folder they are in changes, Envoy takes up what is new
for the connections to come, and ends none that is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.envoy.methods import Method
from libs.rpc import spiffe

SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
IDENTITY, TRUSTED = "identity", "trusted"
# After this long a connection is ended in good order and made anew, so that nobody goes on for ever
# by a certificate that has run out meanwhile. A stream that is open is waited for.
LONGEST_CONNECTION = "3600s"
HTTP_2, HTTP_1 = "h2", "http/1.1"


@dataclass(frozen=True)
class Tls:
    """Where Envoy finds its files, and which environment it belongs to."""

    folder: str  # tls.crt, tls.key, ca.crt: its own certificate and whom it trusts
    secrets: str  # folder of the files that `secrets` answers
    environment: str = ""

    def downstream(self, callers: Iterable[str]) -> dict:
        """For a listener: a certificate is asked for, and must be one of these parts'."""
        context = self._context(callers, HTTP_2)
        return _socket("DownstreamTlsContext", require_client_certificate=True, **context)

    def upstream(self, part: str, protocol: str = HTTP_2) -> dict:
        """For a cluster: whoever answers must be this part."""
        name = spiffe.dns_name(part, self.environment)
        return _socket("UpstreamTlsContext", sni=name, **self._context([part], protocol))

    def _context(self, parts: Iterable[str], protocol: str) -> dict:
        names = [
            {"san_type": "URI", "matcher": {"exact": spiffe.uri(part, self.environment)}}
            for part in parts
        ]
        return {
            "common_tls_context": {
                "alpn_protocols": [protocol],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [self._by_file(IDENTITY)],
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": names},
                    "validation_context_sds_secret_config": self._by_file(TRUSTED),
                },
            }
        }

    def _by_file(self, name: str) -> dict:
        where = {"path": f"{self.secrets}/{name}.json"}
        return {
            "name": name,
            "sds_config": {"resource_api_version": "V3", "path_config_source": where},
        }


def secrets(plan: Tls) -> dict[str, dict]:
    """The files that tell Envoy by SDS where its certificate is, by name."""

    def file(name: str) -> dict:
        return {"filename": f"{plan.folder}/{name}"}

    watched = {"watched_directory": {"path": plan.folder}}
    pair = {"certificate_chain": file("tls.crt"), "private_key": file("tls.key")}
    return {
        f"{IDENTITY}.json": _secret(IDENTITY, tls_certificate=pair | watched),
        f"{TRUSTED}.json": _secret(
            TRUSTED, validation_context={"trusted_ca": file("ca.crt")} | watched
        ),
    }


def matrix(methods: Iterable[Method], environment: str) -> dict:
    """Who may call what, as Envoy enforces it: what is not here is denied."""
    by_callers: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for method in methods:
        by_callers[method.callers].append(method.path)
    policies = {
        "+".join(callers): _policy(callers, paths, environment)
        for callers, paths in sorted(by_callers.items())
    }
    return {"@type": RBAC, "rules": {"action": "ALLOW", "policies": policies}}


def certified_caller() -> list[dict]:
    """Tells the service whose certificate its caller has shown; what was claimed is overwritten."""
    header = {"key": spiffe.CERTIFIED_CALLER, "value": "%DOWNSTREAM_PEER_URI_SAN%"}
    return [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _policy(callers: Iterable[str], paths: Iterable[str], environment: str) -> Mapping:
    return {
        "permissions": [{"url_path": {"path": {"exact": path}}} for path in paths],
        "principals": [
            {"authenticated": {"principal_name": {"exact": spiffe.uri(caller, environment)}}}
            for caller in callers
        ],
    }


def _socket(kind: str, **fields: object) -> dict:
    typed = {"@type": f"{SOCKETS}.{kind}", **fields}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def _secret(name: str, **fields: object) -> dict:
    return {"resources": [{"@type": f"{SOCKETS}.Secret", "name": name, **fields}]}
