"""Owns credentials and one-time codes: keeps seeds and passwords sealed, generates and receives
codes, and hands each code to exactly one waiting challenge. It never shows a secret to anybody but
the task that logs in with it, and puts none into events, logs, history or errors.
"""
