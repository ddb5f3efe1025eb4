"""API calls on the official client: raw JSON in and out, and one error for all that can go wrong. No decisions here.

Typed models would cost five times the CPU and memory for a list of 10,000 objects, so none are made.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
from kubernetes import client, config
from kubernetes.config.incluster_config import InClusterConfigLoader

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.names import FIELD_MANAGER
from hairpin_proxy.observe.log import one_line, quoted

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts a pod's token and the cluster's CA, and replaces them as they are rotated."""

PAGE_SIZE = 250
"""Objects a page: fewer cost more round trips, and more cost memory without sparing CPU."""

_CONNECT_SECONDS, _READ_SECONDS = 5, 10
"""To connect, and to wait for the next bytes of an answer."""

WATCH_SECONDS = 290
"""The longest that a watch may last: below the five minutes after which load balancers tend to cut what is idle."""

OVERTIME = 5
"""Seconds after which a watch is given up that has not ended when it should have."""

_LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of an event: far more than any object that an API server stores."""

_BODY_SECONDS = 30
"""For the whole body of an answer, which may come in ever so small pieces."""

_LIST_SECONDS = 120
"""For all pages of a list: 50,000 objects take some seconds, and a server that never stops is ill."""

_LONGEST_RETRY_AFTER = 60.0
"""Seconds for which a server is left alone at the most, whatever it asks for."""

_HEAD_START = 3.0
"""Seconds between the heads of requests that go together and their bodies: ample to authorize them, also for a server
that is busy with an uninstall."""

_CHUNK = 64 * 1024

_HINTS = {
    401: "the credentials were refused; they are read anew for the next call",
    403: "the RBAC in the manifest that this was installed with has to allow it, for this object",
}

_NO_ANSWER = (urllib3.exceptions.HTTPError, client.ApiException, config.ConfigException, OSError)


class KubeError(OperatorError):
    """A call that failed, in the server's own words. `status` is None when no answer came that could be read."""

    def __init__(self, call: str, problem: str, status: int | None = None, retry_after: float = 0.0) -> None:
        hint = _HINTS.get(status or 0)
        super().__init__(one_line(f"{call}: {problem}") + (f" ({hint})" if hint else ""), retry_after)
        self.status = status
        self.is_forbidden_by_rbac = status == 403 and "cannot " in problem
        """As the API server words it; a 403 of an admission plugin says something else."""

        self.is_refused_write = call.startswith("PATCH ") and 400 <= (status or 0) < 500 and status != 409
        """Whether a change was surely not made, and not for a newer state of the object, which is everyday."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request. str() of it names the call for people."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    optional: bool = False
    """Whether nothing is missing if we have no right to it."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Listing(NamedTuple):
    """A part of a list."""

    items: Sequence[Any]
    version: str
    """The resourceVersion of the whole list; empty if the server says none."""


class Event(NamedTuple):
    """What became of an object of a collection."""

    kind: str
    """ADDED, MODIFIED or DELETED; or BOOKMARK, of which only the resourceVersion counts."""

    item: Mapping[str, Any]
    """With `metadata`, and whatever else the server sent."""


class Kube:
    """A connection to one API server, made when it is first needed, and anew once its credentials were refused."""

    def __init__(
        self,
        kubeconfig: str | None,
        context: str | None,
        service_account: Path = SERVICE_ACCOUNT,
        failed: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        """`failed` is told of each call that fails, with its status; threads call it too."""
        self._failed = failed
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

    def twin(self) -> "Kube":
        """Another connection to the same server, for another thread."""
        return Kube(self._kubeconfig, self._context, self._service_account, self._failed)

    @property
    def namespace(self) -> str | None:
        """The namespace of the pod that this runs in; None outside of one."""
        try:
            return (self._service_account / "namespace").read_text().strip() if self._in_cluster else None
        except OSError:
            return None

    def items(self, path: str, kind: str, **selectors: str) -> Iterator[Any]:
        """The items of a whole list, as `pages` has them."""
        for page in self.pages(path, kind, **selectors):
            yield from page.items
            del page  # before the next one comes

    def pages(self, path: str, kind: str, **selectors: str) -> Iterator[Listing]:
        """A whole list, part by part; whoever lets go of one before the next has never more than one in memory.

        The selectors are labelSelector and fieldSelector. Raises KubeError, also in the middle, and then the list is
        worth nothing.
        """
        query = {"limit": str(PAGE_SIZE), **selectors}
        deadline = time.monotonic() + _LIST_SECONDS
        while True:
            if time.monotonic() > deadline:
                raise self._error(f"GET {path}", f"the list did not come to its end in {_LIST_SECONDS} seconds")
            page = self._read(path, kind, query)
            items, token = page.get("items"), page["metadata"].get("continue")
            if not isinstance(items, list):
                raise self._error(f"GET {path}", "the answer has no list of items")
            if "continue" in query and not (items or token or selectors):
                raise self._error(
                    f"GET {path}", "the last page is empty, although the one before it said there is more"
                )
            yield Listing(items, str(page["metadata"].get("resourceVersion") or ""))
            if not token:
                return
            query["continue"] = token
            del page, items  # before the next page comes

    def get(self, path: str, kind: str, *, optional: bool = False) -> Mapping[str, Any]:
        """One object. Raises KubeError, of which nobody else is told if it is `optional` and we have no right to it."""
        return self._read(path, kind, optional=optional)

    def watch(self, path: str, version: str, seconds: int = WATCH_SECONDS, **query: str) -> Iterator[Event]:
        """The events of a collection since it had this resourceVersion; with "0", from some state of late on.

        The query is a fieldSelector, or allowWatchBookmarks; with "0", an API server over an old etcd refuses those.

        The server ends it after so many seconds, and it is to be called again then, with the resourceVersion of the
        last event. An event may come after the right to ask for it is gone, for a watch is authorized when it begins.
        Raises KubeError: with status 410 if that resourceVersion is too old, and also if the server does not end it.
        """
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds), **query}
        call = _Call("GET", path, query)
        deadline = time.monotonic() + seconds + OVERTIME
        response = self._answer(call, read_seconds=seconds + OVERTIME)
        try:
            if response.status != 200:
                raise self._refusal(call, response, _body(response))
            for line in _lines(response, deadline):
                event = _event(line)
                if event.kind == "ERROR":
                    raise self._error(str(call), str(event.item.get("message")), event.item.get("code"))
                yield event
        except _NO_ANSWER as error:
            raise self._no_answer(call, error) from error
        except (TypeError, KeyError) as error:
            raise self._error(str(call), f"the answer holds what is no event: {error!r}") from error
        finally:
            response.close()

    def merge_patch(self, path: str, patch: Mapping[str, Any]) -> None:
        """Changes exactly the fields in the patch (RFC 7396).

        With `metadata.resourceVersion` in the patch the server answers 409 if the object is a newer one. Raises
        KubeError; without a status in it, or with one from 500 on, nobody knows whether it was made.
        """
        self._exchange(_Call("PATCH", path, {"fieldManager": FIELD_MANAGER}, patch))

    def create(self, path: str, item: Mapping[str, Any]) -> None:
        """Makes an object in this collection. Raises KubeError."""
        self._exchange(_Call("POST", path, {"fieldManager": FIELD_MANAGER}, item))

    def review(self, path: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to an access review, which asks who may do what and changes nothing. Raises KubeError."""
        answer = _json(self._exchange(_Call("POST", path, body=review)))
        if not isinstance(answer, dict) or answer.get("kind") != review["kind"]:
            raise KubeError(f"POST {path}", f"the answer is no {review['kind']}")
        return answer

    def patch_together(self, patches: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, KubeError]:
        """Makes one JSON patch (RFC 6902) on each path, also if each takes away the right to make the others.

        An API server authorizes a request by its head, before it reads the body: all heads go first, the bodies
        seconds later. If one of them cannot be sent, none is made. Returns the failures by path.
        """
        if not patches:
            return {}
        connection = self._client or self.connect()
        ready = threading.Barrier(len(patches), action=lambda: time.sleep(_HEAD_START))
        with ThreadPoolExecutor(len(patches)) as threads:
            made = {path: threads.submit(_patch_late, connection, path, body, ready) for path, body in patches.items()}
        failures = {}
        for path, patch in made.items():
            try:
                patch.result()
            except KubeError as error:
                self._failed(error.status)
                failures[path] = error
        return failures

    def _read(
        self, path: str, kind: str, query: Mapping[str, str] | None = None, *, optional: bool = False
    ) -> Mapping[str, Any]:
        data = self._exchange(_Call("GET", path, query, optional=optional))
        answer = _json(data)
        if not isinstance(answer, dict) or answer.get("kind") != kind or not isinstance(answer.get("metadata"), dict):
            raise self._error(f"GET {path}", f"the answer is no {kind}: {_what(answer, data)}")
        return answer

    def _exchange(self, call: _Call) -> bytes:
        """The body of an answer that says success."""
        response = self._answer(call)
        try:
            data = _body(response)
        except _NO_ANSWER as error:
            raise self._no_answer(call, error) from error
        if not 200 <= response.status <= 299:
            raise self._refusal(call, response, data)
        return data

    def _answer(self, call: _Call, read_seconds: float = _READ_SECONDS) -> urllib3.BaseHTTPResponse:
        """The answer with its body still to be read."""
        connection = self._client or self.connect()
        headers = {"Accept": "application/json"}
        if call.body is not None:
            headers["Content-Type"] = "application/json" if call.method == "POST" else "application/merge-patch+json"
        parameters = list((call.query or {}).items())
        try:
            request = connection.param_serialize(
                call.method, call.path, None, parameters, headers, call.body, auth_settings=["BearerToken"]
            )
            response = connection.call_api(*request, _request_timeout=(_CONNECT_SECONDS, read_seconds))
        except _NO_ANSWER as error:
            raise self._no_answer(call, error) from error
        answer: urllib3.BaseHTTPResponse = response.response
        return answer

    def _refusal(self, call: _Call, response: urllib3.BaseHTTPResponse, data: bytes) -> KubeError:
        if response.status == 401:
            self._client = None
        problem = f"{response.status} {response.reason or ''}: {_message(data)}"
        if call.optional and response.status == 403:
            return KubeError(str(call), problem, response.status)
        return self._error(str(call), problem, response.status, _retry_after(response))

    def _no_answer(self, call: _Call, error: Exception) -> KubeError:
        host = self._client.configuration.host if self._client else "the API server"
        hint = ""
        if isinstance(error, client.ApiException):  # as which the client raises whatever is wrong with TLS
            self._client, hint = None, "; the CA is read anew for the next call"
        return self._error(str(call), f"no answer from {host}: {_cause(error)}{hint}")

    def _error(self, call: str, problem: str, status: int | None = None, retry_after: float = 0.0) -> KubeError:
        self._failed(status)
        return KubeError(call, problem, status, retry_after)

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


def _patch_late(
    connection: client.ApiClient, path: str, patch: Sequence[Mapping[str, Any]], ready: threading.Barrier
) -> None:
    """Sends the head of a JSON patch, waits for the others, and then sends its body. One that cannot come ends all."""

    def body() -> Iterator[bytes]:
        # urllib3 asks for the first piece when it has sent the head.
        ready.wait(_HEAD_START + _CONNECT_SECONDS + _READ_SECONDS)
        yield json.dumps(patch).encode()

    call = f"PATCH {path}"
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    headers = {"Accept": "application/json", "Content-Type": "application/json-patch+json"}
    _, url, headers, *_ = connection.param_serialize(
        "PATCH", path, None, [], headers, None, auth_settings=["BearerToken"]
    )
    try:
        response = connection.rest_client.pool_manager.request(
            "PATCH", url, headers=headers, body=body(), timeout=timeout
        )
    except _NO_ANSWER as error:
        ready.abort()
        raise KubeError(call, f"no answer from {connection.configuration.host}: {_cause(error)}") from error
    except threading.BrokenBarrierError as error:
        raise KubeError(call, "not made, because it goes together with one that could not be made") from error
    if not 200 <= response.status <= 299:
        raise KubeError(call, f"{response.status} {response.reason}: {_message(response.data)}", response.status)


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Reads an answer to its end. Raises TimeoutError, or what urllib3 raises."""
    deadline = time.monotonic() + _BODY_SECONDS
    pieces = []
    while piece := response.read1(_CHUNK):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the answer did not come to its end in {_BODY_SECONDS} seconds")
    return b"".join(pieces)


def _lines(response: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
    """Those that came to their end. Raises TimeoutError, or what urllib3 raises."""
    rest = b""
    while piece := response.read1(_CHUNK):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if time.monotonic() > deadline:
            raise TimeoutError("it should have ended by itself")
        if len(rest) > _LONGEST_LINE:
            raise TimeoutError(f"an event of more than {_LONGEST_LINE} bytes has no end")


def _event(line: bytes) -> Event:
    """Raises TypeError or KeyError for what is none. An error's object is a Status."""
    event = _json(line)
    kind, item = event["type"], event["object"]
    if not isinstance(item, dict) or not (kind == "ERROR" or isinstance(item["metadata"], dict)):
        raise TypeError(f"{line[:200]!r}")
    return Event(str(kind), item)


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds for which the server does not want to be asked again; a date in their place counts as none."""
    value = response.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_RETRY_AFTER) if value.isdecimal() else 0.0


def _what(answer: Any, data: bytes) -> str:
    """What came, for people; of an object only its kind, for the rest of it is another one each time."""
    if not isinstance(answer, dict):
        return repr(data[:200])
    if not isinstance(answer.get("metadata"), dict):
        return "it has no metadata"
    return f"it is of kind {quoted(str(answer.get('kind')))}"


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
