"""API calls on the official client: raw JSON in and out, and one error for all that can go wrong. No decisions here.

Typed models would cost five times the CPU and memory for a list of 10,000 objects, so none are made.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config.incluster_config import InClusterConfigLoader

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.observe.log import one_line

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts a pod's token and the cluster's CA, and replaces them as they are rotated."""

PAGE_SIZE = 250
"""Objects a page: fewer cost more round trips, and more cost memory without sparing CPU."""

_TIMEOUT = (5, 10)
"""Seconds to connect, and to wait for the next bytes of an answer."""

_BODY_SECONDS = 30
"""For the whole body of an answer, which may come in ever so small pieces."""

_LIST_SECONDS = 120
"""For all pages of a list: 50,000 objects take some seconds, and a server that never stops is ill."""

_CHUNK = 64 * 1024

_HINTS = {
    401: "the credentials were refused and are read anew for the next poll",
    403: "apply the RBAC of deploy.yml, or one that names this object",
}

_NO_ANSWER = (urllib3.exceptions.HTTPError, client.ApiException, config.ConfigException, OSError)


class KubeError(OperatorError):
    """A call that failed, in the server's own words. `status` is None when no answer came that could be read."""

    def __init__(self, call: str, problem: str, status: int | None = None) -> None:
        hint = _HINTS.get(status or 0)
        super().__init__(one_line(f"{call}: {problem}") + (f" ({hint})" if hint else ""))
        self.status = status


class Kube:
    """A connection to one API server, made when it is first needed, and anew once its credentials were refused."""

    def __init__(self, kubeconfig: str | None, context: str | None, service_account: Path = SERVICE_ACCOUNT) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._service_account = service_account
        self._client: client.ApiClient | None = None

    def connect(self) -> client.ApiClient:
        """Reads the credentials; calls nothing yet. Raises OperatorError if there are none that can be used."""
        try:
            self._client = client.ApiClient(self._configuration())
        except Exception as error:  # A malformed kubeconfig ends in whatever the client's loader trips over.
            raise OperatorError(f"no credentials from {self._origin}: {one_line(str(error))}") from error
        return self._client

    def items(self, path: str, kind: str) -> Iterator[Any]:
        """The items of a whole list; never more than one page of them is in memory.

        Raises KubeError, also in the middle, and then the list is worth nothing.
        """
        query = {"limit": str(PAGE_SIZE)}
        deadline = time.monotonic() + _LIST_SECONDS
        while True:
            if time.monotonic() > deadline:
                raise KubeError(f"GET {path}", f"the list did not come to its end in {_LIST_SECONDS} seconds")
            page = self._read(path, kind, query)
            items, token = page.get("items"), page["metadata"].get("continue")
            if not isinstance(items, list):
                raise KubeError(f"GET {path}", "the answer has no list of items")
            yield from items
            if not token:
                return
            query["continue"] = token
            del page, items  # before the next page comes

    def get(self, path: str, kind: str) -> Mapping[str, Any]:
        """One object. Raises KubeError."""
        return self._read(path, kind)

    def merge_patch(self, path: str, patch: Mapping[str, Any]) -> None:
        """Changes exactly the fields in the patch (RFC 7396).

        With `metadata.resourceVersion` in the patch the server answers 409 if the object is a newer one. Raises
        KubeError; without a status in it, or with one from 500 on, nobody knows whether it was made.
        """
        self._exchange("PATCH", path, body=patch)

    def _read(self, path: str, kind: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        data = self._exchange("GET", path, query=query)
        answer = _json(data)
        if not isinstance(answer, dict) or answer.get("kind") != kind or not isinstance(answer.get("metadata"), dict):
            raise KubeError(f"GET {path}", f"the answer is no {kind}: {data[:200]!r}")
        return answer

    def _exchange(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> bytes:
        """The body of an answer that says success."""
        call = f"{method} {path}"
        status, reason, data = self._answer(call, method, path, query, body)
        if status == 401:
            self._client = None
        if not 200 <= status <= 299:
            raise KubeError(call, f"{status} {reason}: {_message(data)}", status)
        return data

    def _answer(
        self, call: str, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> tuple[int, str, bytes]:
        connection = self._client or self.connect()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        parameters = list((query or {}).items())
        try:
            request = connection.param_serialize(
                method, path, None, parameters, headers, body, auth_settings=["BearerToken"]
            )
            response = connection.call_api(*request, _request_timeout=_TIMEOUT)
            return response.status, response.reason or "", _body(response.response)
        except _NO_ANSWER as error:
            raise KubeError(call, f"no answer from {connection.configuration.host}: {_cause(error)}") from error

    @property
    def _in_cluster(self) -> bool:
        return not (self._kubeconfig or self._context) and "KUBERNETES_SERVICE_HOST" in os.environ

    @property
    def _origin(self) -> str:
        """Where the credentials come from, for people."""
        if self._in_cluster:
            return f"the ServiceAccount in {self._service_account}"
        return f"kubeconfig {self._kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION}"

    def _configuration(self) -> client.Configuration:
        configuration = client.Configuration()
        # The next poll is the retry, and its error shall be the server's own and not "max retries exceeded".
        configuration.retries = False
        if self._in_cluster:
            token, authority = self._service_account / "token", self._service_account / "ca.crt"
            InClusterConfigLoader(str(token), str(authority)).load_and_set(configuration)
        else:
            files = (self._kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION).split(os.pathsep)
            if not any(Path(file).expanduser().exists() for file in files):
                raise config.ConfigException("there is no such file")
            config.load_kube_config(self._kubeconfig, self._context, configuration, persist_config=False)
        return configuration


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Reads an answer to its end. Raises TimeoutError, or what urllib3 raises."""
    deadline = time.monotonic() + _BODY_SECONDS
    pieces = []
    while piece := response.read1(_CHUNK):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the answer did not come to its end in {_BODY_SECONDS} seconds")
    return b"".join(pieces)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _message(data: bytes) -> str:
    """What the server said: a Status object's message (Kubernetes API conventions), or the body itself."""
    status = _json(data)
    if isinstance(status, dict) and status.get("message"):
        return str(status["message"])
    return data.decode(errors="replace") or "(no body)"


def _cause(error: Exception) -> str:
    """The error without the names of Python objects: what the system said, if it said something."""
    if isinstance(error, client.ApiException):
        return str(error.reason)
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return str(error).rpartition(": ")[2] or str(error)
    return str(error)
