"""What the workflow service keeps, and the only SQL on it."""

from sqlalchemy.exc import IntegrityError as Duplicate

from .schema import METADATA

__all__ = ["METADATA", "Duplicate"]
