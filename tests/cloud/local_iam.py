"""Three condition keys of IAM that MiniStack does not derive from requests to DynamoDB.

The roles of react and reconcile may write the Directory under conditions on `dynamodb:Attributes` and
`dynamodb:LeadingKeys`, and that of account may write Profiles where `dynamodb:EnclosingOperation` is a transaction.
MiniStack 1.5.33 evaluates conditions, but derives the first of these keys from projections only and the others not at
all, so each such write would be refused. Here they are derived from the request as AWS documents it:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

import json
import re

from ministack.core import iam_actions, iam_evaluator

# The partition key of every table that a condition is about.
PARTITION_KEY = "pk"
EXPRESSIONS = ("ConditionExpression", "UpdateExpression")
# A name at the top level: neither a value (:now) nor a placeholder (#rank), nor below another one, nor a function.
NAME = re.compile(r"(?<![\w:#.])[A-Za-z_]\w*(?!\w|\s*\()")
KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"}


def keys_of(write):
    """The two keys of one write: the partition key of its item, and the names in its item and its expressions."""
    item = write.get("Item") or write.get("Key") or {}
    placeholders = write.get("ExpressionAttributeNames") or {}
    expressions = " ".join(write.get(it) or "" for it in EXPRESSIONS)
    bare = {name for name in NAME.findall(expressions) if name.upper() not in KEYWORDS}
    attributes = sorted({*item, *placeholders.values(), *bare})
    leading = [text for kind, text in item.get(PARTITION_KEY, {}).items() if kind == "S"]
    keys = {"dynamodb:Attributes": attributes, "dynamodb:LeadingKeys": leading}
    return {key: values for key, values in keys.items() if values}


def keys_of_reads(request):
    """The partition keys of the rows that a GetItem or a BatchGetItem names."""
    tables = [it for it in (request.get("RequestItems") or {}).values() if isinstance(it, dict)]
    keys = [request.get("Key") or {}] + [key for table in tables for key in table.get("Keys", [])]
    leading = [key[PARTITION_KEY]["S"] for key in keys if PARTITION_KEY in key]
    return {"dynamodb:LeadingKeys": leading} if leading else {}


class Resource(str):
    """The ARN of a table with the keys of the write to it: the writes of a transaction are judged one by one."""

    keys = {}


def service_context(body, without=iam_actions.dynamodb_service_context):
    """What MiniStack derives from a request, and the keys of a single write or of reads by key. Other reads have neither
    item nor expression."""
    request = json.loads(body or b"{}")
    is_write = "Item" in request or "UpdateExpression" in request
    return {**without(body), **(keys_of(request) if is_write else keys_of_reads(request))}


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
    resource.keys = {**keys_of(write), "dynamodb:EnclosingOperation": [enclosing]}
    return resource


def enforce(*arguments, resource_arn="", service_context=None, without=iam_evaluator.enforce, **further):
    """MiniStack's decision, with the keys of the write at hand."""
    keys = getattr(resource_arn, "keys", {})
    context = {**(service_context or {}), **keys}
    return without(*arguments, resource_arn=resource_arn, service_context=context, **further)


def install():
    """Puts these in the place of MiniStack's own, which looks each of them up anew for each request."""
    iam_actions.dynamodb_service_context = service_context
    iam_actions.dynamodb_transaction_checks = transaction_checks
    iam_evaluator.enforce = enforce
