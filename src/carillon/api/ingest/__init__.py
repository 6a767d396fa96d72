"""Other doors to the streams: WebSockets on which telephony platforms and browsers send audio.

What comes in ends as ordinary fragments, so that nobody else knows of it. Knows the formats and who may connect, and
nothing of how streams are kept. Start reading at `application.py` (who may come in), then `session.py` (one
connection); `twilio.py` (JSON) and `pcm.py` (binary) understand the messages of all platforms, `carillon.media.splicer`
makes fragments of what they hold.
"""

from carillon.api.ingest.application import WebSocketIngest
from carillon.api.ingest.settings import IngestSettings
from carillon.api.ingest.urls import KEY_PURPOSE, IngestTokens, websocket_url

__all__ = ["KEY_PURPOSE", "IngestSettings", "IngestTokens", "WebSocketIngest", "websocket_url"]
