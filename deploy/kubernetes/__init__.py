"""The mesh in Kubernetes: what the chart in deploy/chart takes from the tree and the contracts."""
