"""Write a trained head as ONNX, with its manifest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from carillon.training.tone.calibrating import ScoreCalibration
from carillon.training.tone.clips import Array
from carillon.training.tone.heads import Head
from carillon.training.tone.histories import HALF_SECONDS, MOST
from carillon.training.tone.listening import HIDDEN, LAYER_2, PARTS, VOICE

_INPUTS: Final = {
    "hidden": f'what = "hidden_stats"\nof = "{HIDDEN}"',
    "layer_2": f'what = "hidden_stats"\nof = "{LAYER_2}"',
    "prosody": 'what = "prosody"',
    "voice": f'what = "voice_stats"\nof = "{VOICE}"',
}
_MANIFEST: Final = """\
# Made by {made_by}; {file}.md tells how good it is.
id = {id}
kind = "tone"
file = {graph}
format = "onnx"
sha256 = "{sha256}"
license = {license}
commercial_use = {commercial_use}
trained_on = [{trained_on}]
attribution = {attribution}
version = "1"
sample_rate = 16000
max_seconds = 30
{inputs}
[[inputs]]
name = "speaker_baseline"
what = "speaker_baseline"

[[inputs]]
name = "seconds"
what = "baseline_seconds"

[output]
name = "probabilities"
dim = 3
"""


@dataclass(frozen=True, slots=True)
class Name:
    """What a head is called, and on which terms it may be used."""

    id: str
    file: str
    made_by: str
    license: str
    commercial_use: bool
    trained_on: Sequence[str]
    attribution: str


def write_head(head: Head, calibration: ScoreCalibration, name: Name, folder: Path) -> str:
    """Write the graph and its manifest; return the graph's SHA-256."""
    data: bytes = graph_of(head, calibration).SerializeToString()
    sha256 = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.file}.onnx").write_bytes(data)
    manifest = _MANIFEST.format(
        id=_quoted(name.id),
        file=name.file,
        graph=_quoted(f"{name.file}.onnx"),
        made_by=name.made_by,
        sha256=sha256,
        license=_quoted(name.license),
        commercial_use=str(name.commercial_use).lower(),
        trained_on=", ".join(map(_quoted, name.trained_on)),
        attribution=_quoted(name.attribution),
        inputs="".join(f'\n[[inputs]]\nname = "{part}"\n{_INPUTS[part]}\n' for part in head.recipe.parts),
    )
    (folder / f"{name.file}.toml").write_text(manifest, encoding="utf-8")
    return sha256


def _quoted(text: str) -> str:
    """Return a text as TOML has it: corpora and licenses are named by whoever wrote a manifest."""
    return json.dumps(text)


def graph_of(head: Head, calibration: ScoreCalibration) -> onnx.ModelProto:
    """Build: parts (n, d), baseline (n, d) and seconds (n, 1) to probabilities (n, 3) and perhaps arousal (n, 1).

    All is one linear map of `features - share * baseline`, where share = MOST * seconds / (seconds + HALF_SECONDS).
    Normalization lies in the map; what the mean adds to it is taken away in the same share as the baseline.
    """
    weights, bias = _of_logits(head, calibration)
    of_mean = head.mean.astype(np.float64) @ weights
    tells_arousal = weights.shape[1] > 3
    constants = {
        "weights": weights,
        "bias": bias - of_mean,
        "of_mean": of_mean[None],
        "most": np.array([[MOST]]),
        "half_seconds": np.array([[HALF_SECONDS]]),
    }
    parts = list(head.recipe.parts)
    nodes = [
        helper.make_node("Concat", parts, ["features"], axis=1),
        helper.make_node("Add", ["seconds", "half_seconds"], ["longer"]),
        helper.make_node("Div", ["seconds", "longer"], ["heard"]),
        helper.make_node("Mul", ["heard", "most"], ["share"]),
        helper.make_node("Mul", ["share", "speaker_baseline"], ["usual"]),
        helper.make_node("Sub", ["features", "usual"], ["unusual"]),
        helper.make_node("Gemm", ["unusual", "weights", "bias"], ["mapped"]),
        helper.make_node("Mul", ["share", "of_mean"], ["mended"]),
        helper.make_node("Add", ["mapped", "mended"], ["logits"]),
    ]
    outputs = [_rows("probabilities", 3)]
    floats = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()]
    if tells_arousal:
        nodes += [
            helper.make_node("Split", ["logits", "three_and_one"], ["tone", "excitement"], axis=1),
            helper.make_node("Softmax", ["tone"], ["probabilities"], axis=1),
            helper.make_node("Sigmoid", ["excitement"], ["arousal"]),
        ]
        floats.append(numpy_helper.from_array(np.array([3, 1], np.int64), "three_and_one"))
        outputs.append(_rows("arousal", 1))
    else:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    inputs = [_rows(part, PARTS[part].stop - PARTS[part].start) for part in parts]
    graph = helper.make_graph(
        nodes, "tone_head", [*inputs, _rows("speaker_baseline", len(weights)), _rows("seconds", 1)], outputs, floats
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def _of_logits(head: Head, calibration: ScoreCalibration) -> tuple[Array, Array]:
    """Return the (d, k) weights of plain features, and the (k,) bias, of calibrated logits."""
    divisors = np.array([*[calibration.temperature] * 3, calibration.arousal_temperature])[: head.weights.shape[1]]
    lean = np.array([0.0, calibration.lean, 0.0, 0.0])[: len(divisors)]
    return head.weights / head.deviation[:, None] / divisors, (head.bias + lean) / divisors


def _rows(name: str, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
