"""Each function may do what it must, and nothing else: tried with its own credentials (roles.py)."""

import pytest

from deployment import NAMES
from presets import parameters
from roles import Role
from stack import TABLES

ROLES = [f"{name}Role" for name in NAMES]

KEY = {"pk": {"S": "USER#probe"}, "sk": {"S": "USER"}}
MEMBERSHIP_KEY = {"pk": {"S": "USER#probe"}, "sk": {"S": "ORG#org_probe"}}
RANK = {"rank": {"S": "0000000000000.1.0000000000001"}, "digest": {"S": "tombstone"}}
LIVE_USER = {**KEY, **RANK, "name": {"S": "Eve"}, "email": {"S": "eve@example.com"}}
LIVE_MEMBERSHIP = {**MEMBERSHIP_KEY, **RANK, "user_pk": KEY["pk"], "organization_id": {"S": "org_probe"}}
ENDED_MEMBERSHIP = {**MEMBERSHIP_KEY, **RANK, "deleted_at": {"N": "1"}, "organization_id": {"S": "org_probe"}}
# In Operations: an event that cannot be read, a user's data that are due, what reconcile's runs remember, what Clerk was
# asked about a caller, how much a function has asked, a list of owned tables, and the restoration of a user's rows.
NOTE = {"pk": {"S": "QUARANTINE#2026-01-01"}, "sk": {"S": "msg_probe"}}
DUE = {"pk": {"S": "PURGE#2026-01-01T00"}, "sk": {"S": "probe"}}
LEASE = {"pk": {"S": "LEASE"}, "sk": {"S": "LEASE"}}
ASKED = {"pk": {"S": "ASKED#probe"}, "sk": {"S": "CALLER"}}
BUDGET = {"pk": {"S": "BUDGET#0"}, "sk": {"S": "probe"}}
LIST = {"pk": {"S": "SETTINGS"}, "sk": {"S": "OWNED_TABLES#probe"}}
RESTORED = {"pk": {"S": "RESTORED#probe"}, "sk": {"S": "USER"}}
# Nothing that is let through in a test changes a row.
NEVER = {"ConditionExpression": "attribute_exists(#rank)", "ExpressionAttributeNames": {"#rank": "rank"}}


def put(table, item):
    """A conditional PutItem, as the functions make it."""
    return "put_item", lambda stack: {"TableName": stack.outputs[table], "Item": item, **NEVER}


def update(table, attribute, key=KEY):
    """An UpdateItem of one attribute."""
    return "update_item", lambda stack: {
        "TableName": stack.outputs[table],
        "Key": key,
        "UpdateExpression": "SET #it = :it",
        "ConditionExpression": "attribute_exists(#rank)",
        "ExpressionAttributeNames": {"#it": attribute, "#rank": "rank"},
        "ExpressionAttributeValues": {":it": {"N": "1"}},
    }


def delete(table):
    """A DeleteItem."""
    return "delete_item", lambda stack: {"TableName": stack.outputs[table], "Key": KEY}


def batch_write(table):
    """A BatchWriteItem, which can have no condition."""
    requests = [{"PutRequest": {"Item": LIVE_USER}}]
    return "batch_write_item", lambda stack: {"RequestItems": {stack.outputs[table]: requests}}


def transact(table, item):
    """A PutItem in a transaction, whose writes are judged one by one."""
    return "transact_write_items", lambda stack: {
        "TransactItems": [{"Put": {"TableName": stack.outputs[table], "Item": item, **NEVER}}]
    }


def transact_update(table, attribute, key=KEY):
    """An UpdateItem in a transaction."""
    _, request = update(table, attribute, key)
    return "transact_write_items", lambda stack: {"TransactItems": [{"Update": request(stack)}]}


def transact_check(table):
    """The check of a transaction that a row is there."""
    check = {"Key": KEY, "ConditionExpression": "attribute_exists(pk)"}
    return "transact_write_items", lambda stack: {
        "TransactItems": [{"ConditionCheck": {"TableName": stack.outputs[table], **check}}]
    }


def get(table, key=None):
    """A GetItem."""
    return "get_item", lambda stack: {"TableName": stack.outputs[table], "Key": key or KEY}


def batch_get(table):
    """A BatchGetItem."""
    return "batch_get_item", lambda stack: {"RequestItems": {stack.outputs[table]: {"Keys": [KEY]}}}


def batch_get_note():
    """A BatchGetItem of a note in quarantine."""
    key = {name: NOTE[name] for name in ("pk", "sk")}
    return "batch_get_item", lambda stack: {"RequestItems": {stack.outputs["OperationsTable"]: {"Keys": [key]}}}


def query_members():
    """A Query of the index of members."""
    return "query", lambda stack: {
        "TableName": stack.outputs["DirectoryTable"],
        "IndexName": "members",
        "KeyConditionExpression": "organization_id = :organization",
        "ExpressionAttributeValues": {":organization": {"S": "org_probe"}},
    }


def query(table):
    """A Query."""
    return "query", lambda stack: {
        "TableName": stack.outputs[table],
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": KEY["pk"]},
    }


def scan(table):
    """A Scan."""
    return "scan", lambda stack: {"TableName": stack.outputs[table]}


READS = [get, batch_get, query, scan]
# How records are created and changed by their owners: of a user, and of a membership.
RECORD_KEYS = [{**KEY, "sk": {"S": "PROFILE"}}, MEMBERSHIP_KEY]
WRITES_OF_RECORDS = [
    it for key in RECORD_KEYS for it in ((transact, [{**key, "theme": {"S": "dark"}}]), (transact_update, ["theme", key]))
]
# A function that is not here uses no table.
MUST = {
    "WebhookRole": [put("DirectoryTable", LIVE_USER), put("OperationsTable", NOTE), batch_get_note()],
    "EnsureProfileRole": [
        batch_get("DirectoryTable"),
        put("DirectoryTable", LIVE_USER),
        put("ProfilesTable", KEY),
        update("OperationsTable", "questions", ASKED),
        update("OperationsTable", "requests", BUDGET),
    ],
    "AccountRole": [
        batch_get("DirectoryTable"),
        batch_get("ProfilesTable"),
        query("DirectoryTable"),
        query_members(),
        transact_check("DirectoryTable"),
        *(call("ProfilesTable", *it) for call, it in WRITES_OF_RECORDS),
    ],
    "AuthorizerRole": [batch_get("DirectoryTable")],
    "ReactRole": [
        query("DirectoryTable"),
        transact("DirectoryTable", ENDED_MEMBERSHIP),
        update("DirectoryTable", "consequences_at"),
        put("ProfilesTable", KEY),
        put("OperationsTable", DUE),
        update("OperationsTable", "requests", BUDGET),
        get("OperationsTable", LIST),
    ],
    "ReconcileRole": [scan("DirectoryTable"), put("DirectoryTable", LIVE_USER), update("DirectoryTable", "purging_at")],
}
# A function that is not here may do nothing of all that.
MUST_NOT = {
    "WebhookRole": [
        *(read(table) for read in READS for table in TABLES),
        *(write for table in TABLES for write in (update(table, "rank"), delete(table), batch_write(table))),
        put("ProfilesTable", KEY),
        put("OperationsTable", LEASE),
        put("OperationsTable", DUE),
        put("OperationsTable", RESTORED),
    ],
    "EnsureProfileRole": [
        *(read(table) for read in (query, scan) for table in TABLES),
        *(write for table in TABLES for write in (update(table, "rank"), delete(table), batch_write(table))),
        put("OperationsTable", KEY),
        # What others note.
        *(update("OperationsTable", "expires_at", key) for key in (NOTE, DUE, LEASE, RESTORED)),
    ],
    "AccountRole": [
        # The Directory, in any way.
        *(write("DirectoryTable") for write in (delete, batch_write, scan)),
        *(put("DirectoryTable", row) for row in (LIVE_USER, LIVE_MEMBERSHIP, ENDED_MEMBERSHIP)),
        *(transact("DirectoryTable", row) for row in (LIVE_USER, LIVE_MEMBERSHIP, ENDED_MEMBERSHIP)),
        *(call("DirectoryTable", name) for call in (update, transact_update) for name in ("name", "consequences_at")),
        # A record without the check of its owners, which only a transaction has; or what is no record.
        *(put("ProfilesTable", key) for key in RECORD_KEYS),
        *(update("ProfilesTable", "theme", key) for key in RECORD_KEYS),
        transact("ProfilesTable", {"pk": {"S": "ORG#org_probe"}, "sk": {"S": "ORG"}}),
        *(call("ProfilesTable") for call in (delete, batch_write, scan, query)),
        # Nothing is asked of Clerk, so nothing of that is noted.
        *(read("OperationsTable") for read in READS),
        *(update("OperationsTable", "expires_at", key) for key in (ASKED, BUDGET, NOTE, DUE, LEASE, LIST, RESTORED)),
        put("OperationsTable", LEASE),
        put("OperationsTable", DUE),
    ],
    "AuthorizerRole": [
        *(read("DirectoryTable") for read in (get, query, scan)),
        *(read(table) for read in READS for table in ("ProfilesTable", "OperationsTable")),
        *(write for table in TABLES for write in (put(table, KEY), update(table, "rank"), delete(table), batch_write(table))),
    ],
    "ReactRole": [
        put("DirectoryTable", LIVE_USER),
        put("DirectoryTable", LIVE_MEMBERSHIP),
        transact("DirectoryTable", LIVE_USER),
        # An organization's key, even with nothing but what a tombstone has.
        put("DirectoryTable", {**RANK, "pk": {"S": "ORG#org_probe"}, "sk": {"S": "ORG"}}),
        update("DirectoryTable", "name"),
        delete("DirectoryTable"),
        batch_write("DirectoryTable"),
        scan("DirectoryTable"),
        # What reconcile's runs remember.
        get("OperationsTable"),
        # Only where a purge begins at once.
        get("OperationsTable", RESTORED),
        put("OperationsTable", RESTORED),
        put("OperationsTable", LEASE),
        put("OperationsTable", LIST),
        *(update("OperationsTable", "expires_at", key) for key in (NOTE, LEASE, ASKED, RESTORED)),
        delete("ProfilesTable"),
        # Only where there is nothing to wait for.
        batch_write("ProfilesTable"),
    ],
    "ReconcileRole": [
        update("DirectoryTable", "name"),
        delete("DirectoryTable"),
        batch_write("DirectoryTable"),
        delete("ProfilesTable"),
        scan("ProfilesTable"),
    ],
}
# Every way to write a row there is.
WRITES = [
    put("DirectoryTable", LIVE_USER),
    put("DirectoryTable", ENDED_MEMBERSHIP),
    transact("DirectoryTable", ENDED_MEMBERSHIP),
    update("DirectoryTable", "name"),
    update("DirectoryTable", "consequences_at"),
    delete("DirectoryTable"),
    batch_write("DirectoryTable"),
]


ANYTHING = [
    *(call(table) for call in (*READS, delete, batch_write) for table in TABLES),
    *(call for table in TABLES for call in (put(table, KEY), update(table, "rank"))),
]


@pytest.mark.parametrize("role", ROLES)
def test_a_function_may_do_what_it_must(stack, roles, role):
    assert refused(stack, roles[role], MUST.get(role, [])) == []
    told = stack.function(role.replace("Role", "Function"))["Environment"]["Variables"]
    may_read = roles[role].may("secretsmanager", "get_secret_value", SecretId=stack.secret)
    assert may_read == ("ROLLCALL_SECRET_ARN" in told)


@pytest.mark.parametrize("role", ROLES)
def test_a_function_may_not_do_what_others_do(stack, roles, role):
    assert allowed(stack, roles[role], MUST_NOT.get(role, ANYTHING)) == []


@pytest.mark.parametrize("role", ROLES)
def test_nobody_may_delete_a_table_or_read_a_backup_or_another_secret(stack, roles, role, another_secret):
    for table in TABLES:
        assert not roles[role].may("dynamodb", "delete_table", TableName=stack.outputs[table])
    assert not roles[role].may("secretsmanager", "get_secret_value", SecretId=another_secret)
    bucket = stack.outputs["BackupBucket"]
    assert not roles[role].may("s3", "get_object", Bucket=bucket, Key="any")
    assert not roles[role].may("s3", "list_objects_v2", Bucket=bucket)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_may_give_themselves_more(stack, roles, role):
    policy = {"RoleName": stack.resources[role], "PolicyName": "more", "PolicyDocument": "{}"}
    assert not roles[role].may("iam", "put_role_policy", **policy)


def test_account_notes_what_it_asks_clerk_and_never_writes_the_directory(uncopied):
    """Where no user is copied: the policy set presets/clerk-only.toml."""
    may = Role(uncopied, "AccountRole")
    noted = [update("OperationsTable", "questions", ASKED), update("OperationsTable", "requests", BUDGET)]
    assert refused(uncopied, may, [*MUST["AccountRole"], *noted]) == []
    assert may.may("secretsmanager", "get_secret_value", SecretId=uncopied.secret)
    of_others = [update("OperationsTable", "expires_at", key) for key in (NOTE, DUE, LEASE, LIST, RESTORED)]
    assert allowed(uncopied, may, [*WRITES, *of_others]) == []


def test_c1_where_the_webhook_is_the_only_writer_nobody_else_can_write_the_directory(read_only):
    """The policy set presets/read-only-copy.toml."""
    may = {role: Role(read_only, role) for role in ROLES}
    assert refused(read_only, may["WebhookRole"], [put("DirectoryTable", LIVE_USER)]) == []
    for role in set(ROLES) - {"WebhookRole"}:
        assert allowed(read_only, may[role], WRITES) == [], role
    # ensure-profile only verifies, and account only reads, so they need no key to Clerk, and have none.
    for role in ("EnsureProfileRole", "AccountRole"):
        assert not may[role].may("secretsmanager", "get_secret_value", SecretId=read_only.secret)
    assert refused(read_only, may["EnsureProfileRole"], [batch_get("DirectoryTable")]) == []


def test_c1_what_the_webhook_has_not_brought_stays_missing_and_is_said(read_only):
    clerk = read_only.clerk
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Joan", "Clarke")
    answer = read_only.post("/profiles/ensure", clerk.session_token(user["id"]))
    assert (answer.status_code, answer.json()["code"]) == (404, "user_not_synced")
    # reconcile finds it, and says so, too.
    ended = read_only.reconcile()
    assert '"missing":1' in ended["output"].replace(" ", "")
    assert read_only.user(user["id"]) is None

    clerk.faults()
    clerk.update_user(user["id"], last_name="Murray")
    clerk.delivered(user["id"], "user.updated")
    assert read_only.user(user["id"])["applied_by"] == "webhook"
    assert read_only.post("/profiles/ensure", clerk.session_token(user["id"])).status_code == 200


def test_what_services_do_in_a_role_the_role_allows(stack):
    """MiniStack's services act as themselves where AWS's act in the roles that they were given. So IAM is asked."""
    needed = {
        "ReconcileStateMachineRole": [
            ("lambda:InvokeFunction", stack.arn("ReconcileFunction")),
            ("sqs:SendMessage", stack.queue_arn("ReconcileFailures")),
        ],
        "ReconcileStartRole": [
            ("states:StartExecution", stack.outputs["ReconcileStateMachine"]),
            ("sqs:SendMessage", stack.queue_arn("ReconcileFailures")),
        ],
        "SettleStartRole": [
            ("states:StartExecution", stack.outputs["ReconcileStateMachine"]),
            ("sqs:SendMessage", stack.queue_arn("ReconcileFailures")),
        ],
        "ReactRole": [
            *((f"dynamodb:{it}", stack.stream_arn()) for it in ("DescribeStream", "GetRecords", "GetShardIterator")),
            ("sqs:SendMessage", stack.queue_arn("ReactFailures")),
        ],
    }
    for role, permissions in needed.items():
        assert [it for it in permissions if not stack.role_allows(role, *it)] == [], role
        # None of them may do what another one does.
        others = {it for them in needed.values() for it in them} - set(permissions)
        assert [it for it in others if stack.role_allows(role, *it)] == [], role


def allowed(stack, role, calls):
    """Those of the calls that are let through."""
    return [(name, make(stack)) for name, make in calls if role.may("dynamodb", name, **make(stack))]


def refused(stack, role, calls):
    """Those of the calls that are not."""
    return [(name, make(stack)) for name, make in calls if not role.may("dynamodb", name, **make(stack))]


@pytest.fixture(scope="module")
def roles(stack):
    """The roles of the functions."""
    return {role: Role(stack, role) for role in ROLES}


@pytest.fixture(scope="module")
def another_secret(aws):
    """A secret of somebody else's."""
    return aws.client("secretsmanager").create_secret(Name="another", SecretString="{}")["ARN"]


@pytest.fixture(scope="module")
def uncopied(deploy):
    """A stack that copies no users."""
    return deploy("uncopied", **parameters("clerk-only"))


@pytest.fixture(scope="module")
def read_only(deploy):
    """A stack where the webhook is the only writer."""
    return deploy("read-only", **parameters("read-only-copy"))
