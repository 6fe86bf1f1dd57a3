"""REST over the contracts: one generic transcoder that reads the descriptors, no code per RPC."""
