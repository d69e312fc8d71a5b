"""Reads the head of a GGUF file: its metadata and the list of its tensors, not the weights.

A file begins with ``GGUF``, a version, the number of tensors and the number of keys, then the keys with their types and
values: ``07 00 00 00 00 00 00 00`` ``"abc.def"`` ``04 00 00 00`` ``00 20 00 00`` is the key ``abc.def`` with the 32-bit
number 8192. All numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..serving.format import Float32

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_FLOAT32 = 6
_STRING = 8
_ARRAY = 9

# Arrays of more items (vocabularies, merges) are skipped; `/api/show` writes them as null.
_MAX_KEPT_ITEMS = 5

# llama.cpp has no tensors of more dimensions, and the longest chat template has fewer bytes.
_MAX_DIMENSIONS = 4
_MAX_TEXT_BYTES = 1 << 26

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}
_TENSOR_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    30: "BF16",
}


class NotGgufError(ValueError):
    """The file is no GGUF file, or one that this reader does not understand."""


@dataclass(frozen=True)
class Gguf:
    """Metadata by key (a long array is None) and tensors as (name, type, shape).

    >>> file = Gguf({"general.architecture": "llama", "llama.context_length": 8192}, (("output", "F32", (576, 3)),))
    >>> file.architecture, file.architecture_value("context_length"), file.parameters, file.quantization
    ('llama', 8192, 1728, 'unknown')
    """

    metadata: dict[str, Any]
    tensors: tuple[tuple[str, str, tuple[int, ...]], ...]

    @property
    def architecture(self) -> str:
        """The name of the model's architecture, such as `llama`; `unknown` where the file has none."""
        return str(self.metadata.get("general.architecture", "unknown"))

    def architecture_value(self, key: str) -> Any:
        """The value of a key that the architecture has, such as `llama.context_length`; None when the file has none."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def parameters(self) -> int:
        """The number of weights of all tensors."""
        total = 0
        for _, _, shape in self.tensors:
            size = 1
            for dimension in shape:
                size *= dimension
            total += size
        return total

    @property
    def quantization(self) -> str:
        """How the weights are quantized, such as `Q4_1`; `unknown` for a kind that has no name here."""
        number = self.metadata.get("general.file_type")
        return _FILE_TYPES.get(number, "unknown") if isinstance(number, int) else "unknown"


def read(path: Path) -> Gguf:
    """Reads the head of the file at `path`. Raises `NotGgufError`, or OSError when it cannot be opened."""
    # To open a named pipe would wait for a process that writes to it.
    if path.exists() and not path.is_dir() and not path.is_file():
        raise NotGgufError(f"{path} is not a regular file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise NotGgufError(f"{path} is not a GGUF file")
        try:
            version, tensor_count, key_count = _unpack(file, "<IQQ")
            if version not in (2, 3):
                raise NotGgufError(f"{path} is a GGUF file of version {version}; versions 2 and 3 are understood")
            metadata = {}
            for _ in range(key_count):
                key = _read_text(file)
                (kind,) = _unpack(file, "<I")
                metadata[key] = _read_value(file, kind)
            tensors = []
            for _ in range(tensor_count):
                name = _read_text(file)
                (dimensions,) = _unpack(file, "<I")
                if dimensions > _MAX_DIMENSIONS:
                    raise struct.error("a tensor of too many dimensions")
                shape = _unpack(file, f"<{dimensions}Q")
                kind, _offset = _unpack(file, "<IQ")
                tensors.append((name, _TENSOR_TYPES.get(kind, str(kind)), tuple(shape)))
        # A length in a damaged file may be any number, also one that the system cannot allocate.
        except (struct.error, KeyError, OverflowError, MemoryError, OSError, RecursionError) as error:
            raise NotGgufError(f"{path} is a damaged GGUF file") from error
    return Gguf(metadata, tuple(tensors))


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _read_text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    if length > _MAX_TEXT_BYTES:
        raise struct.error("a string of too many bytes")
    data = file.read(length)
    if len(data) != length:
        raise struct.error("the file ends within a string")
    return data.decode("utf-8", "replace")


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_text(file)
    if kind == _FLOAT32:
        value = _unpack(file, "<f")[0]
        return Float32(value) if math.isfinite(value) else None
    if kind != _ARRAY:
        value = _unpack(file, _SCALARS[kind])[0]
        return value if math.isfinite(value) else None
    (item_kind,) = _unpack(file, "<I")
    (count,) = _unpack(file, "<Q")
    if count <= _MAX_KEPT_ITEMS:
        return [_read_value(file, item_kind) for _ in range(count)]
    if item_kind in _SCALARS:
        file.seek(count * struct.calcsize(_SCALARS[item_kind]), 1)
    elif item_kind == _STRING:
        for _ in range(count):
            (length,) = _unpack(file, "<Q")
            file.seek(length, 1)
    else:
        for _ in range(count):
            _read_value(file, item_kind)
    return None
