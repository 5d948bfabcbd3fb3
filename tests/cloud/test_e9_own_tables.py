"""E9: a user reaches only the own rows of an application's table, as docs/own-tables.md says.

The example in docs/examples/own-tables is deployed behind the authorizer; what it grants is tried here, and the
document shows parts of it. The callers are those of whom the deployed authorizer speaks.
"""

import json
import re
import textwrap

import pytest
from botocore.exceptions import ClientError

import local_iam
import presets
from apis import ask
from own_requests import BY_KEY, EQUAL, OF_MANY, key, query, reaches
from own_tables import EXAMPLE, Application
from processes import ROOT
from roles import Holder
from waits import until

DOCUMENT = ROOT / "docs" / "own-tables.md"
# IAM's name for the partition keys of the rows that a request names.
LEADING_KEYS = "dynamodb:LeadingKeys"


# The pattern.


def test_e9_the_document_shows_what_is_deployed_here():
    shown = re.findall(r"^```(yaml|python)\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    sources = {"yaml": "template.yaml", "python": "tasks.py"}
    assert {language for language, _ in shown} == set(sources)
    for language, block in shown:
        deployed = (EXAMPLE / sources[language]).read_text()
        depths = {len(it) - len(it.lstrip()) for it in deployed.splitlines()}
        assert any(textwrap.indent(block, " " * depth) in deployed for depth in depths), block


@pytest.mark.parametrize("name", [*BY_KEY, *OF_MANY])
def test_e9_a_user_reaches_the_own_rows(application, users, name):
    ada, _ = users
    assert reaches(application, application.user(ada), name, ada)


@pytest.mark.parametrize("name", [*BY_KEY, *OF_MANY])
def test_e9_a_user_reaches_no_row_of_another_user(application, users, name):
    ada, bob = users
    assert not reaches(application, application.user(ada), name, bob)


@pytest.mark.parametrize("name", OF_MANY)
def test_e9_one_row_of_another_user_among_the_own_ones_refuses_the_whole_request(application, users, name):
    ada, bob = users
    assert not reaches(application, application.user(ada), name, ada, bob)


def test_e9_a_user_gets_no_rows_without_naming_a_partition(application, users):
    ada, _ = users
    user, table = application.user(ada), application.table.name
    assert not user.may("dynamodb", "scan", TableName=table)
    of_index = query("assigned_by = :who", who=ada)
    assert not user.may("dynamodb", "query", TableName=table, IndexName="by_assigner", **of_index)
    statement = f"""SELECT * FROM "{table}" WHERE user_id = '{ada}'"""
    assert not user.may("dynamodb", "execute_statement", Statement=statement)
    check = {"TableName": table, "Key": key(ada), "ConditionExpression": "attribute_exists(user_id)"}
    assert not user.may("dynamodb", "transact_write_items", TransactItems=[{"ConditionCheck": check}])


def test_e9_the_function_itself_reaches_no_row(application, users):
    assert not [name for name in [*BY_KEY, *OF_MANY] if reaches(application, application.function, name, users[0])]


@pytest.mark.parametrize(
    "tags", [[], [("tenant", "any")], [("user_id", "{ada}"), ("tenant", "any")]], ids=["none", "another", "one more"]
)
def test_e9_a_session_has_the_tag_and_no_other(application, users, tags):
    with pytest.raises(ClientError, match="AccessDenied"):
        application.session(application.function, *((name, value.format(ada=users[0])) for name, value in tags))


def test_e9_nobody_else_sets_the_tag(application, users, intruder):
    ada, bob = users
    # Not even who may assume every role, as far as the own policies go; nor a user's session, which would be another's.
    for caller in (intruder, application.user(ada)):
        with pytest.raises(ClientError, match="AccessDenied"):
            application.session(caller, ("user_id", bob))


# What decides.


def test_e9_without_the_null_condition_a_request_without_keys_is_let_through(application, users, loose):
    ada, _ = users
    strict = own_rows(application)
    scan = {"TableName": application.table.name}
    with_scan = {**strict, "Action": [*strict["Action"], "dynamodb:Scan"]}
    assert not loose(with_scan, ("user_id", ada)).may("dynamodb", "scan", **scan)
    without_null = {**with_scan, "Condition": {it: keys for it, keys in strict["Condition"].items() if it != "Null"}}
    assert loose(without_null, ("user_id", ada)).may("dynamodb", "scan", **scan)


def test_e9_without_the_leading_key_every_row_is_reached(application, users, loose):
    ada, bob = users
    strict = own_rows(application)
    unconditional = loose({**strict, "Condition": {"Null": strict["Condition"]["Null"]}}, ("user_id", ada))
    assert all(reaches(application, unconditional, name, bob) for name in [*BY_KEY, *OF_MANY])


def test_e9_a_session_without_the_tag_reaches_no_row(application, users, loose):
    ada, bob = users
    for tags in ([], [("tenant", ada)]):
        nobody = loose(own_rows(application), *tags)
        assert not [name for name in [*BY_KEY, *OF_MANY] if reaches(application, nobody, name, ada)]
    assert reaches(application, loose(own_rows(application), ("user_id", bob)), "get", bob)


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        (query("pk = :a", a="A"), ["A"]),
        (query("#k = :a AND sk >= :b", {"#k": "pk"}, a="A", b="B"), ["A"]),
        (query("sk = :b AND (pk=:a)", a="A", b="B"), ["A"]),
        (query("sk = :b", b="B"), None),
        ({"KeyConditions": {"pk": {**EQUAL, "AttributeValueList": [{"N": "7"}]}}}, ["7"]),
        ({"FilterExpression": "pk = :a", "ExpressionAttributeValues": {":a": {"S": "A"}}}, None),
    ],
)
def test_e9_the_leading_key_of_a_query_is_its_partition_key(request_, keys):
    """What local_iam.py derives, and MiniStack does not."""
    body = json.dumps({"TableName": "unknown", **request_})
    assert local_iam.service_context(body).get(LEADING_KEYS) == keys
    assert LEADING_KEYS not in local_iam.iam_actions.dynamodb_service_context(body)


# Through the API.


def test_e9_the_tasks_of_the_caller_come_through_the_authorizer(application, people):
    (ada, token), (bob, other) = people
    assert tasks(application, token) == {"1": ("wire the panel of Ada", bob, "Bob Example")}
    assert tasks(application, other) == {"1": ("wire the panel of Bob", ada, "Ada Example")}
    assert ask(application.url("/tasks")).status_code == 401
    assert ask(application.url("/tasks"), "not-a-token").status_code == 403


def test_e9_a_function_that_takes_the_partition_from_the_request_is_refused_by_iam(application, people):
    (ada, token), (bob, other) = people
    careless = application.url("/careless")
    assert ask(f"{careless}?of={ada}", token).json() == ["wire the panel of Ada"]
    refused = ask(f"{careless}?of={bob}", token)
    assert (refused.status_code, refused.text) == (403, "AccessDeniedException")
    # In the same container, which holds the sessions of both by then.
    assert ask(f"{careless}?of={bob}", other).json() == ["wire the panel of Bob"]
    assert ask(f"{careless}?of={ada}", other).status_code == 403


def test_e9_the_profile_routes_know_no_other_user_than_the_caller(stack, people):
    for (own, token), (other, _) in (people, people[::-1]):
        until("the record is there", lambda key=f"USER#{own}": stack.row("ProfilesTable", key, "PROFILE"))
        record = stack.send("GET", "/me/profile", token)
        assert (record.status_code, record.json()["user_id"]) == (200, own), record.text
        assert stack.send("GET", f"/me/profile?user_id={other}", token).json()["code"] == "parameter_unknown"
        assert other not in stack.send("GET", "/me", token).text


# The join.


def test_e9_the_backend_reads_users_and_recognises_tombstones(stack, application, people, deleted):
    (ada, _), _ = people
    table = stack.outputs["DirectoryTable"]
    client = stack.aws.client("dynamodb", application.function.credentials)
    keys = [{"pk": {"S": f"USER#{it}"}, "sk": {"S": "USER"}} for it in (ada, deleted, "nobody")]
    read = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})["Responses"][table]
    rows = {it["id"]["S"]: it for it in read}
    assert set(rows) == {ada, deleted}
    assert rows[ada]["name"] == {"S": "Ada Example"} and "deleted_at" not in rows[ada]
    assert rows[deleted]["name"] == {"S": "Deleted User"} and "deleted_at" in rows[deleted]
    assert client.get_item(TableName=table, Key=keys[0])["Item"] == rows[ada]
    assert client.query(TableName=table, **query("pk = :pk", pk=f"USER#{ada}"))["Items"] == [rows[ada]]


def test_e9_the_join_shows_live_users_and_names_no_deleted_one(stack, application, people, deleted):
    (ada, _), (bob, token) = people
    profile = until("the record is there", lambda: stack.row("ProfilesTable", f"USER#{ada}", "PROFILE"))
    kept = stack.row("ProfilesTable", f"USER#{deleted}", "PROFILE")
    assert kept and "redacted_at" not in kept, "the grace period has just begun"
    profiles = stack.resource().Table(stack.outputs["ProfilesTable"])
    for row in (profile, kept):
        profiles.put_item(Item={**row, "bio": "I rank words."})
    # More users than a BatchGetItem takes.
    strangers = [f"stranger-{number:03}" for number in range(120)]
    with application.table.batch_writer() as batch:
        for number, who in enumerate([ada, deleted, *strangers], 100):
            batch.put_item(Item={"user_id": bob, "task_id": str(number), "assigned_by": who, "text": "sort"})
    try:
        answer = ask(application.url("/tasks"), token)
        assert answer.status_code == 200, answer.text
        shown = {it["task_id"]: it["assigned_by"] for it in answer.json()["tasks"]}
        assert len(shown) == 123 and list(shown.values()).count(None) == 120
        assert shown["100"] == {"id": ada, "name": "Ada Example", "image_url": shown["100"]["image_url"], "bio": "I rank words."}
        assert shown["101"] == {"id": deleted, "deleted": True}
    finally:
        with application.table.batch_writer() as batch:
            for number in range(100, 222):
                batch.delete_item(Key={"user_id": bob, "task_id": str(number)})


def test_e9_the_backend_writes_no_row_of_rollcall(stack, application):
    backend, row = application.function, {"pk": {"S": "USER#probe"}, "sk": {"S": "USER"}}
    for output in ("DirectoryTable", "ProfilesTable"):
        table = stack.outputs[output]
        assert backend.may("dynamodb", "get_item", TableName=table, Key=row)
        assert not backend.may("dynamodb", "put_item", TableName=table, Item=row)
        update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "b"}}}
        assert not backend.may("dynamodb", "update_item", TableName=table, Key=row, **update)
        assert not backend.may("dynamodb", "delete_item", TableName=table, Key=row)
        assert not backend.may("dynamodb", "batch_write_item", RequestItems={table: [{"PutRequest": {"Item": row}}]})
        transaction = [{"Delete": {"TableName": table, "Key": row}}]
        assert not backend.may("dynamodb", "transact_write_items", TransactItems=transaction)
        assert not backend.may("dynamodb", "scan", TableName=table)
    assert not backend.may("dynamodb", "get_item", TableName=stack.outputs["OperationsTable"], Key=row)


def test_e9_keys_that_dynamodb_has_not_processed_are_asked_for_again(example):
    asked = []

    class Throttled:
        """Answers one key at a time."""

        def batch_get_item(self, RequestItems):
            (request,) = RequestItems.values()
            asked.append(len(request["Keys"]))
            first, *rest = request["Keys"]
            left = {"Directory": {**request, "Keys": rest}} if rest else {}
            return {"Responses": {"Directory": [first]}, "UnprocessedKeys": left}

    example.DYNAMODB = Throttled()
    keys = [{"pk": f"USER#{number}"} for number in range(3)]
    assert example.rows_of("Directory", keys, ["pk"]) == keys
    assert asked == [3, 2, 1]
    with pytest.raises(TimeoutError):
        example.rows_of("Directory", [{"pk": f"USER#{number}"} for number in range(9)], ["pk"])


# Together with OWNED_TABLES.


def test_e9_the_own_rows_go_with_their_user(application, owning):
    clerk = owning.clerk
    gone, other = (clerk.create_user("Frances", last) for last in ("Bilas", "Holberton"))
    for user in (gone, other):
        clerk.delivered(user["id"])
        user["row"] = owning.user(user["id"])
        application.table.put_item(Item={"user_id": user["row"]["id"], "task_id": "1", "text": "sort and merge"})
    clerk.delete_user(gone["id"])
    until("the row is gone", lambda: not task(application, gone["row"]["id"]))
    assert task(application, other["row"]["id"])


def own_rows(application):
    """The statement of the data's role, as it was deployed."""
    role = {"RoleName": application.resources["TasksDataRole"], "PolicyName": "OwnRows"}
    (statement,) = application.client("iam").get_role_policy(**role)["PolicyDocument"]["Statement"]
    return statement


def tasks(application, token):
    """The answer of the example's function: text, id and name of the assigner, by the id of the task."""
    answer = ask(application.url("/tasks"), token)
    assert answer.status_code == 200, answer.text
    found = answer.json()["tasks"]
    return {it["task_id"]: (it["text"], it["assigned_by"]["id"], it["assigned_by"]["name"]) for it in found}


def task(application, user_id):
    """The first task of a user, or None."""
    found = application.table.get_item(Key={"user_id": user_id, "task_id": "1"}, ConsistentRead=True)
    return found.get("Item")


def authorized(stack, token):
    """The context in the deployed authorizer's own answer to an HTTP API."""
    event = {
        "version": "2.0",
        "type": "REQUEST",
        "headers": {"authorization": f"Bearer {token}"},
        "requestContext": {"http": {"method": "GET"}, "requestId": "e9"},
    }
    answer = stack.invoke("AuthorizerFunction", event)
    assert answer["isAuthorized"], answer
    return answer["context"]


@pytest.fixture(scope="module")
def application(stack):
    """The example beside the stack."""
    return Application(stack, "own-tables")


@pytest.fixture(scope="module")
def people(stack, application):
    """Two users with a task each, assigned by the other one: the id of whom the authorizer speaks, and a token."""
    clerk, found = stack.clerk, []
    for name in ("Ada", "Bob"):
        user = clerk.create_user(name)
        clerk.delivered(user["id"])
        token = clerk.session_token(user["id"])
        found.append((authorized(stack, token)["user_id"], token))
    (ada, _), (bob, _) = found
    for name, who, by in (("Ada", ada, bob), ("Bob", bob, ada)):
        text = f"wire the panel of {name}"
        application.table.put_item(Item={"user_id": who, "task_id": "1", "assigned_by": by, "text": text})
    return found


@pytest.fixture(scope="module")
def users(people):
    """Their ids."""
    return [user_id for user_id, _ in people]


@pytest.fixture(scope="module")
def deleted(stack):
    """The id of a user whose row is a tombstone, and whose record is still there."""
    clerk = stack.clerk
    user = clerk.create_user("Carol")
    clerk.delivered(user["id"])
    row = stack.user(user["id"])
    until("the record is there", lambda: stack.row("ProfilesTable", row["pk"], "PROFILE"))
    clerk.delete_user(user["id"])
    until("the tombstone is there", lambda: stack.ended_row("DirectoryTable", row["pk"], "USER"))
    return row["id"]


@pytest.fixture(scope="module")
def intruder(application):
    """A user of IAM who may assume every role, as far as the own policies go."""
    iam = application.client("iam")
    iam.create_user(UserName="intruder")
    statement = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="intruder", PolicyName="every", PolicyDocument=document)
    made = iam.create_access_key(UserName="intruder")["AccessKey"]
    return Holder(application.aws, (made["AccessKeyId"], made["SecretAccessKey"], None))


@pytest.fixture(scope="module")
def loose(application, intruder):
    """Assumes a role that anybody may assume with any tags, and that has one statement."""
    iam = application.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="loose", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    def assume(statement, *tags):
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="loose", PolicyName="loose", PolicyDocument=document)
        return application.session(intruder, *tags, role=role)

    return assume


@pytest.fixture
def example(monkeypatch):
    """The example's code, in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import tasks as module

    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return module


@pytest.fixture(scope="module")
def owning(deploy, application):
    """A stack that removes the rows of the example's table at once, with the entry that the document shows."""
    (entry,) = re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    (owned,) = json.loads(entry)
    assert owned["table"] == "tasks"
    parameters = {
        **presets.parameters("progress-and-purge"),
        "PurgeAfterHours": 0,
        "OwnedTables": json.dumps([{**owned, "table": application.table.name}]),
        "OwnedTableArns": application.outputs["TasksTableArn"],
    }
    return deploy("owning", **parameters)
