"""The demo: a small real web site, a webhook receiver, and a workflow that uses them both."""
