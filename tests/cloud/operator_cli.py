"""The command `rollcall` in an operator's hands: it is told the name of the stack, and no setting."""

import json
import os
import subprocess

from aws import OWNER, REGION
from clerk import DEBUG
from processes import AUTHORITY


def rollcall(stack, *arguments, settings=None):
    """Runs a command that takes `--json`. Answers with its exit status and what it has printed."""
    ran = run(stack, *arguments, "--json", settings=settings)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def run(stack, *arguments, settings=None, identity=OWNER, deployment=None):
    """Runs a command with these variables in its shell, as this identity of IAM, on this stack if no other is named."""
    environment = {
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": str(AUTHORITY),
        "AWS_ENDPOINT_URL": stack.aws.url,
        "AWS_ACCESS_KEY_ID": identity[0],
        "AWS_SECRET_ACCESS_KEY": identity[1],
        "AWS_REGION": REGION,
        **(settings or {}),
    }
    usual = [] if arguments[0] == "trigger" else ["--stack", stack.name]
    named = usual if deployment is None else deployment
    command = [DEBUG / "rollcall", *arguments, *named]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
