"""Matroska as others write it: ffmpeg, the KVS producer SDK, GetMedia, and somebody with bad intentions.

For the tests beside this package and for the corpus of the fuzz target, which `python tests/matroska/bodies/corpus.py`
writes anew.
"""
