"""What the processor that trains a student can do."""

import torch
from joblib import cpu_count


def computes_bf16(device: torch.device) -> bool:
    """Returns whether a device computes matrix products of bfloat16 in hardware, where they are faster than float32.

    Args:
        device (`torch.device`): The device.

    Example:

        >>> computes_bf16(torch.device("meta"))
        False
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return bool(known.get("amx_bf16") or known.get("avx512_bf16"))
    return False


def limit_threads() -> None:
    """Gives torch at most as many threads as the process may use cores.

    Torch counts the physical cores that the process may run on, but not the limit of a container
    (`docker run --cpus 2`), in which more threads only wait for each other.
    """
    torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))
