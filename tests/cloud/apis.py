"""APIs of an application, which name the deployed authorizer."""

import requests

from aws import REGION
from processes import AUTHORITY


def invocation(arn):
    """Where API Gateway calls a function."""
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def ask(url, token=None, **headers):
    """A request with a session token."""
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(url, headers=headers, timeout=20, verify=AUTHORITY)
