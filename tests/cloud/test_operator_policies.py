"""The policies for operators: what docs/examples/operators grants is enough for the commands, and for nothing else."""

import json

import pytest

from monitored import notifying
from operator_cli import run
from operator_policies import deployed, person
from roles import Holder

LOOKING = [
    ["status"],
    ["users", "list"],
    ["organizations", "list"],
    ["members", "list"],
    ["deletions"],
    ["quarantine", "list"],
    ["tail", "--once"],
]
# In this order: the last one erases the user.
ACTING = [
    ["analyze"],
    ["explain", "{user}"],
    ["endpoint", "status"],
    ["reconcile", "--yes"],
    ["sync", "{user}", "--yes"],
    ["set-role", "{user}", "admin", "--yes"],
    ["fix-profiles", "--yes"],
    ["cleanup", "--yes"],
    ["full-sync", "--yes"],
    ["export", "{user}"],
    ["undo", "{user}", "--yes"],
    ["erase", "{user}", "--now", "--yes"],
]


@pytest.fixture(scope="module")
def told(stack):
    """The topic of the alarms, a parameter of the example."""
    return stack.client("sns").create_topic(Name="operators")["TopicArn"]


@pytest.fixture(scope="module")
def policies(stack, told):
    """The example, deployed beside Rollcall's stack: the ARN of each policy."""
    return deployed(stack, "operators", AlarmTopicArn=told)


@pytest.fixture(scope="module")
def looker(stack, policies):
    return person(stack, policies, "looker", "Reading")


@pytest.fixture(scope="module")
def actor(stack, policies):
    return person(stack, policies, "actor", "Reading", "Acting")


@pytest.fixture(scope="module")
def user(stack):
    user = stack.clerk.create_user("Mary", "Shaw")
    stack.clerk.delivered(user["id"], "user.created")
    # React has written to Clerk: from now on the row changes only by a command.
    stack.clerk.delivered(user["id"], "user.updated")
    return user["id"]


def filled(command, user):
    return [it.format(user=user) for it in command]


@pytest.mark.parametrize("command", LOOKING, ids=lambda it: it[0])
def test_who_may_look_can_run_every_command_that_looks(stack, looker, command):
    ran = run(stack, *command, "--json", identity=looker)
    assert ran.returncode in (0, 2), ran.stderr
    assert all(json.loads(line) for line in ran.stdout.splitlines())


@pytest.mark.parametrize("command", ACTING, ids=lambda it: it[0])
def test_who_may_look_changes_nothing_and_is_told_which_permission_is_missing(stack, looker, user, command):
    before = stack.user(user)
    ran = run(stack, *filled(command, user), identity=looker)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    assert "secretsmanager:GetSecretValue" in ran.stderr, ran.stderr
    assert stack.user(user) == before


def test_doctor_of_who_may_look_checks_all_but_what_needs_clerk(stack, looker, told):
    other = stack.client("sns").create_topic(Name="another")["TopicArn"]
    with notifying(stack, "WebhookErrors", told, other):
        findings = json.loads(run(stack, "doctor", "--json", identity=looker).stdout)["findings"]
    unread = {it["check"]: it["message"] for it in findings if it["result"] == "not_checked"}
    assert set(unread) == {"secret", "alarm-topics"}, unread
    assert "secretsmanager:GetSecretValue" in unread["secret"]
    # The policy names one topic. The other one may have a subscriber: it is no finding.
    assert other in unread["alarm-topics"] and "sns:GetTopicAttributes" in unread["alarm-topics"]
    (judged,) = [it for it in findings if it["check"] == "alarm-topics" and it["result"] != "not_checked"]
    assert (judged["result"], told in judged["message"]) == ("warning", True)


def test_who_may_look_may_write_no_table_and_read_no_secret(stack, looker):
    holder = Holder(stack.aws, (*looker, None))
    row = {"pk": {"S": "USER#probe"}, "sk": {"S": "USER"}}
    for table in ["DirectoryTable", "ProfilesTable", "OperationsTable"]:
        name = stack.outputs[table]
        never = {"ConditionExpression": "attribute_exists(nothing)"}
        assert not holder.may("dynamodb", "put_item", TableName=name, Item=row, **never)
        assert not holder.may("dynamodb", "delete_item", TableName=name, Key=row, **never)
        assert holder.may("dynamodb", "get_item", TableName=name, Key=row)
    assert not holder.may("secretsmanager", "get_secret_value", SecretId=stack.secret)


@pytest.mark.parametrize("command", ACTING, ids=lambda it: it[0])
def test_who_may_act_can_run_every_command(stack, actor, user, command):
    ran = run(stack, *filled(command, user), "--json", identity=actor)
    assert ran.returncode in (0, 2) and ran.stdout, ran.stderr


def test_without_a_policy_no_command_reads_anything(stack, policies, user):
    nobody = person(stack, policies, "nobody")
    for command in LOOKING + ACTING:
        ran = run(stack, *filled(command, user), identity=nobody)
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert "cloudformation:DescribeStacks" in ran.stderr, ran.stderr
