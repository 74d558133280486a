"""Mean, variance, skewness and kurtosis of every tensor, as numpy and scipy.stats compute them.

    python benches/peers/numpy_stats.py MODEL [--print]

MODEL is a .safetensors file. Prints the seconds of loading and computing, of the computing alone and of the whole
process with its imports.
"""

import argparse
import time

start = time.perf_counter()

import ml_dtypes  # noqa: E402, F401 (teaches numpy bfloat16)
import numpy as np  # noqa: E402
import scipy  # noqa: E402
from safetensors import safe_open  # noqa: E402
from scipy import stats  # noqa: E402


def moments(array):
    x = array.astype(np.float32).ravel()
    return [float(value) for value in (x.mean(), x.var(), stats.skew(x), stats.kurtosis(x))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--print", action="store_true", help="the statistics too")
    args = parser.parse_args()

    loading, computing, count = time.perf_counter(), 0.0, 0
    with safe_open(args.model, "np") as file:  # one tensor at a time: the file may be larger than memory
        for name in file.keys():
            tensor = file.get_tensor(name)
            if tensor.dtype.kind in "iub" or not tensor.size:
                continue
            began = time.perf_counter()
            result = moments(tensor)
            computing += time.perf_counter() - began
            count += 1
            if args.print:
                print(name, *result)
    end = time.perf_counter()
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, {count} tensors: load and compute {end - loading:.2f} s, "
          f"compute {computing:.2f} s, process {end - start:.2f} s")


if __name__ == "__main__":
    main()
