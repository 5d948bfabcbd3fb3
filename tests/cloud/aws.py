"""MiniStack: AWS in one process on 127.0.0.1, with IAM evaluated."""

import sys
from functools import lru_cache
from pathlib import Path

import boto3
import requests
from botocore.config import Config

from processes import AUTHORITY, CERTIFICATE, KEY, Program, free_port

REGION = "us-east-1"
# The owner of the account: key and secret.
OWNER = ("test", "test")

# What a client does where MiniStack is slow: wait for it, and not ask twice, as the second answer would be another one.
PATIENT = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, s3={"addressing_style": "path"})


class Aws:
    """The local AWS, and its clients."""

    def __init__(self):
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        environment = {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            # Names in answers that clients follow, such as the URL of a queue.
            "MINISTACK_HOST": "127.0.0.1",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(CERTIFICATE),
            "MINISTACK_SSL_KEY": str(KEY),
            # It listens beside its port for these two.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Each request needs a signature, and IAM's consent.
            "AUTH": "true",
            # Who called what, so that requests can be counted.
            "CLOUDTRAIL_RECORDING": "1",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            # What a state machine waits between two attempts, a hundredth of the time.
            "SFN_WAIT_SCALE": "0.01",
            # Functions run as processes of this machine, never in containers.
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": "INFO",
        }
        self.program = Program("ministack", [sys.executable, Path(__file__).parent / "local_aws.py"], environment)
        self.program.ready(self._answers, 30)

    def _answers(self):
        try:
            return requests.get(f"{self.url}/_ministack/ready", timeout=5, verify=AUTHORITY).ok
        except requests.ConnectionError:
            return False

    @lru_cache
    def client(self, service, credentials=None):
        """A client of a service: as the owner of the account, or with somebody's (key, secret, token)."""
        key, secret, token = credentials or (*OWNER, None)
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=PATIENT,
            verify=str(AUTHORITY),
        )

    @lru_cache
    def dynamodb(self):
        """DynamoDB with values as Python has them."""
        return boto3.resource(
            "dynamodb",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=OWNER[0],
            aws_secret_access_key=OWNER[1],
            config=PATIENT,
            verify=str(AUTHORITY),
        )

    def stop(self):
        """Ends it, and all functions with it."""
        self.program.stop()
