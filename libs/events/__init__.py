"""The event bus: the contract, Redis Streams, and its twin in memory."""
