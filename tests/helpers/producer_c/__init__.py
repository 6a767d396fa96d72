"""What the Kinesis Video Streams producer SDK for C puts on the wire, byte by byte, and what it makes of the answers.

That SDK, the GStreamer element `kvssink` and the native part of the C++ and Java SDKs share one core, so this is what
most producers send. Nothing of carillon is used here: a mistake that both sides make would be none.

Start reading at `producer.py`, the order of the calls; `signing.py` and `wire.py` are one request, `matroska.py` its
body, `acknowledgements.py` its answer.

Source: awslabs/amazon-kinesis-video-streams-pic (mkvgen, client), awslabs/amazon-kinesis-video-streams-producer-c
(Request, RequestInfo, AwsV4Signer, CurlApiCallbacks, Response); libcurl 7.88 for what that adds to a request.
"""
