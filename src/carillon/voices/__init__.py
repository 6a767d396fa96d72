"""What an operator does with voices without a call: identify and enroll recordings, and look after a domain.

Works on the data folder directly, beside a running server or without one. Start reading at `work.py`; what is typed
and printed is in `carillon.commands.voices`.
"""
