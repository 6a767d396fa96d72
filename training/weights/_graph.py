"""What the scripts that write a graph by hand share: nodes, and weights stored as int8."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST_QUANTIZED = 1024

Array = npt.NDArray[np.float32]


class Graph:
    """Collects nodes and weights; every method returns the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: object) -> str:
        """Add one operation."""
        name = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Keep an array as it is."""
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, *values: int) -> str:
        """Keep a few integers: shapes, axes."""
        return self.constant(f"integers_{len(self.weights)}", np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        """Keep one number."""
        return self.constant(f"scalar_{len(self.weights)}", np.float32(value))

    def weight(self, name: str, value: Array) -> str:
        """Keep a matrix as int8 and a scale for each row; vectors stay float."""
        if value.ndim < 2 or value.size < SMALLEST_QUANTIZED:
            return self.constant(name, value)
        others = tuple(range(1, value.ndim))
        scale = np.abs(value).max(axis=others, keepdims=True) / np.float32(127)
        quantized = np.round(value / scale).astype(np.int8)
        cast = self.op("Cast", self.constant(f"{name}/int8", quantized), to=TensorProto.FLOAT)
        return self.op("Mul", cast, self.constant(f"{name}/scale", scale.astype(np.float32)))

    def gelu(self, x: str) -> str:
        """Return the exact form, x / 2 * (1 + erf(x / sqrt(2)))."""
        erf = self.op("Erf", self.op("Div", x, self.scalar(2.0**0.5)))
        product = self.op("Mul", x, self.op("Add", erf, self.scalar(1.0)))
        return self.op("Mul", product, self.scalar(0.5))
