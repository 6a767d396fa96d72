"""Streams as things: their names, versions, tags, retention and keys. Knows nothing of what flows through them."""
