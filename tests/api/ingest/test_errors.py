"""Close codes and reasons."""

import pytest

from carillon.api.ingest.errors import FasterThanRealTime, MalformedMessage, MediaRefused, code_of, reason_of
from carillon.errors import LimitExceeded, Transient
from carillon.streams import AckErrorCode, ProducerConnected, StreamNotFound


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MalformedMessage("x"), 4400),
        (StreamNotFound("x"), 4404),
        (MediaRefused(AckErrorCode.STREAM_NOT_ACTIVE), 4404),
        (ProducerConnected("x"), 4409),
        (FasterThanRealTime("x"), 4429),
        (LimitExceeded("x"), 1013),
        (Transient("x"), 1013),
        (MediaRefused(AckErrorCode.ARCHIVAL_ERROR), 1011),
        (RuntimeError("x"), 1011),
    ],
)
def test_each_error_has_its_close_code(error: Exception, code: int) -> None:
    assert code_of(error) == code


def test_a_reason_fits_a_close_frame_and_tells_nothing_of_a_fault_of_ours() -> None:
    assert reason_of(MalformedMessage("ä" * 100)) == "ä" * 61
    assert "secret" not in reason_of(RuntimeError("secret"))
