"""A deletion in Clerk where nothing is held back: the rows go at once, into a backup in the stack's bucket.

The policy set presets/progress-and-purge.toml with `PurgeAfterHours=0`, and one table of the application's.
"""

import json

import pytest
from boto3.dynamodb.conditions import Key

import presets
from operator_cli import rollcall
from waits import until


def test_a_deleted_user_goes_from_every_table_into_a_backup_that_can_be_put_back(purging, tasks):
    clerk = purging.clerk
    user, other = (clerk.create_user("Ruth", last) for last in ("Teitelbaum", "Lichterman"))
    for it in (user, other):
        clerk.delivered(it["id"], "user.created")
        for number in range(3):
            tasks.put_item(Item={"user_id": it["id"], "task_id": str(number), "text": "wire the panel"})
    row = purging.user(user["id"])
    profile = until("the profile is there", lambda: purging.row("ProfilesTable", row["pk"], "PROFILE"))
    assert profile["level"] == 1
    spared = until("the other one, too", lambda: profile_of(purging, other))

    clerk.delete_user(user["id"])
    done = until("the purge is done", lambda: purged(purging, row))
    assert set(done) >= {"pk", "sk", "rank", "deleted_at"} and "email" not in done
    assert tasks_of(tasks, user) == []
    assert purging.row("ProfilesTable", row["pk"], "PROFILE") is None
    # Somebody else's are where they were.
    assert len(tasks_of(tasks, other)) == 3 and profile_of(purging, other) == spared

    (backup,) = backups(purging)
    header, *lines = [json.loads(line) for line in read(purging, backup).splitlines()]
    assert (header["user"], header["rank"]) == (row["id"], done["rank"])
    assert sorted(it["table"] for it in lines) == sorted(["tasks"] * 3 + [purging.outputs["ProfilesTable"]])

    status, report = rollcall(purging, "restore", f"s3://{purging.outputs['BackupBucket']}/{backup}", "--yes")
    assert status == 0, report
    assert purging.row("ProfilesTable", row["pk"], "PROFILE") == profile
    assert len(tasks_of(tasks, user)) == 3


def test_a_list_of_owned_tables_in_operations_is_read_by_every_function_that_removes(purging, tasks, tmp_path):
    clerk, functions = purging.clerk, ("ReactFunction", "ReconcileFunction")
    before = {name: purging.function(name)["Environment"] for name in functions}
    file = tmp_path / "owned.json"
    file.write_text(before["ReactFunction"]["Variables"]["OWNED_TABLES"])
    status, stored = rollcall(purging, "owned-tables", str(file))
    assert (status, stored["tables"]) == (0, 1), stored
    for name in functions:
        variables = {**before[name]["Variables"], "OWNED_TABLES": stored["owned_tables"]}
        configure(purging, name, {"Variables": variables})
    try:
        user = clerk.create_user("Betty", "Holberton")
        clerk.delivered(user["id"], "user.created")
        tasks.put_item(Item={"user_id": user["id"], "task_id": "1", "text": "sort and merge"})
        row = purging.user(user["id"])
        until("the profile is there", lambda: purging.row("ProfilesTable", row["pk"], "PROFILE"))
        clerk.delete_user(user["id"])
        until("the purge is done", lambda: purged(purging, row))
        assert tasks_of(tasks, user) == []
        # The command reads the same list, with the settings of reconcile.
        status, report = rollcall(purging, "analyze")
        assert status in (0, 2), report
    finally:
        for name in functions:
            configure(purging, name, before[name])


def configure(stack, function, environment):
    """Gives a function another environment."""
    name = stack.resources[function]
    stack.client("lambda").update_function_configuration(FunctionName=name, Environment=environment)


def test_the_bucket_of_backups_takes_nothing_in_the_clear(purging):
    """What the policy says of it. Encryption at rest and the block of public access are as deployed."""
    bucket = {"Bucket": purging.outputs["BackupBucket"]}
    s3 = purging.client("s3")
    policy = json.loads(s3.get_bucket_policy(**bucket)["Policy"])
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    (rule,) = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())


def purged(stack, row):
    """The tombstone once nothing is left to do about it: Clerk's id has gone from it."""
    tombstone = stack.row("DirectoryTable", row["pk"], row["sk"])
    return tombstone if "consequences_at" in tombstone and "clerk_user_id" not in tombstone else None


def tasks_of(tasks, user):
    """The rows of a user in the application's own table."""
    return tasks.query(KeyConditionExpression=Key("user_id").eq(user["id"]), ConsistentRead=True)["Items"]


def profile_of(stack, user):
    """The profile of a user."""
    return stack.row("ProfilesTable", stack.user(user["id"])["pk"], "PROFILE")


def backups(stack):
    """The names of the backups."""
    listed = stack.client("s3").list_objects_v2(Bucket=stack.outputs["BackupBucket"])
    return [it["Key"] for it in listed.get("Contents", [])]


def read(stack, name):
    """A backup."""
    found = stack.client("s3").get_object(Bucket=stack.outputs["BackupBucket"], Key=name)
    return found["Body"].read().decode()


@pytest.fixture(scope="module")
def tasks(aws):
    """A table of the application's own, by user."""
    table = aws.dynamodb().create_table(
        TableName="tasks",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": it, "AttributeType": "S"} for it in ("user_id", "task_id")],
        KeySchema=[
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": "task_id", "KeyType": "RANGE"},
        ],
    )
    table.wait_until_exists()
    return table


@pytest.fixture(scope="module")
def purging(deploy, tasks):
    """A stack that purges at once."""
    owned = [
        {
            "table": "tasks",
            "key": "user_id",
            "sort_key": "task_id",
            "index": None,
            "id": "clerk",
            "unique_per_user": False,
        }
    ]
    parameters = {
        **presets.parameters("progress-and-purge"),
        "PurgeAfterHours": 0,
        "OwnedTables": json.dumps(owned),
        "OwnedTableArns": tasks.table_arn,
    }
    return deploy("purging", **parameters)
