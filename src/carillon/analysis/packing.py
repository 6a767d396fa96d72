"""States as bytes, and back without losing a bit, so that a task can go on in another process.

MessagePack, read by type: nothing in a stored state can name a class or run code.
"""

from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from carillon.errors import CarillonError

State = TypeVar("State")

_ARRAY_TYPES: Final[dict[str, np.dtype[Any]]] = {"<f4": np.dtype("<f4"), "<i2": np.dtype("<i2")}


class StateUnreadable(CarillonError):
    """A checkpoint is from another version of carillon, or was damaged."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"This {kind} cannot be resumed: another version of carillon made it, or it is damaged. Start a new task."
        )


def pack(state: object, version: int) -> bytes:
    """Turn a state, a frozen dataclass of numbers, arrays and such dataclasses, into bytes."""
    return msgspec.msgpack.encode((version, state), enc_hook=_array_to_wire)


def unpack(kind: type[State], data: bytes, version: int) -> State:
    """Turn bytes into the state that they were made from; its arrays are read-only.

    Raises:
        StateUnreadable: the bytes are damaged, or of another version.
    """
    wire = tuple[int, kind]  # type: ignore[valid-type]  # msgspec reads the type at run time
    try:
        found, state = msgspec.msgpack.decode(data, type=wire, dec_hook=_array_from_wire)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
        raise StateUnreadable(kind.__name__) from error
    if found != version:
        raise StateUnreadable(kind.__name__)
    resumed: State = state
    return resumed


def _array_to_wire(value: object) -> object:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value)} is no part of a state")
    return value.dtype.str, value.shape, value.tobytes()


def _array_from_wire(_kind: type, wire: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - msgspec's own signature
    name, shape, data = wire
    array: npt.NDArray[Any] = np.frombuffer(data, dtype=_ARRAY_TYPES[name])
    return array.reshape(shape)
