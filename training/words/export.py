"""Write the head for words as ONNX, with its manifest and its model card."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

NAME: Final = "call_words"

MANIFEST: Final = """\
# Made by training/words/train.py; {name}.md tells how good it is.
id = "call-words-1"
kind = "text"
file = "{name}.onnx"
format = "onnx"
sha256 = "{sha256}"
license = "Apache-2.0"
attribution = "Trained for carillon on call utterances written for carillon"
version = "1"

[[inputs]]
name = "sentence"
what = "sentence"
of = "all-minilm-l6-v2-int8"

[[inputs]]
name = "lexicon"
what = "vader"

[output]
name = "logits"
dim = 3
"""

CARD: Final = """\
# Model card: call-words-1

The tone of words alone, in English: negative, neutral, positive. Not of the voice: "that is fine" said through clenched
teeth is neutral here.

| | |
|---|---|
| Reads | one utterance, lower case, no punctuation: all-MiniLM-L6-v2's embedding and VADER's four scores |
| Says | probabilities of negative, neutral and positive, summing to 1, under a prior of 1/4, 1/2, 1/4 |
| Is | multinomial logistic regression, 1,167 numbers |
| Learned from | `training/words/utterances.csv`: 612 utterances in 51 scenarios, written for carillon, Apache-2.0 |
| Made by | `training/words/train.py` |

Figures of the test half (25 scenarios) by heads that were made from the train half (26) in the same way; recalls are of
negative, neutral, positive. What ships learned from both halves, so measuring it on `utterances.csv` would flatter it.

```text
{rows}
```

Limits:

- One author wrote both halves, in plain English and without irony. Real callers are more varied: expect less.
- Set phrases are the hardest: a bare "thank you" is more often manners than joy, and is called mildly positive.
- Sarcasm, swearing in good humor, and reported speech ("he said that it was awful") are not understood.
- The labels are of words at face value. How often a tone of voice shows in the words is another question, which
  `inference/fusion.py` answers as carefully as it can.
"""


def write_head(weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], out: Path) -> str:
    """Write graph and manifest: sentence (384,) and lexicon (4,) in, logits (3,) out; return the graph's SHA-256."""
    lexicon = 4
    sentence = len(weights) - lexicon
    nodes = [
        helper.make_node("Concat", ["sentence", "lexicon"], ["features"], axis=0),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        NAME,
        [
            helper.make_tensor_value_info("sentence", TensorProto.FLOAT, [sentence]),
            helper.make_tensor_value_info("lexicon", TensorProto.FLOAT, [lexicon]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [3])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
    model.ir_version = 8  # so that older ONNX Runtimes read it too
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    sha256 = hashlib.sha256(data).hexdigest()
    (out / f"{NAME}.onnx").write_bytes(data)
    (out / f"{NAME}.toml").write_text(MANIFEST.format(name=NAME, sha256=sha256), encoding="utf-8")
    return sha256


def write_card(rows: Sequence[str], out: Path) -> None:
    """Write the model card beside the head."""
    (out / f"{NAME}.md").write_text(CARD.format(rows="\n".join(rows)), encoding="utf-8")
