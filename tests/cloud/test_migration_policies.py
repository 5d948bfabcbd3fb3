"""The policies for operators during a migration: `rollcall migrate` reads and writes the listed tables, and no others."""

import json

import pytest
from boto3.dynamodb.types import TypeDeserializer

from aws import OWNER, REGION
from operator_cli import run
from operator_policies import deployed, person
from roles import Holder

# The key attributes of the tables that the policies only read, and of those that they write.
READ = {
    "old-users": ["id"],
    "old-archive": ["id"],
    "old-tasks": ["user_id", "id"],
    "old-verified": ["id"],
    "old-tasks-read-only": ["clerk_user_id", "id"],
}
WRITTEN = {"old-profiles": ["id"], "old-tasks-by-clerk-id": ["clerk_user_id", "id"]}
OLD_IDS = ["legacy-1", "legacy-2"]

USERS = ["metadata", "--table", "old-users", "--legacy-id", "id", "--match-only", "--folder", "{folder}"]
REKEY = ["rekey-table", "--map", "{map}", "--folder", "{folder}"]
IN_PLACE = [*REKEY, "old-profiles", "--reference", "user_id"]
COPY = [*REKEY, "old-tasks", "--reference", "user_id", "--into", "old-tasks-by-clerk-id"]
UNDO = ["rekey-table", "--folder", "{folder}", "old-profiles", "--undo"]
VERIFY = ["verify", "{file}", "--folder", "{folder}"]
# Each command, and the table and the permission that it needs first beyond those of every command.
COMMANDS = {
    "metadata-dry-run": ([*USERS, "--dry-run"], "old-users", "dynamodb:DescribeTable"),
    "metadata": ([*USERS, "--yes"], "old-users", "dynamodb:DescribeTable"),
    "rekey-table-dry-run": ([*IN_PLACE, "--dry-run"], "old-profiles", "dynamodb:DescribeTable"),
    "rekey-table": ([*IN_PLACE, "--yes"], "old-profiles", "dynamodb:DescribeTable"),
    "rekey-table-into": ([*COPY, "--yes"], "old-tasks", "dynamodb:DescribeTable"),
    "rekey-table-undo": ([*UNDO, "--yes"], "old-profiles", "dynamodb:DescribeTable"),
    "verify": (VERIFY, "old-verified", "dynamodb:Scan"),
}


@pytest.fixture(scope="module")
def users(stack):
    """The Clerk id of each old user."""
    names = zip(OLD_IDS, [("Ada", "Migrated"), ("Joan", "Migrated")])
    return {old: stack.clerk.create_user(*name, external_id=old)["id"] for old, name in names}


@pytest.fixture(scope="module")
def tables(stack, users):
    """The tables of an application."""
    dynamodb = stack.client("dynamodb")
    for name, key in (READ | WRITTEN).items():
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": it, "AttributeType": "S"} for it in key],
            KeySchema=[{"AttributeName": it, "KeyType": kind} for it, kind in zip(key, ["HASH", "RANGE"])],
        )
    dynamodb.update_time_to_live(
        TableName="old-tasks", TimeToLiveSpecification={"Enabled": True, "AttributeName": "due"}
    )
    for number, (old, user) in enumerate(users.items()):
        put(stack, "old-users", {"id": old})
        for table in ["old-profiles", "old-archive", "old-tasks"]:
            put(stack, table, {"id": f"row-{number}", "user_id": old})
        put(stack, "old-verified", {"id": f"row-{number}", "user_id": old, "clerk_user_id": user})


def put(stack, table, row):
    stack.resource().Table(table).put_item(Item=row)


def rows(stack, table):
    """All rows of a table."""
    found = stack.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    values = [{name: TypeDeserializer().deserialize(it) for name, it in row.items()} for row in found]
    return sorted(values, key=lambda it: it["id"])


def all_rows(stack):
    return {table: rows(stack, table) for table in READ | WRITTEN}


def arns(names):
    return ",".join(f"arn:aws:dynamodb:{REGION}:000000000000:table/{name}" for name in names)


@pytest.fixture(scope="module")
def policies(stack, tables):
    """The example during the migration."""
    return deployed(
        stack, "migration-operators", MigrationReadTableArns=arns(READ), MigrationWriteTableArns=arns(WRITTEN)
    )


@pytest.fixture(scope="module")
def looker(stack, policies):
    return person(stack, policies, "migration-looker", "Reading")


@pytest.fixture(scope="module")
def actor(stack, policies):
    return person(stack, policies, "migration-actor", "Reading", "Acting")


@pytest.fixture(scope="module")
def usual(stack, tables):
    """Somebody with both policies, deployed without the parameters of a migration."""
    return person(stack, deployed(stack, "usual-operators"), "usual-actor", "Reading", "Acting")


def migrate(stack, identity, command, folder, **names):
    """Runs a command of the migration. Answers with its exit status and its report."""
    ran = attempt(stack, identity, command, folder, **names)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def attempt(stack, identity, command, folder, **names):
    """Runs a command of the migration, which may fail."""
    filled = [it.format(folder=folder, **names) for it in command]
    return run(stack, "migrate", *filled, "--json", identity=identity)


@pytest.fixture(scope="module")
def mapped(stack, actor, tables, tmp_path_factory):
    """The folder of the migration of the users, which has the map of ids."""
    folder = tmp_path_factory.mktemp("migration") / "users"
    status, report = migrate(stack, actor, [*USERS, "--yes"], folder)
    assert (status, report["plan"]["read"]) == (0, len(OLD_IDS)), report
    return folder


@pytest.fixture(scope="module")
def request_file(mapped):
    """What `rollcall migrate verify` reads: a live table."""
    file = mapped.parent / "verify.toml"
    file.write_text(
        "[users]\nfolder = 'users'\nfiles = ['users/table-old-users.ndjson']\n"
        "[[collection]]\nname = 'profiles'\ntable = 'old-verified'\nreferences = { user_id = 'clerk_user_id' }\n"
    )
    return file


@pytest.fixture
def folder(tmp_path):
    """Where the command writes its own files."""
    return tmp_path / "folder"


@pytest.fixture
def as_they_are(stack, tables):
    """No table changes during the test."""
    before = all_rows(stack)
    yield
    assert all_rows(stack) == before


@pytest.mark.usefixtures("as_they_are")
@pytest.mark.parametrize("name", COMMANDS)
def test_reading_alone_migrates_nothing_and_the_missing_permission_is_named(
    stack, looker, folder, mapped, request_file, name
):
    command, _, _ = COMMANDS[name]
    ran = attempt(stack, looker, command, folder, map=mapped, file=request_file)
    assert (ran.returncode, ran.stdout, folder.exists()) == (1, "", False), ran.stderr
    assert "secretsmanager:GetSecretValue" in ran.stderr, ran.stderr


@pytest.mark.usefixtures("as_they_are")
@pytest.mark.parametrize("name", COMMANDS)
def test_without_the_parameters_acting_reaches_no_table_of_the_application(
    stack, usual, folder, mapped, request_file, name
):
    command, table, permission = COMMANDS[name]
    ran = attempt(stack, usual, command, folder, map=mapped, file=request_file)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    assert not (folder / "report.json").exists()
    assert f"table {table}: " in ran.stderr and permission in ran.stderr, ran.stderr


@pytest.mark.usefixtures("as_they_are")
def test_acting_is_enough_to_plan_and_to_verify(stack, actor, folder, mapped, request_file):
    folder.mkdir()
    status, report = migrate(stack, actor, [*USERS, "--dry-run"], folder / "users")
    assert (status, report["plan"]["read"], report["dry_run"]) == (0, len(OLD_IDS), True), report
    for command in [IN_PLACE, COPY]:
        status, report = migrate(stack, actor, [*command, "--dry-run"], folder / command[5], map=mapped)
        assert (status, report["plan"]["by_result"]) == (2, {"changed": len(OLD_IDS)}), report
    status, report = migrate(stack, actor, VERIFY, folder / "verify", file=request_file)
    assert (status, [it["state"] for it in report["criteria"]][:4]) == (0, ["proven"] * 4), report
    (collection,) = report["collections"]
    assert (collection["live_table"], collection["counts"]["rows"]) == (True, len(OLD_IDS)), report


def test_acting_is_enough_to_rekey_a_table_and_to_undo_it(stack, actor, users, folder, mapped):
    before = rows(stack, "old-profiles")
    status, report = migrate(stack, actor, [*IN_PLACE, "--yes"], folder, map=mapped)
    assert (status, report["written"]) == (0, len(OLD_IDS)), report
    rekeyed = rows(stack, "old-profiles")
    assert rekeyed == [{**row, "clerk_user_id": users[row["user_id"]]} for row in before]
    # What the application writes since is read again, and stays.
    since = {**rekeyed[0], "clerk_user_id": "user_since"}
    put(stack, "old-profiles", since)
    status, report = migrate(stack, actor, [*UNDO, "--yes"], folder, map=mapped)
    assert (status, report["undone"]["removed"], report["undone"]["changed_since"]) == (2, 1, 1), report
    assert rows(stack, "old-profiles") == [since, before[1]]
    put(stack, "old-profiles", before[0])


def test_acting_is_enough_to_copy_rows_into_a_table_with_another_key(stack, actor, users, folder, mapped):
    before = rows(stack, "old-tasks")
    status, report = migrate(stack, actor, [*COPY, "--yes"], folder, map=mapped)
    assert (status, report["written"]) == (0, len(OLD_IDS)), report
    assert any("due" in it for it in report["new_table_lacks"]), report
    copies = [{**row, "clerk_user_id": users[row["user_id"]]} for row in before]
    assert (rows(stack, "old-tasks"), rows(stack, "old-tasks-by-clerk-id")) == (before, copies)
    for row in copies:
        key = {it: row[it] for it in WRITTEN["old-tasks-by-clerk-id"]}
        stack.resource().Table("old-tasks-by-clerk-id").delete_item(Key=key)


@pytest.mark.usefixtures("as_they_are")
def test_a_table_that_may_only_be_read_is_planned_and_not_written(stack, actor, folder, mapped):
    command = [*REKEY, "old-archive", "--reference", "user_id"]
    status, report = migrate(stack, actor, [*command, "--dry-run"], folder, map=mapped)
    assert (status, report["plan"]["by_result"]) == (2, {"changed": len(OLD_IDS)}), report
    ran = attempt(stack, actor, [*command, "--yes"], folder, map=mapped)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    assert needs("old-archive", "dynamodb:UpdateItem") in ran.stderr, ran.stderr


def test_a_table_that_may_only_be_read_is_not_undone(stack, actor, folder, mapped):
    command, before = [*REKEY, "old-archive"], rows(stack, "old-archive")
    status, report = migrate(stack, OWNER, [*command, "--reference", "user_id", "--yes"], folder, map=mapped)
    assert (status, report["written"]) == (0, len(OLD_IDS)), report
    rekeyed = rows(stack, "old-archive")
    undo = ["rekey-table", "--folder", "{folder}", "old-archive", "--undo", "--yes"]
    ran = attempt(stack, actor, undo, folder, map=mapped)
    assert (ran.returncode, ran.stdout, rows(stack, "old-archive")) == (1, "", rekeyed), ran.stderr
    assert needs("old-archive", "dynamodb:UpdateItem") in ran.stderr, ran.stderr
    for row in before:
        put(stack, "old-archive", row)


@pytest.mark.usefixtures("as_they_are")
def test_no_row_is_copied_into_a_table_that_may_only_be_read(stack, actor, folder, mapped):
    command = [*REKEY, "old-tasks", "--reference", "user_id", "--into", "old-tasks-read-only", "--yes"]
    ran = attempt(stack, actor, command, folder, map=mapped)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    assert needs("old-tasks-read-only", "dynamodb:GetItem") in ran.stderr, ran.stderr


def needs(table, permission):
    denied = f"table {table}: DynamoDB denied access (AccessDeniedException)"
    return f"{denied}: your role needs the permission {permission} on this table"


@pytest.mark.usefixtures("as_they_are")
def test_acting_removes_no_row_and_writes_no_table_that_is_only_read(stack, actor):
    holder = Holder(stack.aws, (*actor, None))
    never = {"ConditionExpression": "attribute_exists(nothing)"}
    for table, key in (READ | WRITTEN).items():
        key = {it: {"S": "probe"} for it in key}
        assert not holder.may("dynamodb", "delete_item", TableName=table, Key=key, **never), table
        writes = table in WRITTEN
        assert holder.may("dynamodb", "put_item", TableName=table, Item=key, **never) == writes, table
        assert holder.may("dynamodb", "update_item", TableName=table, Key=key, **never) == writes, table
        assert holder.may("dynamodb", "describe_time_to_live", TableName=table), table
