"""The agent beside Envoy: what the registry says becomes the files that Envoy watches."""
