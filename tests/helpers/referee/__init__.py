"""botocore's models and signer as the referee: what requests may look like, which must be refused, how they travel.

Used by the tests beside this folder, and by bench/fuzz.py and bench/throughput.py. Knows no operation by name, except
in `world.py`. Start reading at `shapes.py`.
"""
