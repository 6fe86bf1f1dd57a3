"""The hands: one function per kind of action, carried out on the live page."""
