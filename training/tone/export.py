"""Write a trained head as ONNX, with its manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
from habits import HALF_SECONDS, MOST
from heads import Calibration, Head
from listening import PARTS, Features
from logistic import Array, softmax
from onnx import TensorProto, helper, numpy_helper

_INPUTS: Final = {
    "hidden": 'what = "hidden_stats"\nof = "whisper-tiny-en-layers-2-3"',
    "prosody": 'what = "prosody"',
    "voice": 'what = "embedding"\nof = "wespeaker-resnet34-lm-by-band"',
}
_MANIFEST: Final = """\
# Made by training/tone/train.py; {file}.md tells how good it is. {about}
id = "{id}"
kind = "tone"
file = "{file}.onnx"
format = "onnx"
sha256 = "{sha256}"
licence = "{licence}"
commercial_use = {commercial_use}
trained_on = [{trained_on}]
attribution = "{attribution}"
version = "1"
sample_rate = 16000
max_seconds = 30
{inputs}
[[inputs]]
name = "habit"
what = "habit"

[[inputs]]
name = "seconds"
what = "habit_seconds"

[output]
name = "probabilities"
dim = 3
"""


@dataclass(frozen=True, slots=True)
class Name:
    """What a head is called, and on which terms it may be used."""

    id: str
    file: str
    about: str
    licence: str
    commercial_use: bool
    trained_on: Sequence[str]
    attribution: str


def write_head(head: Head, calibration: Calibration, name: Name, folder: Path) -> str:
    """Write the graph and its manifest; return the graph's SHA-256."""
    data: bytes = graph_of(head, calibration).SerializeToString()
    sha256 = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.file}.onnx").write_bytes(data)
    manifest = _MANIFEST.format(
        id=name.id,
        file=name.file,
        about=name.about,
        sha256=sha256,
        licence=name.licence,
        commercial_use=str(name.commercial_use).lower(),
        trained_on=", ".join(f'"{corpus}"' for corpus in name.trained_on),
        attribution=name.attribution,
        inputs="".join(f'\n[[inputs]]\nname = "{part}"\n{_INPUTS[part]}\n' for part in head.recipe.parts),
    )
    (folder / f"{name.file}.toml").write_text(manifest, encoding="utf-8")
    return sha256


def check(head: Head, calibration: Calibration, features: Features, seconds: Array, folder: Path, name: Name) -> None:
    """Make sure that the written graph says what the head says, of (n, 1933) features after what all of them have in
    common, heard for (n,) seconds.
    """
    columns = head.recipe.columns(features)
    habit = np.repeat(columns.mean(axis=0, keepdims=True), len(columns), axis=0)
    share = (MOST * seconds / (seconds + HALF_SECONDS))[:, None]
    heard = head.normalizer(columns) - share * head.normalizer(habit)
    parts = {part: features[:, PARTS[part]] for part in head.recipe.parts}
    more = {"habit": habit, "seconds": seconds[:, None].astype(np.float32)}
    session = onnxruntime.InferenceSession(folder / f"{name.file}.onnx", providers=["CPUExecutionProvider"])
    probabilities, arousal = session.run(["probabilities", "arousal"], parts | more)
    excited = head.arousal(heard)[:, 0] / calibration.arousal_temperature
    np.testing.assert_allclose(probabilities, softmax(calibration.of_tone(head.tone(heard))), atol=1e-3)
    np.testing.assert_allclose(arousal[:, 0], 1 / (1 + np.exp(-excited)), atol=1e-3)


def graph_of(head: Head, calibration: Calibration) -> onnx.ModelProto:
    """Build: parts (n, d), habit (n, d) and seconds (n, 1) to probabilities (n, 3) and arousal (n, 1).

    All is one linear map of `features - share * habit`, where share = MOST * seconds / (seconds + HALF_SECONDS).
    Normalization lies in the map; what the mean adds to it is taken away in the same share as the habit.
    """
    divisors = np.array([*[calibration.temperature] * 3, calibration.arousal_temperature])
    deviation = head.normalizer.deviation.astype(np.float64)
    weights = np.hstack([head.tone.weights, head.arousal.weights]) / deviation[:, None] / divisors
    of_mean = head.normalizer.mean.astype(np.float64) @ weights
    own = np.concatenate([calibration.of_tone(head.tone.bias), head.arousal.bias / calibration.arousal_temperature])
    bias = own - of_mean
    constants = {
        "weights": weights,
        "bias": bias,
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
        helper.make_node("Mul", ["share", "habit"], ["usual"]),
        helper.make_node("Sub", ["features", "usual"], ["unusual"]),
        helper.make_node("Gemm", ["unusual", "weights", "bias"], ["mapped"]),
        helper.make_node("Mul", ["share", "of_mean"], ["mended"]),
        helper.make_node("Add", ["mapped", "mended"], ["logits"]),
        helper.make_node("Split", ["logits", "three_and_one"], ["tone", "excitement"], axis=1),
        helper.make_node("Softmax", ["tone"], ["probabilities"], axis=1),
        helper.make_node("Sigmoid", ["excitement"], ["arousal"]),
    ]
    floats = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()]
    sizes = numpy_helper.from_array(np.array([3, 1], np.int64), "three_and_one")
    graph = helper.make_graph(
        nodes,
        "tone_head",
        [
            *(_rows(part, PARTS[part].stop - PARTS[part].start) for part in parts),
            _rows("habit", len(weights)),
            _rows("seconds", 1),
        ],
        [_rows("probabilities", 3), _rows("arousal", 1)],
        [*floats, sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def _rows(name: str, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
