"""Sockets and what is spoken on them: HTTP, WebSockets, TLS; and the one process that serves a data folder.

Serves any ASGI application; only `serving.py` knows which one is ours. Imports nothing by itself, so that commands that
only ask where a server is (`running.py`) start fast. Start reading at `serving.py`, then `listener.py`.
"""
