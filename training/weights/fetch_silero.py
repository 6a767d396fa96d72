"""Rebuild the Silero VAD, its weights unchanged, as a graph that hears many windows at a time.

    pip download --no-deps silero-vad==6.2.3
    python training/weights/fetch_silero.py silero_vad-6.2.3-py3-none-any.whl silero_vad_16k.onnx

The wheel's own exports hear one window of 32 ms at a time: most of their cost is in starting thirty small operations.
Here all windows of a stretch go through what remembers nothing (spectrum, four convolutions) together, each convolution
one product of matrices, and only the LSTM goes on window by window. What is left out is what a window of 32 ms cannot
reach: the last convolution sees a single column, so its outer taps see padding alone.
Needs onnx; see training/requirements.in. License: MIT.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from _check import checked, member_of_wheel, write
from _graph import Array, Graph
from onnx import TensorProto, helper, numpy_helper

WHEEL_SHA256 = "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"
EXPORT = "silero_vad/data/silero_vad_16k_op15.onnx"
EXPORT_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
SHA256 = "5fffb829018c34da5400c3e2994f1575aff351ffc07e79b2927bb89e729152cd"

WIDTH, HOP, PADDED = 128, 128, 64
WINDOW = 64 + 512  # the end of the window before comes first
COLUMNS = ([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]], [[0, 1, 2], [2, 3, 4]], [[0, 1, 2]])
"""What the first three convolutions see for each column that they make, padding counted: strides 1, 2 and 2."""


class Detector:
    """Silero VAD at 16 kHz."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights, self._graph = weights, Graph()

    def build(self) -> onnx.ModelProto:
        """Put the whole graph together."""
        graph = self._graph
        x = self._spectrum()
        for number, columns in enumerate(COLUMNS):
            x = self._convolved(number, x, columns)
        heard, memory = self._remembered(self._last(x))
        heard = graph.op("Reshape", graph.op("Relu", heard), graph.integers(-1, WIDTH))
        weight = graph.constant("output/weight", self._weights["model.decoder.decoder.2.weight"][0])
        bias = graph.constant("output/bias", self._weights["model.decoder.decoder.2.bias"])
        sure = graph.op("Sigmoid", graph.op("Add", graph.op("MatMul", heard, weight), bias))
        graph.op("Reshape", sure, graph.integers(-1), out="probability")
        graph.op("Concat", *memory, axis=0, out="memory_after")
        return self._model()

    def _model(self) -> onnx.ModelProto:
        def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        inputs = [value("windows", "count", WINDOW), value("memory", 2, 1, WIDTH)]
        outputs = [value("probability", "count"), value("memory_after", 2, 1, WIDTH)]
        graph = helper.make_graph(self._graph.nodes, "silero_vad", inputs, outputs, self._graph.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
        model.ir_version = 8  # so that older ONNX Runtimes read it too
        onnx.checker.check_model(model, full_check=True)
        return model

    def _spectrum(self) -> str:
        """Return magnitudes, (count, 4, 129): of 16 ms every 8 ms, mirrored at the end."""
        graph = self._graph
        padded = graph.op("Pad", "windows", graph.integers(0, 0, 0, PADDED), mode="reflect")
        halves = []
        for first in (0, HOP):
            half = graph.op("Slice", padded, graph.integers(first), graph.integers(first + 4 * HOP), graph.integers(1))
            halves.append(graph.op("Reshape", half, graph.integers(-1, 4, HOP)))
        basis = graph.constant("basis", self._weights["model.stft.forward_basis_buffer"][:, 0].T.copy())
        both = graph.op("MatMul", graph.op("Concat", *halves, axis=2), basis)
        parts = [
            graph.op("Slice", both, graph.integers(first), graph.integers(first + 129), graph.integers(2))
            for first in (0, 129)
        ]
        squares = [graph.op("Mul", part, part) for part in parts]
        return graph.op("Sqrt", graph.op("Add", *squares))

    def _convolved(self, number: int, x: str, columns: list[list[int]]) -> str:
        """Lay what each column sees side by side, and multiply once."""
        graph = self._graph
        weight, bias = self._convolution(number)
        padded = graph.op("Pad", x, graph.integers(0, 1, 0, 0, 1, 0))
        seen = graph.op("Gather", padded, graph.constant(f"columns_{number}", np.array(columns, np.int64)), axis=1)
        flat = weight.transpose(2, 1, 0).reshape(-1, len(bias))
        seen = graph.op("Reshape", seen, graph.integers(-1, len(columns), len(flat)))
        return self._linear(f"convolution_{number}", seen, flat, bias)

    def _last(self, x: str) -> str:
        weight, bias = self._convolution(len(COLUMNS))
        return self._linear("convolution_3", x, weight[:, :, 1].T.copy(), bias)

    def _convolution(self, number: int) -> tuple[Array, Array]:
        name = f"model.encoder.{number}.reparam_conv"
        return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]

    def _linear(self, name: str, x: str, weight: Array, bias: Array) -> str:
        graph = self._graph
        product = graph.op("MatMul", x, graph.constant(f"{name}/weight", weight))
        return graph.op("Relu", graph.op("Add", product, graph.constant(f"{name}/bias", bias)))

    def _remembered(self, x: str) -> tuple[str, list[str]]:
        """Return what the LSTM makes of (count, 1, 128), and its memory after that."""
        graph = self._graph
        inputs, hidden = (graph.constant(f"lstm/{name}", self._gates(f"weight_{name}")[None]) for name in ("ih", "hh"))
        bias = graph.constant("lstm/bias", np.concatenate([self._gates("bias_ih"), self._gates("bias_hh")])[None])
        before = [graph.op("Slice", "memory", graph.integers(at), graph.integers(at + 1)) for at in (0, 1)]
        after = ["hidden", "cell"]
        node = helper.make_node("LSTM", [x, inputs, hidden, bias, "", *before], ["heard", *after], hidden_size=WIDTH)
        graph.nodes.append(node)
        return "heard", after

    def _gates(self, name: str) -> Array:
        """Return one of torch's LSTM weights with its gates in ONNX's order: input, output, forget, cell."""
        i, f, c, o = np.split(self._weights[f"model.decoder.rnn.{name}"], 4)
        return np.concatenate([i, o, f, c])


if __name__ == "__main__":
    wheel, out = map(Path, sys.argv[1:])
    export = onnx.load_from_string(checked(member_of_wheel(wheel, WHEEL_SHA256, EXPORT), EXPORT_SHA256, EXPORT))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in export.graph.initializer}
    write(out, Detector(weights).build().SerializeToString(), SHA256)
