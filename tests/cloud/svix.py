"""Events that the emulator does not send, signed as Svix signs.

https://docs.svix.com/receiving/verifying-payloads/how-manual
"""

import base64
import hashlib
import hmac
import json
import time
import uuid

import requests

from processes import AUTHORITY


def deliver(url, secret, event):
    """Delivers an event, signed with a secret. Answers with the answer."""
    body = json.dumps(event)
    id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.new(key, f"{id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "svix-id": id,
        "svix-timestamp": timestamp,
        "svix-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    return requests.post(url, data=body, headers=headers, timeout=20, verify=AUTHORITY)
