"""The edge: one front door for REST and gRPC. Owns API keys; never a home for business rules."""
