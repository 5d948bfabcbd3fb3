"""A change in Clerk, and what follows from it, through every deployed part."""

import json

from waits import until


def test_a_change_in_clerk_reaches_the_copy_the_profile_and_the_bus(stack):
    told = listen(stack)

    user = stack.clerk.create_user("Grace", "Hopper")
    stack.clerk.delivered(user["id"], "user.created")

    row = user_row(stack, user["id"])
    assert (row["name"], row["email"]) == ("Grace Hopper", "grace.hopper@example.com")
    assert row["applied_by"] == "webhook"

    # From the stream on nobody waits, so the test does.
    profile = until("react has created the profile", lambda: stack.row("ProfilesTable", row["pk"], "PROFILE"))
    assert profile["user_id"] == row["id"]
    event = until("the bus tells it", lambda: next(iter(stack.messages(told)), None))
    assert (event["source"], event["detail-type"]) == ("rollcall", "user.created")
    assert event["detail"]["id"] == row["id"]


def user_row(stack, clerk_user_id):
    """The row of a user in the Directory."""
    rows = [it for it in stack.rows("DirectoryTable").values() if it.get("clerk_user_id") == clerk_user_id]
    return next((it for it in rows if it["sk"] == "USER"), None)


def listen(stack):
    """A queue of an application's own, to which a rule brings everything from the bus."""
    sqs, events = stack.client("sqs"), stack.client("events")
    url = sqs.create_queue(QueueName=f"{stack.name}-told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stack.outputs["EventBus"]
    rule = events.put_rule(Name="told", EventBusName=bus, EventPattern='{"source":["rollcall"]}')["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule="told", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url
