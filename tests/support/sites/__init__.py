"""Small real web sites for browser tests."""
