"""GET /tasks: the caller's tasks, each with the user who has assigned it."""

import json
import os
import time

import boto3
from boto3.dynamodb.conditions import Key

STS = boto3.client("sts")
# With the function's own role, which reads Rollcall's tables.
DYNAMODB = boto3.resource("dynamodb")

# In seconds: the least that STS allows, and how long before their end credentials are replaced.
VALID, MARGIN = 900, 60
MAX_SESSIONS = 200
# DynamoDB with the rights of one user, and until when, by the user's id. They live as long as the container.
SESSIONS = {}

# DynamoDB's own limit of BatchGetItem, and how often keys that it has not processed are asked for again.
MAX_KEYS, MAX_ATTEMPTS = 100, 6


def handler(event, context):
    """Answers a request that the authorizer has let through."""
    user_id = event["requestContext"]["authorizer"]["lambda"]["user_id"]
    table = as_user(user_id).Table(os.environ["TASKS_TABLE"])
    # One page, of 1 MB at most.
    tasks = table.query(KeyConditionExpression=Key("user_id").eq(user_id))["Items"]
    users = users_by_id({it["assigned_by"] for it in tasks})
    found = [
        {"task_id": it["task_id"], "text": it["text"], "assigned_by": users.get(it["assigned_by"])} for it in tasks
    ]
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps({"tasks": found})}


def as_user(user_id):
    """DynamoDB with the rights of this user. The id comes from the authorizer's context, and from nowhere else."""
    dynamodb, until = SESSIONS.get(user_id, (None, 0))
    if until < time.time():
        credentials = STS.assume_role(
            RoleArn=os.environ["TASKS_DATA_ROLE"],
            RoleSessionName=user_id,
            DurationSeconds=VALID,
            Tags=[{"Key": "user_id", "Value": user_id}],
        )["Credentials"]
        dynamodb = boto3.resource(
            "dynamodb",
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )
        if len(SESSIONS) >= MAX_SESSIONS:
            SESSIONS.clear()
        SESSIONS[user_id] = (dynamodb, time.time() + VALID - MARGIN)
    return dynamodb


def users_by_id(ids):
    """What callers may see of these users. A user of whom the Directory has no row is not in the answer."""
    keys = [{"pk": f"USER#{it}", "sk": "USER"} for it in ids]
    rows = rows_of(os.environ["DIRECTORY_TABLE"], keys, ["pk", "name", "image_url", "deleted_at"])
    live = [it["pk"] for it in rows if "deleted_at" not in it]
    # Only for live users: the record of a deleted user stays until the end of the grace period.
    keys = [{"pk": it, "sk": "PROFILE"} for it in live]
    records = {it["pk"]: it for it in rows_of(os.environ["PROFILES_TABLE"], keys, ["pk", "bio"])}
    users = {}
    for row in rows:
        user_id = row["pk"].removeprefix("USER#")
        if row["pk"] in live:
            bio = records.get(row["pk"], {}).get("bio")
            users[user_id] = {"id": user_id, "name": row.get("name"), "image_url": row.get("image_url"), "bio": bio}
        else:
            users[user_id] = {"id": user_id, "deleted": True}
    return users


def rows_of(table, keys, attributes):
    """The rows with these keys, in no order, strongly consistent. A key without a row is not in the answer."""
    names = {f"#{it}": it for it in attributes}
    rows = []
    for start in range(0, len(keys), MAX_KEYS):
        left = {
            table: {
                "Keys": keys[start : start + MAX_KEYS],
                "ConsistentRead": True,
                "ProjectionExpression": ", ".join(names),
                "ExpressionAttributeNames": names,
            }
        }
        for attempt in range(MAX_ATTEMPTS):
            answer = DYNAMODB.batch_get_item(RequestItems=left)
            rows += answer["Responses"].get(table, [])
            left = answer.get("UnprocessedKeys")
            if not left:
                break
            time.sleep(0.05 * 2**attempt)
        else:
            raise TimeoutError(f"DynamoDB has not read all keys of {table}")
    return rows
