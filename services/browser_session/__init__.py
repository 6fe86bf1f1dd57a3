"""The browser_session service: owns the Chromium processes, their leases, and what they leave.

It never looks into a page on its own account, never decides what a run does next, and never hands
out the browser's own debugging port.
"""
