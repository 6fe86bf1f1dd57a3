"""gRPC as every part of the mesh uses it: one server runtime, one client chain, one policy."""
