"""Cut the smallest weights of a model, exactly k of each tensor or of all, as a careful PyTorch user does it.

    python benches/peers/torch_prune.py MODEL -o OUT [--sparsity 0.5] [--allocation uniform|global] [--threads N]

MODEL is a .safetensors file. The job of `secateur prune MODEL -o OUT --sparsity 0.5`: floating tensors of two or more
dimensions are cut (token embeddings and output heads are not), everything else is carried over, the file is synced.
`kthvalue` finds the threshold: everything below it goes, and of the weights that equal it as many as are missing, the
first ones. --with topk does what most scripts do: torch.topk of the negated magnitudes, whose choice among equals is not
defined. Prints the seconds of loading, computing and saving together, of the computing alone and of the whole process.
"""

import argparse
import os
import re
import time

start = time.perf_counter()

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

LEFT_OUT = re.compile(r"embed|^lm_head|scale|zero_point|router|(^|\.)(wte|wpe)\.")


def eligible(name, tensor):
    return tensor.is_floating_point() and tensor.dim() >= 2 and not LEFT_OUT.search(name.replace("patch_embed", "patch"))


def by_kthvalue(magnitudes, k):
    """Which of a flat tensor are the k smallest, the first of those that are equal."""
    if k == 0:
        return torch.zeros_like(magnitudes, dtype=torch.bool)
    threshold = magnitudes.kthvalue(k).values
    cut = magnitudes < threshold
    missing = k - int(cut.sum())
    equal = (magnitudes == threshold).nonzero().flatten()
    cut[equal[:missing]] = True
    return cut


def by_topk(magnitudes, k):
    cut = torch.zeros_like(magnitudes, dtype=torch.bool)
    cut[magnitudes.topk(k, largest=False, sorted=False).indices] = True
    return cut


SELECT = {"kthvalue": by_kthvalue, "topk": by_topk}


def flat_magnitudes(tensor):
    """On the CPU kthvalue and topk know no fp8, and f16 only slowly."""
    return (tensor if tensor.dtype == torch.float64 else tensor.float()).abs().flatten()


def prune(tensors, rate, allocation, select):
    """Cuts in place; how many of how many."""
    chosen = [name for name in sorted(tensors) if eligible(name, tensors[name]) and tensors[name].numel()]
    count = sum(tensors[name].numel() for name in chosen)
    cut = 0
    if allocation == "global":
        whole = torch.cat([flat_magnitudes(tensors[name]) for name in chosen])
        masks = select(whole, round(rate * count)).split([tensors[name].numel() for name in chosen])
        del whole
    else:
        masks = (select(flat_magnitudes(tensors[name]), round(rate * tensors[name].numel())) for name in chosen)
    for name, mask in zip(chosen, masks):
        tensors[name].view(-1).masked_fill_(mask, 0) if tensors[name].element_size() > 1 else \
            tensors[name].view(torch.uint8).view(-1).masked_fill_(mask, 0)
        cut += int(mask.sum())
    return cut, count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--allocation", choices=["uniform", "global"], default="uniform")
    parser.add_argument("--with", dest="select", choices=SELECT, default="kthvalue")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    loading = time.perf_counter()
    with safe_open(args.model, "pt") as file:
        metadata = file.metadata()
        # A copy: what safetensors hands out is mapped from the file, and is not ours to write.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    began = time.perf_counter()
    cut, count = prune(tensors, args.sparsity, args.allocation, SELECT[args.select])
    computing = time.perf_counter() - began
    save_file(tensors, args.output, metadata)
    with open(args.output, "rb") as file:
        os.fsync(file.fileno())
    end = time.perf_counter()
    print(f"torch {torch.__version__}, {args.threads} threads, {args.allocation}, {args.select}, cut {cut} of {count}: "
          f"load, compute and save {end - loading:.2f} s, compute {computing:.2f} s, process {end - start:.2f} s")


if __name__ == "__main__":
    main()
