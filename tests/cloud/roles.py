"""What a role may do, found out by doing it: the calls are made with the credentials that Lambda gives the role.

Nobody but Lambda may assume the roles of the functions. So a function is made that uses the role and answers with the
credentials that it was given, as it would on AWS.
"""

import json
import zipfile
from io import BytesIO

from botocore.exceptions import ClientError

PROBE = """
import os

def handler(event, context):
    return [os.environ[it] for it in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""
DENIED = {"AccessDenied", "AccessDeniedException"}


def credentials(stack, role):
    """The credentials of a function with the role: key, secret and token."""
    function = f"{stack.name}-probe-{role}"
    code = BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("probe.py", PROBE)
    client = stack.client("lambda")
    client.create_function(
        FunctionName=function,
        Runtime="python3.12",
        Handler="probe.handler",
        Role=stack.client("iam").get_role(RoleName=stack.resources[role])["Role"]["Arn"],
        Code={"ZipFile": code.getvalue()},
    )
    answer = client.invoke(FunctionName=function)
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return tuple(body)


class Holder:
    """Somebody with credentials: key, secret and token."""

    def __init__(self, aws, credentials):
        self.aws = aws
        self.credentials = credentials

    def may(self, service, operation, **request):
        """Whether IAM lets a call through, whatever becomes of it then."""
        try:
            getattr(self.aws.client(service, self.credentials), operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # Only these say that it was let through; whatever else is wrong is a mistake in the test.
            if code not in DENIED | {"ConditionalCheckFailedException", "TransactionCanceledException"}:
                raise
            return code not in DENIED
        return True


class Role(Holder):
    """Somebody with the rights of a function."""

    def __init__(self, stack, role):
        super().__init__(stack.aws, credentials(stack, role))
