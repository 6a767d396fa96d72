"""Streams as things: their names, versions, tags, retention and keys. Knows nothing of what flows through them.

Start reading at `stream.py`, what a stream is; `catalog.py` creates, finds, changes and deletes them.
"""
