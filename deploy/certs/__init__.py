"""Certificates of the parts: an authority of our own, and the folders that it keeps fresh."""
