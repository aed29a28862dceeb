"""`python -m tests.fsdp_on_cpu ...`: `freeal-hf` with FSDP2 on CPUs, over gloo.

torch can do it; Accelerate 1.15 takes `--use_fsdp` for what it is only where there are accelerators.
"""

from typing import Any

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from freeal_hf.cli.main import main

_begin = AcceleratorState.__init__


def _begin_sharded(self: AcceleratorState, *args: Any, **options: Any) -> None:
    _begin(self, *args, **options)
    plugin = options.get("fsdp_plugin") or self.__dict__.get("fsdp_plugin")
    if isinstance(plugin, FullyShardedDataParallelPlugin):
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin


AcceleratorState.__init__ = _begin_sharded

if __name__ == "__main__":
    raise SystemExit(main())
