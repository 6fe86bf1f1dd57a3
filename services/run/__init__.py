"""Runs: the public unit of work, their states, history, idempotency keys and saga.

Owns what a client asked for and how it ended. Never executes a block and never touches a browser:
it orchestrates the services that do.
"""
