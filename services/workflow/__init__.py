"""The workflow service: owns workflow definitions, workflow runs and block runs.

It interprets a definition block by block and writes down each beginning and end, so that any
replica can go on where another stopped. It never touches a page itself: browser blocks are tasks.
"""
