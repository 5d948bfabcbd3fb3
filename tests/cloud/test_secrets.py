"""Secrets that are replaced while the functions run. A refusal has them read again where they are a minute old."""

import time

from waits import until


def test_a_new_signing_secret_is_taken_and_the_old_one_is_not(rotated):
    """By the instance that was running. Another one that is refused nothing holds the old one for up to 5 minutes."""
    clerk = a_minute_later(rotated)
    user = clerk.create_user("Dorothy", "Vaughan")
    clerk.delivered(user["id"], "user.created")
    assert rotated.stack.user(user["id"])["name"] == "Dorothy Vaughan"

    stale = f"{rotated.stack.webhook_url}?old"
    clerk.deliver_to(stale, rotated.old_secret)
    another = clerk.create_user("Christine", "Darden")
    until("the other endpoint has brought it", lambda: rotated.stack.user(another["id"]))
    tried = until("this one was tried", lambda: clerk.attempted(another["id"], stale))
    assert {it["status"] for message in tried for it in message["attempts"]} == {400}


def test_a_new_key_to_clerk_is_taken(rotated):
    clerk = a_minute_later(rotated)
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Melba", "Mouton")
    answer = rotated.stack.post("/profiles/ensure", clerk.session_token(user["id"]))
    assert (answer.status_code, answer.json()["user"]["name"]) == (201, "Melba Mouton")
    assert rotated.stack.reconcile()["status"] == "SUCCEEDED"


def a_minute_later(rotated):
    """The Clerk, once the secrets that the functions hold may be a minute old."""
    time.sleep(max(0, rotated.at + 61 - time.monotonic()))
    return rotated.stack.clerk
