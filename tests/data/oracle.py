"""What `secateur stats --format json` should say, from numpy and scipy in extended precision.

    python tests/data/oracle.py MODEL -o expected.json --by output --quantiles 0,0.5,1 --histogram 8

Moments are two passes in np.longdouble (a 64-bit mantissa and 15 exponent bits, so that fourth powers of any f64
fit) and are checked against scipy.stats; quantiles and histograms are numpy's own in float64. Every entry also has
`mean_abs_z3` and `mean_z4`, mean |z|³ and mean z⁴ with z = (w − mean)/σ: the scale of the tolerances for skewness
and kurtosis; `at_edges` is how many transformed values are so near an inner edge of the histogram that they may fall
on its other side. The definitions (what is null, and when) are those of the Statistics type of the crate.
"""

import argparse
import fnmatch
import json
import math
from pathlib import Path

import numpy as np
import scipy.stats

import checkpoint

if np.finfo(np.longdouble).nmant < 63:
    raise SystemExit("np.longdouble is no wider than float64 on this machine: use x86-64")


def number(x):
    """The nearest f64, without negative zero; None where undefined or beyond f64."""
    x = float(x) + 0.0
    return x if math.isfinite(x) else None


def split(array, shape, by):
    """The groups of a flat array as the rows of a matrix, short blocks filled up with zeros, and their indices."""
    axis = {"output": 0, "input": 1}.get(by)
    if by.startswith("axis:"):
        axis = int(by.removeprefix("axis:"))
    if by == "tensor" or len(shape) < 2 or (axis is not None and axis >= len(shape)):
        return array.reshape(1, -1), [None]
    rows, columns = shape[0], math.prod(shape[1:])
    if axis is not None:
        groups = np.moveaxis(array.reshape(shape), axis, 0).reshape(shape[axis], math.prod(shape[:axis] + shape[axis + 1:]))
    else:
        size = int(by.removeprefix("block:"))
        blocks = -(-columns // size)
        filled = np.zeros((rows, blocks * size), array.dtype)
        filled[:, :columns] = array.reshape(rows, columns)
        groups = filled.reshape(rows * blocks, size)
    return groups, range(len(groups))


def moments(x, finite):
    """Of each row of x, over its `finite` elements: mean, variance, skewness, kurtosis, mean |z|³, mean z⁴."""
    n = finite.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, x, 0).sum(axis=1) / n.astype(np.longdouble)
        d = np.where(finite, x - mean[:, None], 0)
        square = d * d
        variance, m3, abs3, m4 = (
            power.sum(axis=1) / n for power in (square, square * d, square * np.abs(d), square * square))
        sigma = np.sqrt(variance)
        z4 = m4 / variance**2
        return mean, variance, m3 / sigma**3, z4 - 3, abs3 / sigma**3, z4


class Values:
    """A tensor's elements after the transform, flat: `exact` in long double, `rounded` in float64."""

    def __init__(self, raw, transform):
        self.nan, self.inf, self.zero = np.isnan(raw), np.isinf(raw), raw == 0
        self.finite = np.isfinite(raw)
        self.present = np.ones(len(raw), bool)
        self.defined = True
        self.transform = transform
        self.uncertainty = 1e-12 if transform == "log" else 3e-6
        exact = np.where(self.finite, raw, 0).astype(np.longdouble)
        rounded = exact.astype(np.float64)
        if transform == "log":
            self.finite &= ~self.zero
            exact = np.log(np.where(self.finite, np.abs(exact), 1))
            rounded = np.log(np.where(self.finite, np.abs(rounded), 1.0))
        elif transform == "standardize":
            kept = rounded[self.finite]
            self.defined = len(kept) > 0 and kept.min() < kept.max()
            if self.defined:
                mean, variance = moments(exact[None], self.finite[None])[:2]
                self.uncertainty *= max(1, float(abs(mean[0]) / np.sqrt(variance[0])))
                exact = (exact - mean) / np.sqrt(variance)
                rounded = exact.astype(np.float64)
        self.exact, self.rounded = exact, rounded

    FIELDS = ("nan", "inf", "zero", "finite", "present", "exact", "rounded")

    @classmethod
    def concatenate(cls, parts, transform):
        """Every element of a model; what has no standardized value is counted only."""
        whole = cls(np.zeros(0), transform)
        for field in cls.FIELDS:
            arrays = [getattr(part, field) for part in parts]
            if field == "finite":
                arrays = [array & part.defined for array, part in zip(arrays, parts)]
            setattr(whole, field, np.concatenate(arrays) if arrays else getattr(whole, field))
        whole.defined = True
        whole.uncertainty = max([part.uncertainty for part in parts if part.defined] or [0])
        return whole

    def groups(self, shape, by):
        """One matrix a field, one row a group, and the groups' indices."""
        matrices = {field: split(getattr(self, field), shape, by) for field in self.FIELDS}
        return {field: matrix for field, (matrix, _) in matrices.items()}, matrices["exact"][1]


def quantiles(rows, probabilities):
    """np.quantile of each row; where its formula leaves f64 at a probability that is one order statistic, that one."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.quantile(rows, probabilities, axis=1).T
    if not np.isfinite(values).all():
        lower, higher = (np.quantile(rows, probabilities, axis=1, method=side).T for side in ("lower", "higher"))
        values = np.where(np.isfinite(values) | (lower != higher), values, lower)
    return [[number(value) for value in row] for row in values.tolist()]


def histogram(x, bins):
    """np.histogram; None where the range leaves f64 or cannot be cut into that many bins."""
    if math.isinf(float(x.max()) - float(x.min())):
        return None
    try:
        counts, edges = np.histogram(x, bins)
    except ValueError:  # "Too many bins for data range"
        return None
    return {"edges": (edges + 0.0).tolist(), "counts": counts.tolist()}


def probability_key(p):
    """As the JSON spells it: 0, 0.01, 1."""
    return np.format_float_positional(p, trim="-")


def describe(values, shape, by, probabilities=(), bins=None, check=False):
    """(index, statistics) of each group of a tensor."""
    g, indices = values.groups(shape, by)
    finite, rounded = g["finite"], g["rounded"]
    count, nan, inf, zeros, kept = (g[key].sum(axis=1) for key in ("present", "nan", "inf", "zero", "finite"))
    with np.errstate(over="ignore"):
        low = np.where(finite, rounded, np.inf).min(axis=1, initial=np.inf)
        high = np.where(finite, rounded, -np.inf).max(axis=1, initial=-np.inf)
        absolute = np.abs(np.where(finite, g["exact"], 0))
        l1, l2 = absolute.sum(axis=1), np.sqrt((absolute * absolute).sum(axis=1))
        mean, *others = moments(g["exact"], finite)
    standardized = values.transform == "standardize"
    keys = [probability_key(p) for p in probabilities]
    whole = keys and finite.size and finite.all() and values.defined
    every = quantiles(rounded, probabilities) if whole else None
    for i, index in enumerate(indices):
        entry = {"count": int(count[i]), "nan": int(nan[i]), "inf": int(inf[i]),
                 "zeros": None if standardized else int(zeros[i])}
        empty = kept[i] == 0
        known = not empty and values.defined
        constant = known and low[i] == high[i]
        entry["mean"] = number(low[i] if constant else mean[i]) if known else None
        names = ("variance", "skewness", "kurtosis", "mean_abs_z3", "mean_z4")
        for name, column in zip(names, others):
            entry[name] = number(column[i]) if known and not constant else None
        if constant:
            entry["variance"] = 0.0
        entry["min"] = number(low[i]) if known else None
        entry["max"] = number(high[i]) if known else None
        entry["abs_max"] = number(max(abs(low[i]), abs(high[i]))) if known else None
        entry["l1"] = None if standardized else number(l1[i])
        entry["l2"] = number(l2[i]) if known or empty else None
        x = rounded[i][finite[i]] if known else None
        if keys:
            found = [None] * len(keys)
            if known:
                found = every[i] if every else quantiles(x[None], probabilities)[0]
            entry["quantiles"] = dict(zip(keys, found))
        if bins:
            entry["histogram"] = histogram(x, bins) if known else None
            if entry["histogram"] and values.transform != "none":
                distance = np.abs(x[:, None] - np.array(entry["histogram"]["edges"][1:-1]))
                near = distance <= values.uncertainty * np.maximum(1, np.abs(x))[:, None]
                entry["at_edges"] = int(near.any(axis=1).sum())
        if check and known and not constant:
            check_against_scipy(x, entry)
        yield index, entry


def check_against_scipy(x, entry):
    """Skewness and kurtosis again, from scipy in float64, on values scaled by a power of two."""
    scaled = np.ldexp(x, -math.frexp(max(abs(x.min()), abs(x.max())))[1])
    if np.ptp(scaled) < 1e-12:
        return  # too little of float64 is left for scipy
    skewness, kurtosis = scipy.stats.skew(scaled), scipy.stats.kurtosis(scaled)
    assert abs(skewness - entry["skewness"]) <= 1e-9 * max(1, entry["mean_abs_z3"]), (skewness, entry)
    assert abs(kurtosis - entry["kurtosis"]) <= 1e-9 * entry["mean_z4"], (kurtosis, entry)


def stats(model, by="tensor", transform="none", probabilities=(), bins=None, only=(), check=False):
    """The whole answer, as the JSON of `secateur stats`."""
    entries, skipped, parts, size = [], [], [], 0
    for tensor in checkpoint.read(model):
        if only and not any(fnmatch.fnmatchcase(tensor.name, glob) for glob in only):
            continue
        if tensor.dtype not in checkpoint.FLOATS:
            skipped.append({"name": tensor.name, "dtype": tensor.dtype, "reason": "not an analysed dtype"})
            continue
        values = Values(tensor.values(), transform)
        parts.append(values)
        size += tensor.bytes
        head = {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape}
        for index, entry in describe(values, tensor.shape, by, probabilities, bins, check):
            entries.append(head | {"group": index} | entry)
    whole = Values.concatenate(parts, transform)
    total = next(describe(whole, [len(whole.exact)], "tensor", probabilities, bins))[1]
    return {"engine": {"kind": "oracle", "name": f"numpy {np.__version__}, scipy {scipy.__version__}"},
            "model": str(model), "by": by, "transform": transform, "quantiles": list(probabilities),
            "histogram": bins, "only": list(only), "tensors": entries, "total": total, "skipped": skipped,
            "bytes": size}


def write(answer, path):
    """One entry a line, so that a change is readable in a diff."""
    lines = []
    for key, value in answer.items():
        if key in ("tensors", "skipped") and value:
            value = "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
        else:
            value = json.dumps(value, allow_nan=False)
        lines.append(f"{json.dumps(key)}: {value}")
    Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .safetensors file, or a folder of shards or its index")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--by", default="tensor", help="tensor, output, input, axis:N or block:N")
    parser.add_argument("--transform", default="none", choices=["none", "log", "standardize"])
    parser.add_argument("--quantiles", default="", help="such as 0,0.01,0.5,0.99,1")
    parser.add_argument("--histogram", type=int, help="number of bins")
    parser.add_argument("--only", action="append", default=[], help="name glob (repeatable)")
    args = parser.parse_args()
    probabilities = [float(p) for p in args.quantiles.split(",") if p]
    write(stats(args.model, args.by, args.transform, probabilities, args.histogram, args.only, check=True), args.output)


if __name__ == "__main__":
    main()
