"""The keys of servers: where they come from, and where they must not stand."""

import os
import re
from urllib.parse import urlsplit

from freeal_hf.annotation.http_errors import public_url
from freeal_hf.errors import AnnotatorError, InputError

_KEY_IN_QUERY = re.compile(r"(?:^|&)[^=]*(?:key|token|secret|password|sig)[^=]*=", re.IGNORECASE)


def given_key(token: str | None, api_key_env: str | None) -> str | None:
    """The key that the user gave, if any.

    Args:
        token (`str`, *optional*): The key itself.
        api_key_env (`str`, *optional*): Name of the environment variable that holds it.

    Raises:
        AnnotatorError: If the environment variable is not set.
        InputError: If both are given.
    """
    if api_key_env is None:
        return token
    if token is not None:
        raise InputError("Give either token or api_key_env, not both.")
    key = os.environ.get(api_key_env, "").strip()
    if not key:
        raise AnnotatorError(f"The environment variable {api_key_env!r} is not set; put the server's key into it.")
    return key


def check_holds_no_key(url: str) -> None:
    """Refuses an address with a key in it: addresses are written down.

    Raises:
        InputError: If it has a user, a password, or a field of the query that looks like a key.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or _KEY_IN_QUERY.search(parts.query):
        raise InputError(
            f"The address of {public_url(url)} holds a key, and addresses are written down. Leave it out, put it into "
            "an environment variable, and name that with api_key_env."
        )
