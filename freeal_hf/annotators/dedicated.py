"""Starts a dedicated Inference Endpoint that is paused or scaled to zero, and stops it again after the run."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import InferenceEndpoint, InferenceEndpointStatus, get_inference_endpoint
from huggingface_hub.errors import InferenceEndpointError
from huggingface_hub.utils import get_session

from freeal_hf.annotators.http_errors import HTTP_ERRORS, explained
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError

logger = logging.getLogger(__name__)

_CALL_ERRORS: tuple[type[Exception], ...] = (*HTTP_ERRORS, InferenceEndpointError)
POLL_SECONDS = 5.0
"""Time in seconds between two checks of an endpoint that is starting."""

_BROKEN = (InferenceEndpointStatus.FAILED, InferenceEndpointStatus.UPDATE_FAILED)


class DedicatedEndpoint:
    """A dedicated endpoint. Calls can be nested: the first `open` starts it, and the last `close` stops it.

    Args:
        name (`str`): The name of the endpoint.
        namespace (`str`, *optional*): The owner. Defaults to the owner of the token.
        token (`str`, *optional*): The Hugging Face token. Defaults to the saved one.
        wait_seconds (`float`, *optional*, defaults to 1800.0): The maximum time in seconds to start.
    """

    def __init__(
        self,
        name: str,
        namespace: str | None = None,
        token: str | None = None,
        *,
        wait_seconds: float = 1800.0,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.wait_seconds = wait_seconds
        self._token = token
        self._depth = 0
        self._endpoint: InferenceEndpoint | None = None
        self._slept_as: str | None = None  # the state before this object started it

    def open(self) -> str:
        """Starts the endpoint if it is stopped, waits until it answers, and returns its URL.

        Returns:
            `str`: The URL.

        Raises:
            AnnotatorError: If there is no such endpoint, the token has no permission, or it does not start.
        """
        if self._depth == 0:
            try:
                with self._explained():
                    self._wake()
            except BaseException:
                self._sleep()
                raise
        self._depth += 1
        return self._url()

    def close(self) -> None:
        """Pauses the endpoint or scales it to zero, as before, if this object started it.

        Raises:
            AnnotatorError: If it cannot be stopped. It is then still running and costs money.
        """
        self._depth -= 1
        if self._depth == 0:
            self._sleep()

    def _wake(self) -> None:
        endpoint = get_inference_endpoint(self.name, namespace=self.namespace, token=self._token)
        self._endpoint = endpoint
        if endpoint.status == InferenceEndpointStatus.PAUSED:
            self._slept_as = _state(endpoint)
            logger.info("Endpoint %s is paused; resuming it.", self.name)
            endpoint.resume()
        elif endpoint.status == InferenceEndpointStatus.SCALED_TO_ZERO:
            self._slept_as = _state(endpoint)
            logger.info("Endpoint %s is scaled to zero; starting it with a request.", self.name)
            self._is_healthy()
        started = time.monotonic()
        while not (endpoint.status == InferenceEndpointStatus.RUNNING and endpoint.url and self._is_healthy()):
            waited = time.monotonic() - started
            if endpoint.status in _BROKEN:
                raise AnnotatorError(
                    f"Endpoint {self.name!r} failed to start ({_state(endpoint)}); see its logs: "
                    f"https://endpoints.huggingface.co/{endpoint.namespace}/endpoints/{self.name}"
                )
            if waited > self.wait_seconds:
                raise AnnotatorError(
                    f"Endpoint {self.name!r} is still {_state(endpoint)} after {waited:.0f} s; start the run "
                    "again when it is running."
                )
            logger.info("Endpoint %s is %s, waiting (%.0f s so far).", self.name, _state(endpoint), waited)
            time.sleep(POLL_SECONDS)
            endpoint.fetch()

    def _is_healthy(self) -> bool:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        assert self._endpoint is not None
        address = f"{self._url()}/{self._endpoint.health_route.lstrip('/')}"
        try:
            return bool(get_session().get(address, headers=headers, timeout=30).status_code == 200)
        except HTTP_ERRORS:
            return False  # the name or the port does not exist yet; `wait_seconds` limits the time to wait

    def _url(self) -> str:
        assert self._endpoint is not None
        return (self._endpoint.url or "").rstrip("/")

    def _sleep(self) -> None:
        if self._endpoint is None or self._slept_as is None:
            return
        slept_as, self._slept_as = self._slept_as, None
        try:
            if slept_as == InferenceEndpointStatus.PAUSED:
                self._endpoint.pause()
            else:
                self._endpoint.scale_to_zero()
        except _CALL_ERRORS as error:
            raise AnnotatorError(
                f"Endpoint {self.name!r} was started by this run and could not be paused again "
                f"({type(error).__name__}). It is still running and costs money: pause it at "
                f"https://endpoints.huggingface.co/{self._endpoint.namespace}/endpoints/{self.name}"
            ) from error
        logger.info("Endpoint %s is stopped again (%s).", self.name, slept_as)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except InferenceEndpointError as error:
            raise AnnotatorError(f"Endpoint {self.name!r}: {error}") from error
        except HTTP_ERRORS as error:
            reason = explained(error, f"endpoint {self.name!r}", self._token)
            if isinstance(reason, TransientError | RefusedError):
                raise AnnotatorError(str(reason)) from error
            raise reason from error


def _state(endpoint: InferenceEndpoint) -> str:
    return InferenceEndpointStatus(endpoint.status).value  # huggingface_hub returns a plain string
