"""Profiles that an organisation keeps: what browsers know of a user, in versions, sealed."""
