"""What the webhook answers where it does not apply an event. Svix goes by the status alone."""

import pytest
import requests

from processes import AUTHORITY
from stack import without_react
from waits import until


def test_b3_a_bad_signature_is_answered_400_and_writes_nothing(watched, clerk):
    """Another Clerk signs with a secret of its own, for the same instance."""
    before = watched.all_rows()
    stranger = clerk("stranger", "--webhook-secret", "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA==")
    stranger.deliver_to(watched.webhook_url)
    user = stranger.create_user("Mal", "Ory")
    (message,) = until("there is an attempt", lambda: stranger.attempted(user["id"]))
    assert {it["status"] for it in message["attempts"]} == {400}
    assert watched.all_rows() == before


def test_b3_no_signature_is_answered_400_and_writes_nothing(watched):
    before = watched.all_rows()
    answer = requests.post(watched.webhook_url, json={"type": "user.created"}, verify=AUTHORITY, timeout=20)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert watched.all_rows() == before


def test_b3_a_failure_is_answered_5xx_and_writes_nothing_and_the_event_comes_again(watched):
    before = watched.all_rows()
    watched.deny("WebhookRole", "dynamodb:PutItem")
    user = watched.clerk.create_user("Ida", "Rhodes")
    (message,) = until("there is an attempt", lambda: watched.clerk.attempted(user["id"]))
    assert {it["status"] for it in message["attempts"]} == {500}
    assert watched.all_rows() == before

    watched.allow_again("WebhookRole")
    (message,) = watched.clerk.delivered(user["id"], "user.created")
    assert [it["status"] for it in message["attempts"]][-1] == 200
    assert watched.user(user["id"])["name"] == "Ida Rhodes"


def test_b3_a_store_that_is_not_there_is_answered_5xx(watched):
    """The function is pointed at a table that nobody has made, as if its own were gone."""
    function = watched.resources["WebhookFunction"]
    variables = watched.function("WebhookFunction")["Environment"]["Variables"]

    def over(table):
        watched.client("lambda").update_function_configuration(
            FunctionName=function, Environment={"Variables": {**variables, "DIRECTORY_TABLE": table}}
        )

    # Otherwise it would not even be told that there is no such table.
    table = watched.client("dynamodb").describe_table(TableName=variables["DIRECTORY_TABLE"])["Table"]["TableArn"]
    watched.allow("WebhookRole", "dynamodb:PutItem", table.replace(variables["DIRECTORY_TABLE"], "gone"))
    over("gone")
    user = watched.clerk.create_user("Kay", "McNulty")
    (message,) = until("there is an attempt", lambda: watched.clerk.attempted(user["id"]))
    over(variables["DIRECTORY_TABLE"])
    watched.allow_again("WebhookRole")
    said = [it["error"] for it in watched.log("WebhookLogs") if it.get("svix_id") == message["svix_id"] and "error" in it]
    assert "ResourceNotFoundException" in said[0]
    assert message["attempts"][0]["status"] in range(500, 600)
    watched.clerk.delivered(user["id"], "user.created")


@pytest.fixture(scope="module")
def watched(deploy):
    """A stack where nothing is written but by these tests: react is not handed anything."""
    return without_react(deploy("watched"))
