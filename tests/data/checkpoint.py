"""Read and write safetensors files by hand.

The format is eight bytes of header length, a JSON header and the tensors' bytes. Doing it here keeps the
oracle independent of the reader under test, and lets a file hold every dtype, also those numpy lacks.
"""

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

FLOATS = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
"""The dtypes that are analysed."""


@dataclass
class Tensor:
    """A tensor's header entry, and where its bytes are."""

    name: str
    dtype: str
    shape: list[int]
    path: Path
    start: int
    bytes: int

    @property
    def count(self):
        return math.prod(self.shape)

    def values(self):
        """The elements as flat float64: exact, as every analysed dtype fits."""
        kind = FLOATS[self.dtype]
        with np.errstate(invalid="ignore"):  # signalling NaN
            return np.fromfile(self.path, kind, self.count, offset=self.start).astype(np.float64)


def natural(name):
    """Sort key: digit runs compare as numbers, everything else bytewise; equal keys fall back to the bytes."""
    name = name.encode()
    return [(48, int(part)) if part[0] in b"0123456789" else (part[0], 0)
            for part in re.findall(rb"[0-9]+|[^0-9]", name)], name


def read(model):
    """The tensors of a file, of a folder of shards or of their index, in natural order of their names."""
    model = Path(model)
    if model.is_dir():
        index = sorted(model.glob("*.safetensors.index.json"))
        model = index[0] if index else next(iter(sorted(model.glob("*.safetensors"))))
    if model.suffix == ".json":
        files = sorted(set(json.loads(model.read_text())["weight_map"].values()))
        tensors = [tensor for file in files for tensor in read_file(model.parent / file)]
    else:
        tensors = read_file(model)
    return sorted(tensors, key=lambda tensor: natural(tensor.name))


def read_file(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return [
        Tensor(name, entry["dtype"], entry["shape"], Path(path), 8 + length + entry["data_offsets"][0],
               entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
    ]


def header_bytes(tensors, metadata=None, align=1):
    """The length and header of (name, dtype, shape, bytes) in file order, padded with spaces to `align`."""
    header = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, dtype, shape, length in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % align)
    return struct.pack("<Q", len(text)) + text
