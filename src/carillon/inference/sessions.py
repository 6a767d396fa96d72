"""ONNX Runtime, one thread a session: the process's capacity is decided by whoever calls, not by a pool in here.

The same input gives the same bits, whatever else runs: nothing is batched across calls, and no kernel that sums in a
varying order is used. That is what lets a task that was restarted in mid-call give the answer that it would have given.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from carillon.inference.catalog import ModelBroken, Weights

Tensor: TypeAlias = npt.NDArray[np.float32]

_ERRORS_ONLY: Final = 3  # ONNX Runtime's warnings are about graphs that we cannot change


class OnnxSession:
    """One loaded graph. May be called from several threads at a time.

    Raises:
        ModelBroken: the hash is wrong, ONNX Runtime cannot load the graph, or the graph lacks the declared output.
    """

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _ERRORS_ONLY
        if manifest.format == "ort":
            options.add_session_config_entry("session.load_model_format", "ORT")
        data = weights.read()
        try:
            self._session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own exception types are private and many
            raise ModelBroken(weights.path, f"ONNX Runtime cannot load the weights: {error}") from error
        if manifest.output.name not in self.outputs():
            raise ModelBroken(weights.path, f"the graph has no output {manifest.output.name!r}.")

    def run(self, outputs: list[str], inputs: dict[str, npt.NDArray[Any]]) -> list[Tensor]:
        """Compute the named outputs."""
        computed: list[Tensor] = self._session.run(outputs, inputs)
        return computed

    def inputs(self) -> dict[str, tuple[int | str, ...]]:
        """Return the shape of every input of the graph: numbers, and names where the size is free."""
        return {item.name: tuple(item.shape) for item in self._session.get_inputs()}

    def outputs(self) -> list[str]:
        """Return the name of every output of the graph."""
        return [item.name for item in self._session.get_outputs()]
