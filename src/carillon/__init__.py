"""Amazon Chime SDK voice analytics that anyone can run: who is speaking, and how do they sound."""

__version__ = "0.1.0"
