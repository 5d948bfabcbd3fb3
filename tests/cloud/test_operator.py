"""I16 on the deployed stack: a command is told the name of the stack, and takes every setting from there."""

import json

import pytest

from operator_cli import rollcall, run

OWNED = '[{"table":"tasks","key":"user_id"}]'
# How each command is called, without changing anything. `{user}` is a user, `{owned}` a file.
COMMANDS = [
    ["reconcile", "--dry-run"],
    ["status"],
    ["doctor"],
    ["analyze"],
    ["undo", "{user}", "--dry-run"],
    ["erase", "{user}", "--dry-run"],
    ["export", "{user}"],
    ["owned-tables", "{owned}", "--dry-run"],
]


@pytest.fixture(scope="module")
def user(stack):
    user = stack.clerk.create_user("Kathleen", "Booth")
    stack.clerk.delivered(user["id"], "user.created")
    return user["id"]


@pytest.fixture(scope="module")
def owned(tmp_path_factory):
    file = tmp_path_factory.mktemp("operator") / "owned.json"
    file.write_text(OWNED)
    return str(file)


def filled(command, user, owned):
    return [it.format(user=user, owned=owned) for it in command]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda it: it[0])
def test_i16_the_name_of_the_stack_is_enough_for_every_command(stack, user, owned, command):
    status, report = rollcall(stack, *filled(command, user, owned))
    assert status in (0, 2), report


@pytest.mark.parametrize("command", COMMANDS, ids=lambda it: it[0])
def test_i16_fault_a3_a_variable_in_the_shell_that_contradicts_the_stack_stops_every_command(
    stack, user, owned, command
):
    deployed = stack.function("ReconcileFunction")["Environment"]["Variables"]["DELETION_POLICY"]
    ran = run(stack, *filled(command, user, owned), settings={"DELETION_POLICY": "purge"})
    assert (ran.returncode, ran.stdout) == (64, ""), ran.stderr
    assert f"settings of stack {stack.name}" in ran.stderr
    assert f"DELETION_POLICY: the shell says purge, the deployment says {deployed}" in ran.stderr


def test_i16_a_run_by_hand_does_what_the_deployed_policies_say(stack):
    user = stack.clerk.create_user("Ida", "Rhodes")
    stack.clerk.delivered(user["id"], "user.created")
    status, report = rollcall(stack, "reconcile", "--yes")
    assert status in (0, 2) and report["run"]["basis"]["DIRECTORY_TABLE"] == stack.outputs["DirectoryTable"]
    assert stack.user(user["id"])


def test_i16_a_secret_in_the_shell_is_compared_and_not_shown(stack):
    ran = run(stack, "analyze", settings={"CLERK_SECRET_KEY": "sk_test_another"})
    assert (ran.returncode, ran.stdout) == (64, ""), ran.stderr
    assert "CLERK_SECRET_KEY" in ran.stderr and "sk_test" not in ran.stderr
    assert run(stack, "analyze", settings={"CLERK_SECRET_KEY": stack.clerk.secret_key}).returncode in (0, 2)
    chosen = run(stack, "analyze", "--override", "CLERK_SECRET_KEY", settings={"CLERK_SECRET_KEY": "sk_test_another"})
    assert chosen.returncode == 1 and "check CLERK_SECRET_KEY" in chosen.stderr, chosen.stderr


def test_i16_the_reconcile_function_is_enough_without_a_stack(stack):
    function = stack.resources["ReconcileFunction"]
    assert stack.outputs["ReconcileFunction"] == function
    ran = run(stack, "status", "--json", deployment=["--function", function])
    assert ran.returncode in (0, 2) and json.loads(ran.stdout), ran.stderr
    ran = run(stack, "status", "--json", deployment=["--function", "nothing"])
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "function nothing does not exist" in ran.stderr
    # react has all that the commands require, but not all policies: their defaults would count.
    for other in ["WebhookFunction", "ReactFunction"]:
        ran = run(stack, "analyze", deployment=["--function", stack.resources[other]])
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert "is not a reconcile function of Rollcall" in ran.stderr, ran.stderr


def test_i16_an_endpoint_for_a_local_program_does_not_lead_to_other_tables(stack):
    for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3"]:
        ran = run(stack, "users", "list", settings={name: "http://127.0.0.1:1"})
        assert (ran.returncode, ran.stdout) == (64, ""), ran.stderr
        assert name in ran.stderr and f"stack {stack.name}" in ran.stderr, ran.stderr


def test_i16_a_stack_that_does_not_exist_or_is_another_one_is_named(stack):
    ran = run(stack, "status", deployment=["--stack", "production"])
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "stack production does not exist in region" in ran.stderr
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stack.client("cloudformation").create_stack(StackName="another", TemplateBody=json.dumps(topic))
    ran = run(stack, "status", deployment=["--stack", "another"])
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "stack another has no output ReconcileFunction" in ran.stderr
    ran = run(stack, "status", settings={"AWS_REGION": "eu-central-1"})
    assert (ran.returncode, ran.stdout) == (1, "") and "does not exist in region eu-central-1" in ran.stderr


def test_the_stack_says_which_release_is_deployed(stack):
    version = run(stack, "--version", deployment=[]).stdout.split()[1]
    assert stack.outputs["Version"] == version
