"""Condition keys and policy variables of IAM that MiniStack does not derive from requests to DynamoDB.

The roles of react and reconcile may write the Directory under conditions on `dynamodb:Attributes` and
`dynamodb:LeadingKeys`, and that of account may write Profiles where `dynamodb:EnclosingOperation` is a transaction. An
application's role reaches the rows of one user by `dynamodb:LeadingKeys` and `${aws:PrincipalTag/user_id}`.
MiniStack 1.5.33 evaluates conditions, but derives the first of these keys from projections only and the others not at
all, and replaces no policy variable, so each such request would be refused. Here they are derived from the request as
AWS documents it:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import json
import re

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

# The partition key of a table that MiniStack does not have.
PARTITION_KEY = "pk"
EXPRESSIONS = ("ConditionExpression", "UpdateExpression")
# A name at the top level: neither a value (:now) nor a placeholder (#rank), nor below another one, nor a function.
NAME = re.compile(r"(?<![\w:#.])[A-Za-z_]\w*(?!\w|\s*\()")
KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"}
# A name or a placeholder, and the value that it must have.
EQUALS = re.compile(r"([#\w]+)\s*=\s*(:\w+)")
# A policy variable, and its default value.
VARIABLE = re.compile(r"\$\{\s*([^},\s]+)\s*(?:,\s*'([^']*)')?\s*\}")


def partition_key(table, index=None):
    """The partition key of a table, given by name or ARN, or of its index."""
    stored = dynamodb._tables.get((table or "").rsplit("/", 1)[-1])
    if not stored:
        return PARTITION_KEY
    indexes = [*(stored.get("GlobalSecondaryIndexes") or []), *(stored.get("LocalSecondaryIndexes") or [])]
    schemas = {it["IndexName"]: it["KeySchema"] for it in indexes}
    schema = schemas.get(index) or stored["KeySchema"]
    return next(it["AttributeName"] for it in schema if it["KeyType"] == "HASH")


def leading(values):
    """The key of partition keys, if there are any."""
    texts = [text for value in values for kind, text in value.items() if kind in ("S", "N", "B")]
    return {"dynamodb:LeadingKeys": texts} if texts else {}


def keys_of(write, table):
    """The two keys of one write to a table: the partition key of its item, and the names in its item and its expressions."""
    item = write.get("Item") or write.get("Key") or {}
    placeholders = write.get("ExpressionAttributeNames") or {}
    expressions = " ".join(write.get(it) or "" for it in EXPRESSIONS)
    bare = {name for name in NAME.findall(expressions) if name.upper() not in KEYWORDS}
    attributes = sorted({*item, *placeholders.values(), *bare})
    of_item = leading([item[key] for key in [partition_key(table)] if key in item])
    return {**({"dynamodb:Attributes": attributes} if attributes else {}), **of_item}


def keys_of_key(request):
    """The partition key of the row that a GetItem or a DeleteItem names."""
    key = partition_key(request["TableName"])
    return leading([request["Key"][key]] if key in request["Key"] else [])


def keys_of_query(request):
    """The partition key that a Query asks for, in an expression or in the form that was there before expressions."""
    key = partition_key(request.get("TableName"), request.get("IndexName"))
    names, values = request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}
    pairs = EQUALS.findall(request.get("KeyConditionExpression") or "")
    asked = [values[value] for name, value in pairs if names.get(name, name) == key and value in values]
    legacy = (request.get("KeyConditions") or {}).get(key) or {}
    if legacy.get("ComparisonOperator") == "EQ":
        asked += legacy.get("AttributeValueList") or []
    return leading(asked)


def keys_of_batch(items):
    """The keys of all rows that a BatchGetItem or a BatchWriteItem names."""
    found = {}
    for table, requests in items.items():
        reads = requests.get("Keys", []) if isinstance(requests, dict) else []
        writes = [it for entry in requests for it in entry.values()] if isinstance(requests, list) else []
        key = partition_key(table)
        each = [*(leading([it[key]]) for it in reads if key in it), *(keys_of(it, table) for it in writes)]
        for name, values in (pair for keys in each for pair in keys.items()):
            found.setdefault(name, []).extend(values)
    return found


def derived(request):
    """What AWS derives from a request that is no transaction."""
    if "RequestItems" in request:
        return keys_of_batch(request["RequestItems"])
    if "Item" in request or "UpdateExpression" in request:
        return keys_of(request, request.get("TableName"))
    if "Key" in request:
        return keys_of_key(request)
    return keys_of_query(request)


class Resource(str):
    """The ARN of a table with the keys of the write to it: the writes of a transaction are judged one by one."""

    keys = {}


def service_context(body, without=iam_actions.dynamodb_service_context):
    """What MiniStack derives from a request, and the keys of its rows."""
    return {**without(body), **derived(json.loads(body or b"{}"))}


def transaction_checks(action, body, region, account, without=iam_actions.dynamodb_transaction_checks):
    """What MiniStack checks of a transaction, each with the keys of its own write."""
    checks = without(action, body, region, account)
    writes = [it for entry in json.loads(body or b"{}").get("TransactItems", []) for it in entry.values()]
    if len(checks) != len(writes):
        return checks
    enclosing = action.removeprefix("dynamodb:")
    return [(action, with_keys(arn, write, enclosing)) for (action, arn), write in zip(checks, writes)]


def with_keys(arn, write, enclosing):
    """The ARN with the keys of a write in this operation."""
    resource = Resource(arn)
    resource.keys = {**keys_of(write, write["TableName"]), "dynamodb:EnclosingOperation": [enclosing]}
    return resource


def enforce(*arguments, resource_arn="", service_context=None, without=iam_evaluator.enforce, **further):
    """MiniStack's decision, with the keys of the write at hand."""
    keys = getattr(resource_arn, "keys", {})
    context = {**(service_context or {}), **keys}
    return without(*arguments, resource_arn=resource_arn, service_context=context, **further)


def replaced(value, context):
    """The value in a condition with its policy variables replaced; None if a variable has no value and no default."""
    missing = []

    def one(variable):
        name, default = variable.groups()
        found = iam_evaluator._resolve_condition_key(name, context)
        if isinstance(found, str):
            return found
        missing.append(default is None)
        return default or ""

    text = VARIABLE.sub(one, str(value))
    return None if any(missing) else text


def conditions_met(conditions, context, without=iam_evaluator._conditions_met):
    """MiniStack's decision over the conditions of a statement. One that compares with nothing is not met."""
    fitted = {}
    for operator, keys in conditions.items():
        for key, values in keys.items():
            values = [replaced(it, context) for it in (values if isinstance(values, list) else [values])]
            if None in values:
                return False
            fitted.setdefault(operator, {})[key] = values
    return without(fitted, context)


def install():
    """Puts these in the place of MiniStack's own, which looks each of them up anew for each request."""
    iam_actions.dynamodb_service_context = service_context
    iam_actions.dynamodb_transaction_checks = transaction_checks
    iam_evaluator.enforce = enforce
    iam_evaluator._conditions_met = conditions_met
