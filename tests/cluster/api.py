"""The least it takes to talk to an API server with the standard library: JSON over one kept connection."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ApiError(RuntimeError):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Access:
    """Who asks which API server."""

    port: int
    token: str
    ca: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def write_kubeconfig(self, path: Path) -> Path:
        ca = base64.b64encode(self.ca.read_bytes()).decode()
        path.touch(mode=0o600)
        path.write_text(
            "apiVersion: v1\n"
            "kind: Config\n"
            "current-context: local\n"
            "contexts: [{name: local, context: {cluster: local, user: local}}]\n"
            f"clusters: [{{name: local, cluster: {{server: '{self.url}',\n"
            f"  certificate-authority-data: {ca}}}}}]\n"
            f"users: [{{name: local, user: {{token: {self.token}}}}}]\n"
        )
        return path


class Api:
    """One connection to the API server, for one thread."""

    def __init__(self, access: Access) -> None:
        context = ssl.create_default_context(cafile=str(access.ca))
        self._connection = http.client.HTTPSConnection("127.0.0.1", access.port, timeout=60, context=context)
        self._headers = {"Authorization": f"Bearer {access.token}"}

    def get(self, path: str) -> Any:
        return self._request("GET", path, None)

    def version(self, path: str) -> str:
        """An object's resourceVersion, without the rest of a large one."""
        metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        return str(self._request("GET", path, None, accept=metadata)["metadata"]["resourceVersion"])

    def create(self, path: str, item: dict[str, Any]) -> Any:
        return self._request("POST", path, item)

    def apply(self, path: str, item: dict[str, Any]) -> Any:
        """Creates or changes an object: server-side apply."""
        return self._request("PATCH", f"{path}?fieldManager=tests&force=true", item, "application/apply-patch+yaml")

    def merge_patch(self, path: str, patch: dict[str, Any]) -> Any:
        return self._request("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, path: str) -> Any:
        """Deletes an object, or all of a collection."""
        return self._request("DELETE", path, None)

    def versions(self, collection: str, name: str, since: str) -> list[Any]:
        """All that an object has been since this resourceVersion, oldest first. The server remembers five minutes."""
        now = self.get(f"{collection}/{name}")
        found = [now]
        if now["metadata"]["resourceVersion"] == since:
            return found
        query = f"watch=true&resourceVersion={since}&fieldSelector=metadata.name%3D{name}&timeoutSeconds=10"
        self._connection.request("GET", f"{collection}?{query}", headers=self._headers)
        answer = self._connection.getresponse()
        try:
            for line in answer:
                event = json.loads(line)
                found.append(event["object"])
                if event["object"]["metadata"].get("resourceVersion") == now["metadata"]["resourceVersion"]:
                    break
        finally:
            self.close()
        return found

    def _request(
        self,
        method: str,
        path: str,
        item: dict[str, Any] | None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        body = None if item is None else json.dumps(item)
        headers = self._headers | {"Content-Type": content_type, "Accept": accept}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def close(self) -> None:
        self._connection.close()


def answers(access: Access) -> bool:
    """Whether the API server is ready."""
    api = Api(access)
    try:
        return bool(api.get("/readyz") == "ok")
    except ApiError:
        return False
    finally:
        api.close()
