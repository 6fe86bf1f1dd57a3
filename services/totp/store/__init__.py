"""The tables of totp, and the only SQL over them."""

from services.totp.store.tables import METADATA, SEALED

__all__ = ["METADATA", "SEALED"]
