"""What consumers read while a call goes on: the latest fragments in memory, the stored ones behind them, and GetMedia.

Start reading at `live_stream.py`, one stream in memory; `store.py` finds the next fragment wherever it lies,
`starts.py` where to begin, and `tail.py` is one GetMedia connection.
"""
