"""What the processor that trains a student can do."""

import torch


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
