"""Changes that react cannot follow."""

import json

from waits import until


def test_what_react_cannot_do_it_is_handed_again_from_there(counted):
    """react names the change that it cannot follow. Lambda hands that one over again, and all after it.

    MiniStack does not read the answer and takes the batch for done. So the test reads the stream and hands it over.
    """
    clerk = counted.clerk
    users = [clerk.create_user("Lois", f"Haibt{it}") for it in range(2)]
    for user in users:
        clerk.delivered(user["id"])
    first, second = counted.stream()[-2:]

    assert counted.invoke("ReactFunction", {"Records": [first]}) == {"batchItemFailures": []}
    counted.deny("ReactRole", "dynamodb:PutItem")
    answer = counted.invoke("ReactFunction", {"Records": [second]})
    counted.allow_again("ReactRole")
    assert answer == {"batchItemFailures": [{"itemIdentifier": second["dynamodb"]["SequenceNumber"]}]}

    assert counted.invoke("ReactFunction", {"Records": [first, second]}) == {"batchItemFailures": []}
    for user in users:
        assert counted.row("ProfilesTable", counted.user(user["id"])["pk"], "PROFILE")


def test_a_change_that_is_given_up_reaches_the_queue_and_reconcile_does_the_rest(given_up):
    stack, user = given_up
    (told,) = until("Lambda gives it up", lambda: stack.messages("ReactFailures"), 90)
    assert told["DDBStreamBatchInfo"]["batchSize"] == 1
    assert told["requestContext"]["functionArn"] == stack.arn("ReactFunction")
    assert "Easley" not in json.dumps(told)
    row = stack.user(user["id"])
    assert stack.row("ProfilesTable", row["pk"], "PROFILE") is None

    stack.allow_again("ReactRole")
    assert stack.reconcile()["status"] == "SUCCEEDED"
    assert stack.row("ProfilesTable", row["pk"], "PROFILE")

