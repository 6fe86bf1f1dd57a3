"""Envoy's configuration, generated: the service list and the RPC descriptors are the source."""
