"""The AWS edge: HTTP in, AWS shapes out; nothing in here outlives a request.

Knows AWS spellings, botocore's models and signatures; decides nothing: each operation translates a request into one
call of a room below and renders what comes back. Start reading at `protocol/`, then `errors.py`, then any operation.
"""
