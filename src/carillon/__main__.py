"""Lets `python -m carillon` be the command."""

import sys

from carillon.cli import main

sys.exit(main())
