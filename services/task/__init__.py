"""The task service: carries out one browser task in the session's page.

It owns tasks, the actions they took, and the data they read. It never launches a browser
(browser_session does), never keeps a credential (totp does), and never decides what comes after
a task (workflow does).
"""
