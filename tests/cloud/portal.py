"""The endpoints of a Clerk instance at Svix, whose API the emulator has, too."""

import base64
import json

import requests


class Portal:
    """A key of the instance's application at Svix."""

    def __init__(self, clerk):
        link = clerk.call("POST", "/v1/webhooks/svix_url", {})["svix_url"]
        key = json.loads(base64.b64decode(link.split("#key=")[1]))
        self.base = f"{clerk.url}/api/v1"
        self.app = f"/app/{key['appId']}/endpoint"
        self.headers = {}
        token = self._call("POST", "/auth/one-time-token", {"oneTimeToken": key["oneTimeToken"]})["token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def _call(self, method, path, body=None):
        answer = requests.request(method, f"{self.base}{path}", json=body, headers=self.headers, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def endpoints(self):
        """All endpoints."""
        return self._call("GET", f"{self.app}?limit=250")["data"]

    def secret(self, endpoint):
        """The signing secret of an endpoint."""
        return self._call("GET", f"{self.app}/{endpoint['id']}/secret")["key"]

    def change(self, endpoint, **fields):
        """Changes an endpoint as somebody does it in the dashboard."""
        self._call("PATCH", f"{self.app}/{endpoint['id']}", fields)

    def delete(self, endpoint):
        """Deletes an endpoint."""
        self._call("DELETE", f"{self.app}/{endpoint['id']}")


def has_application(clerk):
    """Whether the instance has an application at Svix: Clerk makes it with the first endpoint."""
    answer = _webhooks(clerk, "POST", "svix_url")
    assert answer.ok or "svix_app_missing" in answer.text, answer.text
    return answer.ok


def without_application(clerk):
    """Deletes the application with its endpoints, if there is one."""
    answer = _webhooks(clerk, "DELETE", "svix")
    assert answer.ok or "svix_app_missing" in answer.text, answer.text


def _webhooks(clerk, method, path):
    headers = {"Authorization": f"Bearer {clerk.secret_key}"}
    return requests.request(method, f"{clerk.url}/v1/webhooks/{path}", json={}, headers=headers, timeout=60)
