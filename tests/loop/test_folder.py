import resource
import subprocess
import sys

import pytest

from freeal_hf.data.files import explained_disk_errors, write_atomically
from freeal_hf.errors import RunError

WRITERS = {
    "numpy": "import numpy as np; np.savez(open('x.npz', 'wb'), a=np.zeros(10**5))",
    "safetensors": "import torch; from safetensors.torch import save_file; save_file({'a': torch.zeros(10**5)}, 'x')",
    "torch": "import torch; torch.save(torch.zeros(10**5), 'x.pt')",
    "text": "open('x.txt', 'w').write('x' * 10**5)",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_reported_wherever_the_write_fails(writer, tmp_path):
    code = (
        "from pathlib import Path; from freeal_hf.errors import RunError\n"
        "from freeal_hf.data.files import explained_disk_errors\n"
        f"try:\n with explained_disk_errors(Path('.')): {WRITERS[writer]}\n"
        "except RunError as error: print(error)"
    )

    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, preexec_fn=limit_file_size, capture_output=True, text=True
    )
    assert "no space left" in done.stdout, done.stderr
    assert "Free some" in done.stdout


def test_other_errors_than_disk_errors_are_not_changed(tmp_path):
    with pytest.raises(RuntimeError, match="CUDA"), explained_disk_errors(tmp_path):
        raise RuntimeError("CUDA out of memory")


def test_a_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail(partial):
        partial.write_text("half")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_atomically(path, fail)
    assert path.read_text() == "old"


def test_a_folder_without_write_permission_is_named(tmp_path):
    with pytest.raises(RunError, match="choose another folder"), explained_disk_errors(tmp_path):
        raise PermissionError(13, "Permission denied", str(tmp_path))
