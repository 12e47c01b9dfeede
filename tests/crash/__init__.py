"""Crash points: a real `cube` is killed at every one of its effects, and a sweep must mend what it left.

An effect has two or three points. A transaction: before its COMMIT and after. A change asked of an engine:
before the request, once it is sent, once it is answered. A file or a lock: before and after.
"""
