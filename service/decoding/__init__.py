"""Decodes images of clients in worker processes, so that a file can hurt nothing but the worker that has it.

Reading order: base (the interface), process (a worker as the server sees it), launcher (the process that forks workers), worker (what
runs in one). This file imports nothing.
"""
