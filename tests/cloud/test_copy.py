"""A change in Clerk, and what follows from it, through every deployed part."""

from queues import listening
from waits import until


def test_a_change_in_clerk_reaches_the_copy_the_profile_and_the_bus(stack):
    told = listen(stack)

    user = stack.clerk.create_user("Grace", "Hopper")
    stack.clerk.delivered(user["id"], "user.created")

    row = stack.user(user["id"])
    assert (row["name"], row["email"]) == ("Grace Hopper", "grace.hopper@example.com")
    assert row["applied_by"] == "webhook"

    # From the stream on nobody waits, so the test does.
    profile = until("react creates the profile", lambda: stack.row("ProfilesTable", row["pk"], "PROFILE"))
    assert profile["user_id"] == row["id"]
    event = until("the bus tells it", lambda: next(iter(stack.messages(told)), None))
    assert (event["source"], event["detail-type"]) == ("rollcall", "user.created")
    assert event["detail"]["id"] == row["id"]


def test_ids_written_back_to_clerk_come_round_once(stack):
    """Writing back makes Clerk send `user.updated`; that changes the copy once, and ends there."""
    user = stack.clerk.create_user("Barbara", "Liskov")
    metadata = until("the ids are in Clerk", lambda: stack.clerk.user(user["id"])["public_metadata"])
    stack.clerk.delivered(user["id"], "user.updated")

    row = stack.user(user["id"])
    assert metadata == {"dbId": row["id"], "role": "user"} == row["public_metadata"]
    updates = [it for it in stack.clerk.deliveries(user["id"]) if it["type"] == "user.updated"]
    assert len(updates) == 1


def test_the_end_of_an_organization_ends_its_memberships(stack):
    user = stack.clerk.create_user("Frances", "Allen")
    organization = stack.clerk.create_organization("Compilers", user["id"])
    stack.clerk.delivered(organization["id"], "organization.created")
    id = stack.user(user["id"])["id"]
    key = (f"USER#{id}", f"ORG#{organization['id']}")
    until("the membership has come", lambda: stack.row("DirectoryTable", *key))
    until("and its record", lambda: stack.row("ProfilesTable", *key))

    stack.clerk.delete_organization(organization["id"])
    ended = until("react ends the membership", lambda: stack.ended_row("DirectoryTable", *key))
    assert ended["applied_by"] == "cascade"
    assert "deleted_at" not in stack.user(user["id"])


def listen(stack):
    """A queue of an application's own, to which a rule brings everything from the bus."""
    sqs, events = stack.client("sqs"), stack.client("events")
    bus = stack.outputs["EventBus"]
    rule = events.put_rule(Name="told", EventBusName=bus, EventPattern='{"source":["rollcall"]}')["RuleArn"]
    url, arn = listening(sqs, f"{stack.name}-told", "events", rule)
    events.put_targets(Rule="told", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url
