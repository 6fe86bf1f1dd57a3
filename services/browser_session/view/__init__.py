"""Seeing and driving sessions from outside: links, live view, take-over, recordings, files."""
