"""The requests to a table of tasks, by user and task: each of them for the rows of some user."""


def key(user_id, task_id="probe"):
    """The key of a task."""
    return {"user_id": {"S": user_id}, "task_id": {"S": task_id}}


def put(user_id):
    """A write of a batch or of a transaction."""
    return {"Item": {**key(user_id), "assigned_by": {"S": user_id}, "text": {"S": "wire the panel"}}}


def query(expression, names=None, **values):
    """A Query by an expression."""
    values = {f":{name}": {"S": value} for name, value in values.items()}
    request = {"KeyConditionExpression": expression, "ExpressionAttributeValues": values}
    return request | ({"ExpressionAttributeNames": names} if names else {})


EQUAL = {"ComparisonOperator": "EQ"}
# What users do with rows of a partition: the operation, and the request without the table.
BY_KEY = {
    "get": ("get_item", lambda who: {"Key": key(who)}),
    "query": ("query", lambda who: query("user_id = :who", who=who)),
    "query by placeholders": (
        "query",
        lambda who: query("begins_with(#t, :t) AND #u=:who", {"#u": "user_id", "#t": "task_id"}, who=who, t="p"),
    ),
    "query in the older form": (
        "query",
        lambda who: {"KeyConditions": {"user_id": {**EQUAL, "AttributeValueList": [{"S": who}]}}},
    ),
    "put": ("put_item", put),
    "update": (
        "update_item",
        lambda who: {
            "Key": key(who),
            "UpdateExpression": "SET #it = :it",
            "ExpressionAttributeNames": {"#it": "text"},
            "ExpressionAttributeValues": {":it": {"S": "done"}},
        },
    ),
    "update in the older form": (
        "update_item",
        lambda who: {"Key": key(who), "AttributeUpdates": {"text": {"Value": {"S": "done"}, "Action": "PUT"}}},
    ),
    "delete": ("delete_item", lambda who: {"Key": key(who)}),
}
# The same with rows of several partitions at once.
OF_MANY = {
    "batch get": ("batch_get_item", lambda table, *who: {"RequestItems": {table: {"Keys": [key(it) for it in who]}}}),
    "batch put": (
        "batch_write_item",
        lambda table, *who: {"RequestItems": {table: [{"PutRequest": put(it)} for it in who]}},
    ),
    "batch delete": (
        "batch_write_item",
        lambda table, *who: {"RequestItems": {table: [{"DeleteRequest": {"Key": key(it)}} for it in who]}},
    ),
    "transact put": (
        "transact_write_items",
        lambda table, *who: {"TransactItems": [{"Put": {"TableName": table, **put(it)}} for it in who]},
    ),
    "transact delete": (
        "transact_write_items",
        lambda table, *who: {"TransactItems": [{"Delete": {"TableName": table, "Key": key(it)}} for it in who]},
    ),
    "transact get": (
        "transact_get_items",
        lambda table, *who: {"TransactItems": [{"Get": {"TableName": table, "Key": key(it)}} for it in who]},
    ),
}


def reaches(application, user, name, *who):
    """Whether a user may do this with the rows of these users."""
    table = application.table.name
    if name in BY_KEY:
        operation, make = BY_KEY[name]
        return user.may("dynamodb", operation, TableName=table, **make(*who))
    operation, make = OF_MANY[name]
    return user.may("dynamodb", operation, **make(table, *who))
