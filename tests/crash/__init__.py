"""Crash points: a real `cube` is killed at every one of its effects, and a sweep must mend what it left.

An effect has two or three points. A transaction: before its COMMIT and after. A change asked of an engine:
before the request, once it is sent, once it is answered. The files of a task on its node: the same, and once
half of them is sent. A file here or a lock: before and after.
"""
