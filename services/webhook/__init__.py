"""webhook: who is told of which events, and every attempt to tell them.

Owns endpoints, deliveries and attempts. Reacts to events of the other services and calls none of
them; it never decides anything about a run.
"""
