"""The Clerk emulator as Clerk: a process, its Backend API, its dials and its deliveries (emulator/README.md)."""

import json
import os
from pathlib import Path

import requests

from processes import ROOT, Program
from waits import until

DEBUG = Path(os.environ.get("ROLLCALL_DEBUG", ROOT / "target" / "debug"))
EMULATOR = DEBUG / "clerk-emulator"
# What the sessions of the emulator are for, unless told otherwise.
FRONT_END = "http://localhost:5173"


class Clerk:
    """An instance of Clerk."""

    def __init__(self, name, *arguments):
        self.name = name
        self.front_end = FRONT_END
        self._start(*arguments, "--port", "0")

    def _start(self, *arguments):
        command = [EMULATOR, "--json", *arguments]
        self.program = Program(f"clerk-{self.name}", command, wants_output=True)
        started = json.loads(self.program.first_line())
        self.url = started["url"]
        self.secret_key = started["secret_key"]
        self.webhook_secret = started["webhook_secret"]
        self.instance_id = started["instance_id"]
        self.issuer = started["issuer"]

    def stop(self):
        """Ends it."""
        self.program.stop()

    def restart(self, *arguments):
        """Ends it, and starts it again where it was. What it delivers to is forgotten."""
        self.stop()
        self._start(*arguments, "--port", self.url.rsplit(":", 1)[1])

    # The Backend API.

    def call(self, method, path, body=None):
        """A request that succeeds."""
        answer = requests.request(
            method, f"{self.url}{path}", json=body, headers={"Authorization": f"Bearer {self.secret_key}"}, timeout=60
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create_user(self, first_name="Ada", last_name="Example", **fields):
        """Somebody new, with an address."""
        address = f"{first_name}.{last_name}@example.com".lower()
        body = {"first_name": first_name, "last_name": last_name, "email_address": [address], **fields}
        return self.call("POST", "/v1/users", body)

    def user(self, user_id):
        """A user."""
        return self.call("GET", f"/v1/users/{user_id}")

    def update_user(self, user_id, **fields):
        """Changes a user."""
        return self.call("PATCH", f"/v1/users/{user_id}", fields)

    def delete_user(self, user_id):
        """Deletes a user."""
        return self.call("DELETE", f"/v1/users/{user_id}")

    def create_organization(self, name, created_by):
        """A new organization; whoever creates it administers it."""
        return self.call("POST", "/v1/organizations", {"name": name, "created_by": created_by})

    def delete_organization(self, organization_id):
        """Deletes an organization."""
        return self.call("DELETE", f"/v1/organizations/{organization_id}")

    def session_token(self, user_id, organization_id=None):
        """A token of a new session, as the browser of the user has it."""
        session = {"user_id": user_id}
        if organization_id:
            session["active_organization_id"] = organization_id
        created = self.call("POST", "/v1/sessions", session)
        return self.call("POST", f"/v1/sessions/{created['id']}/tokens", {})["jwt"]

    def token(self, user_id, **claims):
        """A token with these claims beside the usual ones."""
        return self._dial("POST", "tokens", {"user_id": user_id, "claims": claims})["jwt"]

    # Webhooks.

    def deliver_to(self, url, secret=None):
        """Adds an endpoint."""
        self._dial("POST", "endpoints", {"url": url, "secret": secret or self.webhook_secret})

    def deliveries(self, entity_id=None, endpoint=None):
        """Messages and their attempts, of one entity or to one endpoint."""
        return [
            it
            for it in self._dial("GET", "deliveries")
            if entity_id in (None, it["entity_id"]) and endpoint in (None, it["endpoint"])
        ]

    def delivered(self, entity_id, kind=None, seconds=30):
        """Waits until a message about an entity is delivered."""

        def arrived():
            messages = self.deliveries(entity_id)
            messages = [it for it in messages if kind in (None, it["type"])]
            assert messages and all(it["state"] == "delivered" for it in messages), messages
            return messages

        return until(f"{kind or 'everything'} about {entity_id} is delivered", arrived, seconds)

    def attempted(self, entity_id, endpoint=None):
        """Messages about an entity that were tried at least once."""
        return [it for it in self.deliveries(entity_id, endpoint) if it["attempts"]]

    def replay(self, svix_id):
        """Sends a message again, and waits until nothing is under way."""
        self._dial("POST", f"deliveries/{svix_id}/replay")
        self._dial("POST", "settle")

    # Dials.

    def faults(self, webhooks=None, api=None):
        """Turns the dials; what is not named is at rest."""
        self._dial("PUT", "faults", {"webhooks": webhooks or {}, "api": api or {}})

    def requests(self):
        """How often each operation was called."""
        return self._dial("GET", "requests")

    def _dial(self, method, path, body=None):
        answer = requests.request(method, f"{self.url}/_emulator/{path}", json=body, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None
