"""What stays of a stream: fragments sealed in segments, an index of them, and their deletion.

Start reading at `writer.py`, which stores them, then `archive.py`, which finds them again; `replay.py` reads them by
number, `retention.py` deletes them, and `segments/` is where they lie: files or objects.
"""
