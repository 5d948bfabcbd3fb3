"""The command `rollcall` in an operator's hands: on the deployed stack, with the settings of its function."""

import json
import os
import subprocess

from aws import OWNER, REGION
from clerk import DEBUG
from processes import AUTHORITY


def rollcall(stack, *arguments, settings=None):
    """Runs a command that takes `--json`. Answers with its exit status and what it has printed."""
    environment = {
        **stack.function("ReconcileFunction")["Environment"]["Variables"],
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": str(AUTHORITY),
        "AWS_ACCESS_KEY_ID": OWNER[0],
        "AWS_SECRET_ACCESS_KEY": OWNER[1],
        "AWS_REGION": REGION,
        **(settings or {}),
    }
    command = [DEBUG / "rollcall", *arguments, "--json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)
