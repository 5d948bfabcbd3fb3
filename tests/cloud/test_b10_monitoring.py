"""Delivery status, sync lag, and every alarm, each set off by what it is for.

What Rollcall counts, the functions really emit: the lines are read from their log groups and published as CloudWatch
extracts them (emf.py). Errors and throttles of Lambda are MiniStack's own figures. The age of the stream and the
length of the queues it does not measure, so these are published by the tests, under the dimensions that AWS documents.
"""

import json
import time
from pathlib import Path

import pytest

import svix
from deployment import NAMES
from monitored import moment
from presets import parameters
from waits import until

MINUTES = 60


def test_b10_the_status_of_a_delivery_is_with_clerk_in_the_log_and_in_the_metrics(monitored):
    stack = monitored.stack
    monitored.emitted("WebhookLogs")
    user = stack.clerk.create_user("Jean", "Bartik")
    (message,) = stack.clerk.delivered(user["id"], "user.created")
    assert [it["status"] for it in message["attempts"]] == [200]
    (line,) = [it for it in stack.log("WebhookLogs") if it.get("svix_id") == message["svix_id"]]
    assert (line["type"], line["outcome"], line["id"]) == ("user.created", "applied", user["id"])

    emitted = until("the metrics are written", lambda: monitored.emitted("WebhookLogs"))
    (event,) = [it for it in emitted if it.get("Type") == "user.created"]
    assert (event["Outcome"], event["Events"]) == ("applied", 1)
    assert event["FunctionName"] == stack.resources["WebhookFunction"]
    lags = [lag for it in emitted for lag in it.get("SyncLag", [])]
    assert lags and all(0 <= lag < 10_000 for lag in lags)
    # Ids of users are in no metric: each value would be another one.
    assert user["id"] not in str(emitted)


def test_b10_nothing_rings_on_a_good_day(monitored):
    user = monitored.stack.clerk.create_user("Adele", "Goldberg")
    monitored.stack.clerk.delivered(user["id"], "user.created")
    monitored.publish("WebhookLogs")
    assert {name for name in monitored.alarms() if monitored.state(name) != "OK"} == set()


def test_b10_whoever_has_no_token_does_not_ring(monitored):
    """Anybody can cause the error by which a REST API answers 401."""
    failed = authorize(monitored.stack, "")
    assert json.loads(failed["Payload"].read())["errorMessage"] == "Unauthorized"
    monitored.publish("AuthorizerLogs")
    taken = [it for _, metrics in monitored.published for it in metrics if it["MetricName"] == "UnauthorizedErrors"]
    assert [it["Value"] for it in taken] == [1]
    errors = {"MetricName": "Errors", "Dimensions": monitored.alarm("AuthorizerErrors")["Dimensions"], "Value": 1}
    monitored.republish(5 * MINUTES, 10 * MINUTES)
    for age in (5, 10):
        monitored.put("AWS/Lambda", [{**errors, "Timestamp": moment(time.time() - age * MINUTES)}])
    assert monitored.state("AuthorizerErrors") == "OK"


@pytest.mark.parametrize("function", NAMES)
def test_b10_a_function_that_breaks_rings(monitored, function):
    """It may not read its secret any more, so it does not even start. Without a secret it is called with what is no event."""
    stack = monitored.stack
    if not has_secret(stack, function):
        assert "FunctionError" in invoke(stack, function)
        monitored.evaluate()
        # One period may have an error too many where the next has one too few: see template.yaml.
        if function == "Authorizer":
            assert monitored.state("AuthorizerErrors") == "OK"
            monitored.put_one("AuthorizerErrors", 1, 5 * MINUTES)
        monitored.rings(f"{function}Errors")
        return
    stack.deny(f"{function}Role", "secretsmanager:GetSecretValue")
    touch(stack, function)
    answer = invoke(stack, function)
    stack.allow_again(f"{function}Role")
    assert "FunctionError" in answer
    # What the runbook looks for. What is said before a function has started MiniStack gives to the caller, AWS to the log.
    said = json.loads(answer["Payload"].read())["errorMessage"]
    assert "the settings are incomplete or invalid" in said and "(AccessDeniedException)" in said
    touch(stack, function)
    monitored.evaluate()
    monitored.rings(f"{function}Errors")


@pytest.mark.parametrize("function", NAMES)
def test_b10_a_function_that_is_throttled_rings(monitored, function):
    client, name = monitored.stack.client("lambda"), monitored.stack.resources[f"{function}Function"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        invoke(monitored.stack, function)
    client.delete_function_concurrency(FunctionName=name)
    monitored.evaluate()
    monitored.rings(f"{function}Throttles")


def test_b10_events_that_cannot_be_stored_ring(monitored):
    stack, clerk = monitored.stack, monitored.stack.clerk
    stack.deny("WebhookRole", "dynamodb:PutItem")
    user = clerk.create_user("Marlyn", "Meltzer")
    until("it was tried twice", lambda: tries(clerk, user) >= 2)
    stack.allow_again("WebhookRole")
    monitored.publish("WebhookLogs")
    monitored.rings_if_it_stays("WebhookFailing")


def test_b10_events_that_are_signed_with_another_secret_ring(monitored):
    event = {"type": "user.created", "object": "event", "instance_id": monitored.stack.clerk.instance_id, "data": {}}
    answer = svix.deliver(monitored.stack.webhook_url, "whsec_YW5vdGhlciBzZWNyZXQgb2YgQ2xlcmsncw==", event)
    assert answer.status_code == 400
    monitored.publish("WebhookLogs")
    monitored.rings_if_it_stays("BadSignatures")


def test_b10_an_api_that_fails_rings(monitored):
    """API Gateway counts by itself, which MiniStack does not."""
    api = [{"Name": "ApiId", "Value": monitored.stack.resources["Api"]}]
    assert about(monitored.alarm("ApiErrors")) == ("AWS/ApiGateway", "5xx", api)
    monitored.put_one("ApiErrors", 1, 5 * MINUTES, 10 * MINUTES)
    monitored.rings("ApiErrors")


def test_b10_callers_who_cannot_be_served_ring(monitored):
    stack, clerk = monitored.stack, monitored.stack.clerk
    token = clerk.session_token(clerk.create_user("Betty", "Holberton")["id"])
    stack.deny("EnsureProfileRole", "dynamodb:BatchGetItem")
    assert stack.post("/profiles/ensure", token).status_code == 500
    stack.allow_again("EnsureProfileRole")
    monitored.publish("EnsureProfileLogs")
    monitored.rings_if_it_stays("EnsureProfileFailing")


def test_b10_readers_who_cannot_be_served_ring(monitored):
    stack, clerk = monitored.stack, monitored.stack.clerk
    user = clerk.create_user("Kathleen", "Booth")
    clerk.delivered(user["id"])
    headers = {"Authorization": f"Bearer {clerk.session_token(user['id'])}"}
    stack.deny("AccountRole", "dynamodb:Query")
    assert stack.get("/me", headers=headers).status_code == 500
    stack.allow_again("AccountRole")
    monitored.publish("AccountLogs")
    monitored.rings_if_it_stays("AccountFailing")


def test_b10_requests_that_cannot_be_decided_about_ring(monitored):
    stack, clerk = monitored.stack, monitored.stack.clerk
    user = clerk.create_user("Frances", "Bilas")
    clerk.delivered(user["id"])
    token = clerk.session_token(user["id"])
    stack.deny("AuthorizerRole", "dynamodb:BatchGetItem")
    failed = authorize(stack, f"Bearer {token}")
    stack.allow_again("AuthorizerRole")
    assert "FunctionError" in failed
    monitored.publish("AuthorizerLogs")
    monitored.rings_if_it_stays("AuthorizerFailing")


def test_b10_changes_that_cannot_be_followed_ring(monitored):
    stack = monitored.stack
    change = {"Records": stack.stream()[-1:]}
    stack.deny("ReactRole", "events:PutEvents", "dynamodb:PutItem")
    assert stack.invoke("ReactFunction", change)["batchItemFailures"]
    stack.allow_again("ReactRole")
    monitored.publish("ReactLogs")
    monitored.rings_if_it_stays("ReactFailing")


def test_b10_a_run_that_fails_rings(monitored):
    stack = monitored.stack
    stack.clerk.faults(api={"unauthorized": 1})
    assert "FunctionError" in invoke(stack, "Reconcile")
    stack.clerk.faults()
    monitored.publish("ReconcileLogs")
    monitored.rings("ReconcileFailing")


def test_b10_an_event_that_cannot_be_read_rings(monitored):
    stack = monitored.stack
    event = {"type": "user.created", "object": "event", "instance_id": stack.clerk.instance_id, "data": {"id": 7}}
    answer = svix.deliver(stack.webhook_url, stack.clerk.webhook_secret, event)
    assert (answer.status_code, answer.headers["webhook-delivery"]) == (422, "abort-message")
    assert any(pk.startswith("QUARANTINE#") for pk, _ in stack.rows("OperationsTable"))
    monitored.publish("WebhookLogs")
    monitored.rings("EventsQuarantined")


# Whose alarm, with the log that the function writes.
@pytest.mark.parametrize(
    ("alarm", "log"),
    [
        ("WebhookUnreadableRows", "WebhookLogs"),
        ("EnsureProfileUnreadableRows", "EnsureProfileLogs"),
        ("AccountUnreadableRows", "AccountLogs"),
        ("AuthorizerUnreadableRows", "AuthorizerLogs"),
        ("ReactUnreadableRows", "ReactLogs"),
        ("ReconcileUnreadableRows", "ReconcileLogs"),
    ],
)
def test_b10_a_row_that_somebody_has_changed_rings(monitored, alarm, log):
    """What the rule does not need is not as Rollcall writes it, so everybody goes on, and says so."""
    stack, clerk = monitored.stack, monitored.stack.clerk
    user = clerk.create_user("Barbara", f"Liskov{alarm}")
    clerk.delivered(user["id"])
    monitored.emitted(log)
    row = stack.user(user["id"])
    stack.set(row, "applied_by", "somebody@example.com")
    match alarm:
        case "WebhookUnreadableRows":
            # An event that is known already is refused, by the row that is there.
            (message,) = clerk.delivered(user["id"], "user.created")
            clerk.replay(message["svix_id"])
            until("it came again", lambda: tries(clerk, user) >= 2)
        case "EnsureProfileUnreadableRows":
            assert stack.post("/profiles/ensure", clerk.session_token(user["id"])).status_code in (200, 201)
        case "AccountUnreadableRows":
            token = clerk.session_token(user["id"])
            assert stack.get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        case "AuthorizerUnreadableRows":
            assert "FunctionError" not in authorize(stack, clerk.session_token(user["id"]))
        case "ReactUnreadableRows":
            assert not stack.invoke("ReactFunction", {"Records": stack.stream()[-1:]})["batchItemFailures"]
        case "ReconcileUnreadableRows":
            assert stack.invoke("ReconcileFunction", {})["state"] == "done"
    monitored.publish(log)
    monitored.rings(alarm)
    stack.set(row, "applied_by", "webhook")
    assert "somebody" not in json.dumps(stack.log(log), default=str)


def test_b10_lost_events_ring(monitored):
    """As many as the parameter DriftAlarm has by default."""
    stack, clerk = monitored.stack, monitored.stack.clerk
    clerk.faults(webhooks={"drop": 1})
    for number in range(10):
        clerk.create_user("Lost", f"Event{number}")
    assert stack.invoke("ReconcileFunction", {})["state"] == "done"
    clerk.faults()
    monitored.publish("ReconcileLogs")
    monitored.rings("DriftHealed")


def test_b10_another_id_in_clerk_rings(monitored):
    stack, clerk = monitored.stack, monitored.stack.clerk
    clerk.faults(webhooks={"drop": 1})
    clerk.create_user("Thelma", "Estrin", public_metadata={"dbId": "somebody-else's", "role": "user"})
    stack.invoke("ReconcileFunction", {})
    clerk.faults()
    monitored.publish("ReconcileLogs")
    monitored.rings("WritebackConflicts")


def test_b10_too_many_deletions_at_once_are_held_and_ring(wiped):
    """All users are gone from Clerk, and no event says so. Rollcall believes it of rows that have been there for a
    quarter of an hour, so the test makes them older."""
    stack, clerk = wiped.stack, wiped.stack.clerk
    users = [clerk.create_user("Margaret", f"Hamilton{it}") for it in range(4)]
    for user in users:
        clerk.delivered(user["id"])
    until("all is written back", lambda: len(clerk.deliveries()) == 2 * len(users))
    clerk.faults(webhooks={"drop": 1})
    for user in users:
        clerk.delete_user(user["id"])
        stack.set(stack.user(user["id"]), "applied_at", int(time.time() - 16 * MINUTES) * 1000)
    assert stack.invoke("ReconcileFunction", {})["state"] == "pending_approval"
    assert all("deleted_at" not in stack.user(it["id"]) for it in users)
    wiped.publish("ReconcileLogs")
    wiped.rings("DeletionsPendingApproval")
    wiped.rings("OutOfSync")


def test_b10_what_is_due_and_stays_rings(monitored):
    """No backup can be written, so nothing is removed. The hold of a day is over because the test makes all older."""
    stack, clerk = monitored.stack, monitored.stack.clerk
    user = clerk.create_user("Evelyn", "Boyd")
    clerk.delivered(user["id"])
    pk = stack.user(user["id"])["pk"]
    until("the profile is there", lambda: stack.row("ProfilesTable", pk, "PROFILE"))
    clerk.delete_user(user["id"])
    note = until("the purge is noted", lambda: due(stack, pk))
    stack.let_pass(26, stack.row("DirectoryTable", pk, "USER"), note)
    stack.deny("ReconcileRole", "s3:PutObject")
    answer = stack.invoke("ReconcileFunction", {"order": "purge_due"})
    stack.allow_again("ReconcileRole")
    assert (answer["state"], answer["purges"]["failed"]) == ("incomplete", 1)
    assert stack.row("ProfilesTable", pk, "PROFILE")
    monitored.publish("ReconcileLogs")
    monitored.rings("PurgesLeft")

    assert stack.invoke("ReconcileFunction", {"order": "purge_due"})["purges"]["purged"] == 1


def test_b10_a_stream_that_falls_behind_rings(monitored):
    react = [{"Name": "FunctionName", "Value": monitored.stack.resources["ReactFunction"]}]
    assert about(monitored.alarm("StreamLag")) == ("AWS/Lambda", "IteratorAge", react)
    monitored.put_one("StreamLag", 3_600_001, 5 * MINUTES, 10 * MINUTES)
    monitored.rings("StreamLag")


@pytest.mark.parametrize(
    ("alarm", "queue"), [("ReactGaveUp", "ReactFailures"), ("ReconcileGaveUp", "ReconcileFailures")]
)
def test_b10_what_was_given_up_rings(monitored, alarm, queue):
    """A message in the queue; how many there are is published as SQS does it every minute."""
    stack = monitored.stack
    sqs, url = stack.client("sqs"), stack.outputs[queue]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    attribute = "ApproximateNumberOfMessages"
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"][attribute]
    name = [{"Name": "QueueName", "Value": url.rsplit("/", 1)[1]}]
    assert about(monitored.alarm(alarm)) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible", name)
    monitored.put_one(alarm, int(count))
    monitored.rings(alarm)


def test_b10_what_the_webhook_has_not_brought_rings(verifying):
    stack, clerk = verifying.stack, verifying.stack.clerk
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Anita", "Borg")
    assert stack.post("/profiles/ensure", clerk.session_token(user["id"])).status_code == 404
    verifying.publish("EnsureProfileLogs")
    verifying.rings("NotSynced")


def test_b10_a_day_without_a_run_rings_until_a_run_ends(starting):
    """A new stack has had no run, and its alarm says so."""
    starting.evaluate()
    starting.rings("RunsMissing")
    assert starting.stack.invoke("ReconcileFunction", {})["state"] == "done"
    starting.publish("ReconcileLogs")
    assert starting.state("RunsMissing") == "OK"


def test_b10_the_dashboard_shows_this_stack(monitored):
    stack = monitored.stack
    body = stack.client("cloudwatch").get_dashboard(DashboardName=stack.resources["Dashboard"])["DashboardBody"]
    for function in NAMES:
        assert stack.resources[f"{function}Function"] in body
    assert "Rollcall" in body and "${" not in body


def test_b10_there_is_no_alarm_that_no_test_sets_off(monitored, verifying, starting):
    """The three stacks have all alarms that there are: some are there under some policies only."""
    source = Path(__file__).read_text()
    deployed = {name for it in (monitored, verifying, starting) for name in it.alarms()}
    by_function = {f"{function}{metric}" for function in NAMES for metric in ("Errors", "Throttles")}
    assert {name for name in deployed - by_function if f'"{name}"' not in source} == set()
    assert by_function <= deployed


def test_b10_events_that_come_late_ring(late):
    """A change arrives after more than a minute."""
    late, user = late
    late.stack.clerk.delivered(user["id"], "user.created", seconds=90)
    late.publish("WebhookLogs")
    late.rings_if_it_stays("SyncLag")


def about(alarm):
    """What an alarm looks at."""
    return alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]


def invoke(stack, function):
    """Calls a function with nothing in particular."""
    return stack.client("lambda").invoke(FunctionName=stack.resources[f"{function}Function"], Payload=b"{}")


def authorize(stack, token):
    """What the authorizer answers a REST API."""
    arn = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/invoices"
    event = {"type": "TOKEN", "methodArn": arn, "authorizationToken": token}
    name = stack.resources["AuthorizerFunction"]
    return stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())


def has_secret(stack, function):
    """Whether a function is told of the secret."""
    return "ROLLCALL_SECRET_ARN" in stack.function(f"{function}Function")["Environment"]["Variables"]


def touch(stack, function):
    """Has a function start anew, as any change of its configuration does on AWS; here only one of its environment does."""
    variables = {**stack.function(f"{function}Function")["Environment"]["Variables"], "ANEW": str(time.time())}
    stack.client("lambda").update_function_configuration(
        FunctionName=stack.resources[f"{function}Function"], Environment={"Variables": variables}
    )


def tries(clerk, user):
    """How often a message about a user was tried."""
    return max((len(it["attempts"]) for it in clerk.deliveries(user["id"])), default=0)


def due(stack, pk):
    """The note that the data of a user are to be removed."""
    notes = stack.rows("OperationsTable").values()
    return next((it for it in notes if it["pk"].startswith("PURGE#") and it["sk"] in pk), None)


@pytest.fixture(scope="module")
def monitored(watch):
    """The template's defaults."""
    return watch("monitored")


@pytest.fixture(scope="module")
def wiped(watch):
    """The same, for whom everybody is gone."""
    return watch("wiped")


@pytest.fixture(scope="module")
def verifying(watch):
    """Where ensure-profile verifies."""
    return watch("verifying", **parameters("read-only-copy"))


@pytest.fixture(scope="module")
def starting(watch):
    """Where reconcile starts by its schedule, which is in the night."""
    return watch("starting", ReconcileState="ENABLED")
