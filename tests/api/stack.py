"""The local stack, `rollcall dev`, with everything switched on, and what its Clerk, its database and its tokens offer."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
ROLLCALL = os.environ.get("ROLLCALL_BIN", str(ROOT / "target" / "debug" / "rollcall"))
LOGS = ROOT / "target" / "api-test"

ORIGIN = "https://app.example.com"
SETTINGS = {
    "ALLOWED_ORIGINS": ORIGIN,
    "PROFILE_WRITABLE": "*",
    "ACCOUNT_DELETION": "on",
    "USER_VISIBILITY": "signed-in",
    # /sync and DELETE /me ask Clerk once per request.
    "CLERK_RATE_SHARE": "100",
    "SUPPORT_CONTACT": "help@example.com",
}


def until(what, condition, seconds=30):
    """Waits until a condition holds, and answers with its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


class Stack:
    """A stack of its own on free ports of 127.0.0.1, in memory."""

    def __init__(self):
        LOGS.mkdir(parents=True, exist_ok=True)
        # Nothing from the environment of the tests: no credentials, no proxy, no settings of Rollcall.
        environment = {"PATH": os.environ["PATH"], "HOME": str(LOGS), "TMPDIR": str(LOGS), **SETTINGS}
        ports = [f"--{name}port=0" for name in ("", "clerk-", "dynamodb-")]
        with (LOGS / "stack.log").open("wb") as log:
            self.process = subprocess.Popen(
                [ROLLCALL, "dev", *ports, "--memory", "--users=0", "--json"],
                cwd=LOGS,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, f"the stack stopped; {LOGS}/stack.log says why"
        self.addresses = json.loads(line)
        self.api = self.addresses["api"]
        self.http = requests.Session()
        self.http.trust_env = False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def clerk(self, method, path, body=None):
        """A request to Clerk's Backend API."""
        headers = {"Authorization": f"Bearer {self.addresses['clerk_secret_key']}"}
        url = f"{self.addresses['clerk']}/v1{path}"
        answer = self.http.request(method, url, headers=headers, json=body, timeout=10)
        assert answer.ok, f"{method} {path}: {answer.text}"
        return answer.json()

    def user(self, name, **further):
        email = f"{name.lower()}@example.com"
        user = {"first_name": name, "last_name": "Example", "email_address": [email], **further}
        return self.clerk("POST", "/users", user)["id"]

    def organization(self, name, administrator):
        return self.clerk("POST", "/organizations", {"name": name, "created_by": administrator})["id"]

    def join(self, organization, user, role="org:member"):
        self.clerk("POST", f"/organizations/{organization}/memberships", {"user_id": user, "role": role})

    def token(self, user, **request):
        """A token that Clerk may or may not issue: emulator/README.md, Sessions."""
        request.setdefault("expires_in", 3600)
        request["claims"] = {"azp": ORIGIN, "fva": [0, -1], **request.get("claims", {})}
        url = f"{self.addresses['clerk']}/_emulator/tokens"
        answer = self.http.post(url, json={"user_id": user, **request}, timeout=10)
        assert answer.ok, answer.text
        return answer.json()["jwt"]

    def get(self, path, token):
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.get(self.api + path, headers=headers, timeout=10)

    def arrived(self, user):
        """Waits until the webhook has brought a user, and react has made the record and has written back to Clerk."""
        token = self.token(user)

        def copy():
            answer, record = self.get("/me", token), self.get("/me/profile", token)
            if answer.status_code == record.status_code == 200:
                user = answer.json()["user"]
                return "dbId" in user.get("public_metadata", {}) and user

        return until(f"{user} has arrived", copy)

    def database(self, operation, **request):
        """A request to DynamoDB, which looks at no signature."""
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=00",
            "X-Amz-Date": "20260101T000000Z",
        }
        answer = self.http.post(self.addresses["dynamodb"], data=json.dumps(request), headers=headers, timeout=10)
        assert answer.ok, f"{operation}: {answer.text}"
        return answer.json()

    def forget_record(self, internal_id):
        """Removes the record of a user, as an operator might."""
        key = {"pk": {"S": f"USER#{internal_id}"}, "sk": {"S": "PROFILE"}}
        self.database("DeleteItem", TableName=self.addresses["profiles_table"], Key=key)

    def signed(self, body):
        """The headers with which Svix delivers a body.

        https://docs.svix.com/receiving/verifying-payloads/how-manual
        """
        id, timestamp = f"msg_{hashlib.sha256(body).hexdigest()[:27]}", str(int(time.time()))
        key = base64.b64decode(self.addresses["webhook_secret"].removeprefix("whsec_"))
        signature = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(signature).decode()}"
        return {"svix-id": id, "svix-timestamp": timestamp, "svix-signature": signature}
