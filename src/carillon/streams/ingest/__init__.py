"""What a producer sends: the bytes of PutMedia become fragments, and each fragment is acknowledged.

Start reading at `parser.py`, which does no I/O; `session.py` is one connection around it.
"""
