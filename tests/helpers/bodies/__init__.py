"""Matroska as others write it: ffmpeg, the KVS producer SDK, GetMedia, and somebody with bad intentions.

For tests, and for the corpus of the fuzz target, which `python -m bodies.corpus` writes anew.
"""
