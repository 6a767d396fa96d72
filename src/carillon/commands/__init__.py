"""What people type: a module for each command, its options, and one call of what does the work.

`--help` must be answered at once, so these modules import nothing heavy until a command runs: what a command needs is
imported in its function. `tests/test_cli.py` keeps it. Start reading at `options.py`, then `serve.py`.
"""
