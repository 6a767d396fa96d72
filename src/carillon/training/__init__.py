"""Makes models out of labelled recordings; needs `carillon-voice[training]`.

Start reading at `tone/training.py`. `scipy` and `onnx` are guests of this room alone, and nothing that serves calls
imports it.
"""
