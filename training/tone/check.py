"""Make sure that a written graph says what its head says."""

from pathlib import Path

import numpy as np
import onnxruntime

from carillon.training.tone import Clips, Trained
from carillon.training.tone.calibrating import softmax
from carillon.training.tone.histories import HALF_SECONDS, MOST
from carillon.training.tone.listening import PARTS


def check(trained: Trained, clips: Clips, file: Path) -> None:
    """Judge clips by both, after a baseline of what all clips have in common.

    Raises:
        AssertionError: they differ.
    """
    head, features, seconds = trained.head, clips.features["wideband"], clips.seconds
    columns = head.recipe.columns(features)
    baseline = np.repeat(columns.mean(axis=0, keepdims=True), len(columns), axis=0)
    share = (MOST * seconds / (seconds + HALF_SECONDS))[:, None]
    heard = (columns - head.mean) / head.deviation - share * ((baseline - head.mean) / head.deviation)
    scores = heard @ head.weights + head.bias
    parts = {part: features[:, PARTS[part]] for part in head.recipe.parts}
    more = {"speaker_baseline": baseline, "seconds": seconds[:, None].astype(np.float32)}
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    probabilities, arousal = session.run(["probabilities", "arousal"], parts | more)
    np.testing.assert_allclose(probabilities, softmax(trained.calibration.of_tone(scores)), atol=1e-3)
    np.testing.assert_allclose(arousal[:, 0], 1 / (1 + np.exp(-trained.calibration.of_arousal(scores))), atol=1e-3)
