"""Inputs that nobody would write: what editors and models could send, with parts of it wrong.

    python -m tests.fuzz --inputs 100000      the long run, some minutes; a fault is told with how to see it again

The tests here are the same for some seconds.
"""
