"""`rollcall endpoint` on the deployed stack, with the operators' policies and the name of the stack alone.

The output `WebhookUrl` has a host of AWS, which MiniStack does not serve. So no event is made unless the endpoint has
another URL, and react is off, which would make some.
"""

import json
from contextlib import contextmanager

import pytest

import svix
from operator_cli import run
from operator_policies import deployed, person
from portal import Portal, has_application, without_application
from roles import Holder
from stack import Stack, without_react

TYPES = {
    f"{kind}.{change}"
    for kind in ("user", "organization", "organizationMembership")
    for change in ("created", "updated", "deleted")
}
EARLIER = "whsec_YW4tZWFybGllci1zaWduaW5nLXNlY3JldA=="
# What ensure must leave alone.
FURTHER = {"ANOTHER": "of an application"}
NAMES = ["CLERK_WEBHOOK_SECRET", "CLERK_WEBHOOK_SIGNING_SECRET"]


@pytest.fixture(scope="module")
def alone(aws, template_url, clerk):
    """A stack of which its Clerk knows nothing."""
    return without_react(Stack(aws, "endpoint", template_url, clerk("endpoint"), {}))


@pytest.fixture(scope="module")
def policies(alone):
    return deployed(alone, "endpoint-operators")


@pytest.fixture(scope="module")
def looker(alone, policies):
    return person(alone, policies, "endpoint-looker", "Reading")


@pytest.fixture(scope="module")
def actor(alone, policies):
    return person(alone, policies, "endpoint-actor", "Reading", "Acting")


@pytest.fixture
def stack(alone):
    """The same stack as after its deployment: an instance without an application at Svix, and one signing secret."""
    without_application(alone.clerk)
    put(alone, json.dumps({"CLERK_SECRET_KEY": alone.clerk.secret_key, "CLERK_WEBHOOK_SECRET": EARLIER, **FURTHER}))
    return alone


def put(stack, text):
    """Replaces the secret."""
    stack.client("secretsmanager").put_secret_value(SecretId=stack.secret, SecretString=text)


def current(stack):
    """The id and the text of the secret's current version."""
    secret = stack.client("secretsmanager").get_secret_value(SecretId=stack.secret)
    return secret["VersionId"], secret["SecretString"]


def stored(stack):
    """The values of the secret."""
    return json.loads(current(stack)[1])


def endpoint(stack, identity, *arguments):
    """Runs a command about the endpoint. Answers with its exit status and its report."""
    ran = run(stack, "endpoint", *arguments, "--json", identity=identity)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def ensured(stack, identity):
    """Runs `ensure`, which succeeds. Answers with what it has done."""
    status, report = endpoint(stack, identity, "ensure", "--yes")
    assert (status, report["done"]) == (0, True), report
    return report["action"]


def only(stack):
    """The only endpoint of the instance, and its signing secret."""
    portal = Portal(stack.clerk)
    (one,) = portal.endpoints()
    return one, portal.secret(one)


def start_anew(stack):
    """The next event starts the function: a running one holds the secrets that it has read for up to 5 minutes."""
    name = stack.resources["WebhookFunction"]
    stack.client("lambda").update_function_configuration(FunctionName=name, Description="another environment")


@contextmanager
def forbidden(stack, user, action):
    """Takes a permission away from somebody while this lasts."""
    statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = stack.client("iam")
    iam.put_user_policy(UserName=user, PolicyName="without", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_user_policy(UserName=user, PolicyName="without")


def test_the_endpoint_is_created_once_and_its_secret_is_stored_before_the_earlier_one(stack, actor):
    before = current(stack)
    status, report = endpoint(stack, actor, "status")
    assert (status, report["causes"], report["endpoint"]) == (2, ["endpoint_missing"], None)

    status, report = endpoint(stack, actor, "ensure", "--dry-run")
    assert (status, report["action"], report["stores_secret"], report["done"]) == (2, "create", True, False)
    assert not has_application(stack.clerk) and current(stack) == before

    assert ensured(stack, actor) == "create"
    made, secret = only(stack)
    assert (made["url"], set(made["eventTypes"])) == (stack.outputs["WebhookUrl"], TYPES)
    assert (made["uid"], made["disabled"]) == (f"rollcall-{stack.clerk.instance_id}-{stack.name}", False)
    assert stored(stack) == {**json.loads(before[1]), "CLERK_WEBHOOK_SECRET": f"{secret} {EARLIER}"}

    after = current(stack)
    assert ensured(stack, actor) == "nothing"
    assert (only(stack), current(stack)) == ((made, secret), after)
    status, report = endpoint(stack, actor, "status")
    assert (status, report["causes"], report["secret_is_stored"]) == (0, [], True)


def test_an_event_of_the_endpoint_reaches_the_directory_and_the_earlier_secret_is_valid_still(stack, actor):
    start_anew(stack)
    ensured(stack, actor)
    made, secret = only(stack)
    assert secret != EARLIER
    Portal(stack.clerk).change(made, url=stack.webhook_url)
    user = stack.clerk.create_user("Evelyn", "Boyd")
    stack.clerk.delivered(user["id"], "user.created")
    assert stack.user(user["id"])["name"] == "Evelyn Boyd"
    event = {"type": "user.updated", "object": "event", "data": stack.clerk.user(user["id"])}
    event["instance_id"] = stack.clerk.instance_id
    answers = [svix.deliver(stack.webhook_url, it, event) for it in (EARLIER, "whsec_bm90LXRoZS1zZWNyZXQ=")]
    assert [it.ok for it in answers] == [True, False], [it.text for it in answers]


def test_a_disabled_endpoint_is_enabled_and_its_secret_not_stored_again(stack, actor):
    ensured(stack, actor)
    made, secret = only(stack)
    Portal(stack.clerk).change(made, disabled=True)
    before = current(stack)
    status, report = endpoint(stack, actor, "status")
    assert (status, report["causes"]) == (2, ["disabled"])
    assert ensured(stack, actor) == "change"
    now, same = only(stack)
    assert (now["id"], now["disabled"], same) == (made["id"], False, secret)
    assert current(stack) == before
    assert endpoint(stack, actor, "status")[0] == 0


def test_of_the_secrets_of_several_endpoints_the_newest_three_stay(stack, actor):
    secrets = [EARLIER]
    for _ in range(4):
        assert ensured(stack, actor) == "create"
        made, secret = only(stack)
        assert secret not in secrets
        secrets.insert(0, secret)
        assert stored(stack)["CLERK_WEBHOOK_SECRET"].split() == secrets[:3]
        Portal(stack.clerk).delete(made)


def test_who_may_look_is_told_which_permission_is_missing(stack, looker):
    before = current(stack)
    for command in (["status"], ["ensure", "--yes"]):
        ran = run(stack, "endpoint", *command, identity=looker)
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert "secretsmanager:GetSecretValue" in ran.stderr, ran.stderr
    assert not has_application(stack.clerk) and current(stack) == before


def test_a_run_that_may_not_store_the_secret_is_continued_by_one_that_may(stack, actor):
    before = current(stack)
    with forbidden(stack, "endpoint-actor", "secretsmanager:PutSecretValue"):
        for _ in range(2):
            ran = run(stack, "endpoint", "ensure", "--yes", "--json", identity=actor)
            assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
            assert "secretsmanager:PutSecretValue" in ran.stderr, ran.stderr
            made, secret = only(stack)
            assert made["id"] in ran.stderr and "run the command again" in ran.stderr, ran.stderr
            assert current(stack) == before
    status, report = endpoint(stack, actor, "status")
    assert (status, report["causes"]) == (2, ["wrong_secret"])
    assert ensured(stack, actor) == "nothing"
    assert only(stack) == (made, secret)
    assert stored(stack) == {**json.loads(before[1]), "CLERK_WEBHOOK_SECRET": f"{secret} {EARLIER}"}


def test_who_may_act_gives_a_new_value_to_this_secret_alone(stack, actor):
    holder = Holder(stack.aws, (*actor, None))
    other = stack.client("secretsmanager").create_secret(Name="endpoint-clerk-other", SecretString="{}")["ARN"]
    text = current(stack)[1]
    assert holder.may("secretsmanager", "put_secret_value", SecretId=stack.secret, SecretString=text)
    assert not holder.may("secretsmanager", "put_secret_value", SecretId=other, SecretString=text)
    assert not holder.may("secretsmanager", "update_secret", SecretId=stack.secret, Description="another")
    assert not holder.may("secretsmanager", "delete_secret", SecretId=stack.secret)


@pytest.mark.parametrize("names", [NAMES[1:], NAMES], ids=["clerks-name", "both-names"])
def test_the_secret_is_stored_under_each_name_that_is_there(stack, actor, names):
    others = {"CLERK_SECRET_KEY": stack.clerk.secret_key, **FURTHER}
    put(stack, json.dumps({**others, **dict.fromkeys(names, EARLIER)}))
    assert ensured(stack, actor) == "create"
    _, secret = only(stack)
    assert stored(stack) == {**others, **dict.fromkeys(names, f"{secret} {EARLIER}")}
    assert endpoint(stack, actor, "status")[0] == 0
    after = current(stack)
    assert (ensured(stack, actor), current(stack)) == ("nothing", after)


TWO = {"CLERK_WEBHOOK_SECRET": "whsec_b25l", "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_dHdv"}
# Each makes a secret of Clerk's secret key.
REFUSED = {
    "text": (lambda key: key, "is not a JSON object"),
    "list": (lambda key: json.dumps([key]), "is not a JSON object"),
    "no-text": (lambda key: json.dumps({"CLERK_SECRET_KEY": key, "CLERK_WEBHOOK_SECRET": {}}), "is not a JSON object"),
    "two": (lambda key: json.dumps({"CLERK_SECRET_KEY": key, **TWO}), "different values for CLERK_WEBHOOK_SECRET and"),
}


@pytest.mark.parametrize(("secret", "reason"), REFUSED.values(), ids=REFUSED)
def test_another_form_of_the_secret_is_refused_before_anything_is_changed(stack, actor, secret, reason):
    put(stack, secret(stack.clerk.secret_key))
    before = current(stack)
    for command in (["status"], ["ensure", "--yes"]):
        ran = run(stack, "endpoint", *command, identity=actor)
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert reason in ran.stderr and stack.clerk.secret_key not in ran.stderr, ran.stderr
    assert not has_application(stack.clerk) and current(stack) == before
