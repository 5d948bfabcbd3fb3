"""Scenes that take a minute: begun before all tests, and looked at after them. AWS and Rollcall set these times."""

import time
from dataclasses import dataclass

import pytest

from processes import LOGS
from stack import Stack

SCENES = {"scheduled", "given_up", "rotated", "late"}


@pytest.fixture(scope="session")
def scheduled(deploy):
    """A user whose events are lost, where reconcile starts every minute, which is the shortest rate there is."""
    stack = deploy("scheduled", ReconcileSchedule="rate(1 minute)", ReconcileState="ENABLED")
    stack.clerk.faults(webhooks={"drop": 1})
    return stack, stack.clerk.create_user("Mary", "Jackson")


@pytest.fixture(scope="session")
def given_up(deploy):
    """A change that react cannot follow, as it may not read its secret any more.

    It is given up when it is a minute old, the least that Lambda takes, and not after 22 hours as deployed.
    """
    stack = deploy("given-up")
    mapping = stack.resources["ReactFunctionDirectory"]
    stack.client("lambda").update_event_source_mapping(UUID=mapping, MaximumRecordAgeInSeconds=60)
    stack.deny("ReactRole", "secretsmanager:GetSecretValue")
    user = stack.clerk.create_user("Annie", "Easley")
    stack.clerk.delivered(user["id"], "user.created")
    return stack, user


@pytest.fixture(scope="session")
def late(watch):
    """A change whose event takes more than a minute to come."""
    late = watch("late")
    late.stack.clerk.faults(webhooks={"delay_ms": 61_000})
    return late, late.stack.clerk.create_user("Fran", "Bilas")


@dataclass
class Rotated:
    """A stack whose two secrets were rotated while its functions ran."""

    stack: Stack
    at: float
    old_secret: str


NEW_KEY = "sk_test_cm90YXRlZC13aGlsZS1pdC1ydW5z"
NEW_SIGNING_SECRET = "whsec_cm90YXRlZC13aGlsZS1pdC1ydW5z"


@pytest.fixture(scope="session")
def rotated(deploy):
    """Functions that run and hold both secrets, which then are replaced in Secrets Manager and at Clerk."""
    stack = deploy("rotated", ["--snapshot", LOGS / "rotated.json"])
    clerk = stack.clerk
    user = clerk.create_user("Katherine", "Johnson")
    clerk.delivered(user["id"], "user.created")
    assert stack.post("/profiles/ensure", clerk.session_token(user["id"])).ok
    assert stack.reconcile()["status"] == "SUCCEEDED"

    old = clerk.webhook_secret
    stack.put_secret(CLERK_SECRET_KEY=NEW_KEY, CLERK_WEBHOOK_SECRET=NEW_SIGNING_SECRET)
    clerk.restart("--snapshot", LOGS / "rotated.json", "--secret-key", NEW_KEY)
    clerk.deliver_to(f"{stack.webhook_url}?new", NEW_SIGNING_SECRET)
    return Rotated(stack, time.monotonic(), old)
