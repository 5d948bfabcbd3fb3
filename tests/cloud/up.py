"""A stack on a local AWS for somebody who wants to look at it: `make cloud` starts it, Ctrl-C ends all of it."""

import shlex
import signal
import sys

from aws import OWNER, REGION, Aws
from clerk import Clerk
from deployment import package
from processes import AUTHORITY, LOGS, ROOT
from stack import Stack


def main():
    """Starts, says how to go on, and waits."""
    # As Ctrl-C, so that what was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = []
    try:
        print("starting the local AWS and Clerk …", file=sys.stderr)
        started.append(aws := Aws())
        started.append(clerk := Clerk("cloud", "--users", "3"))
        print("deploying template.yaml …", file=sys.stderr)
        stack = Stack(aws, "rollcall", package(aws), clerk, {"ReconcileState": "ENABLED"})
        clerk.deliver_to(stack.webhook_url)
        file = LOGS / "environment"
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables(stack).items()]
        # AWS's command line, for whoever has none.
        file.write_text("".join([*lines, f"export PATH=$PATH:{shlex.quote(str(ROOT / 'target/venv/bin'))}\n"]))
        print(TEXT.format(environment=file.relative_to(ROOT), logs=LOGS.relative_to(ROOT)), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    finally:
        for program in reversed(started):
            program.stop()


def variables(stack):
    """What AWS's tools, the operator's commands and curl go by."""
    return {
        "AWS_ENDPOINT_URL": stack.aws.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": OWNER[0],
        "AWS_SECRET_ACCESS_KEY": OWNER[1],
        # Whom AWS's command line, the operator's commands and curl trust.
        "AWS_CA_BUNDLE": str(AUTHORITY),
        "SSL_CERT_FILE": str(AUTHORITY),
        "CURL_CA_BUNDLE": str(AUTHORITY),
        "DIRECTORY_TABLE": stack.outputs["DirectoryTable"],
        "PROFILES_TABLE": stack.outputs["ProfilesTable"],
        "OPERATIONS_TABLE": stack.outputs["OperationsTable"],
        "BACKUP_BUCKET": stack.outputs["BackupBucket"],
        "ROLLCALL_SECRET_ARN": stack.secret,
        "CLERK_API_URL": stack.clerk.url,
        "CLERK_KEY": stack.clerk.secret_key,
        "API": stack.url(""),
        "RECONCILE": stack.outputs["ReconcileStateMachine"],
    }


TEXT = """
Rollcall is deployed. In another terminal:

    . {environment}

Somebody signs up in Clerk; the webhook brings the row, react the profile:

    curl -X POST $CLERK_API_URL/v1/users -H "Authorization: Bearer $CLERK_KEY" -H 'Content-Type: application/json' \\
         -d '{{"first_name":"Grace","last_name":"Hopper","email_address":["grace@example.com"]}}'
    aws dynamodb scan --table-name $DIRECTORY_TABLE
    aws dynamodb scan --table-name $PROFILES_TABLE

Reconcile, as every night, and what it has found:

    aws stepfunctions start-execution --state-machine-arn $RECONCILE --input '{{}}'
    cargo run -q -p rollcall-cli -- status --stack rollcall

The logs of the local AWS and of Clerk are in {logs}. Ctrl-C ends everything, and nothing is kept."""


if __name__ == "__main__":
    main()
