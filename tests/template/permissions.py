"""What each role may do: who uses it, and which action on what. Change these together with template.yaml."""

import json

from functions import FUNCTIONS, short
from policies import (
    account_asks_clerk,
    at_once,
    creates,
    only_marks,
    owned,
    owned_at_once,
    removes,
    repairs,
    writes_back,
)


def where(condition):
    """A statement's condition as text, so that a permission can hold it."""
    return json.dumps(condition, sort_keys=True)


def names_only(attributes, **further):
    """The condition that a write names these attributes and no others, and that it names some."""
    return where(
        {
            "ForAllValues:StringEquals": {"dynamodb:Attributes": attributes.split()},
            "Null": {"dynamodb:Attributes": "false"},
            **further,
        }
    )


# All that the tombstone of a membership has, and the key that only users and memberships have.
TOMBSTONE = names_only(
    "pk sk rank digest applied_at applied_by created_at updated_at deleted_at "
    "organization_id clerk_user_id membership_id role permissions public_metadata consequences_at purging_at",
    **{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["USER#*"]}},
)
MARK = names_only("pk sk rank applied_at consequences_at")
# Where data are removed, the mark is set at the beginning and the end of that, and then Clerk's id goes.
REMOVAL_MARK = names_only("pk sk rank applied_at consequences_at purging_at clerk_user_id")


def kept_under(*keys, **further):
    """The condition that rows lie under such keys, such as those beside reconcile's runs."""
    under = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [*keys]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    return where({**under, **further})


# The notes of what is due, of events that cannot be read, and of restorations.
DUE, NOTE, RESTORED = kept_under("PURGE#*"), kept_under("QUARANTINE#*"), kept_under("RESTORED#*")
# What was asked about a caller, and how much a function has asked; and the latter alone.
# A list of owned tables that is too long for the environment.
LISTS = where(
    {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["SETTINGS"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
)
QUESTIONS, REQUESTS = kept_under("ASKED#*", "BUDGET#*"), kept_under("BUDGET#*")
# A record of a user or of a membership, in a transaction: only there are its owners checked.
IN_TRANSACTIONS = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]}}
RECORD = kept_under("USER#*", **IN_TRANSACTIONS)

# How the rows of a user are removed, in Profiles and in the application's own tables, and where they are kept.
REMOVED = {
    ("dynamodb:Query", "ProfilesTable.Arn"),
    ("dynamodb:BatchWriteItem", "ProfilesTable.Arn"),
    ("s3:PutObject", "${BackupBucket.Arn}/*"),
}
REMOVED_OWNED = {
    ("dynamodb:DescribeTable", "OwnedTableArns"),
    ("dynamodb:Query", "OwnedTableArns"),
    ("dynamodb:BatchGetItem", "OwnedTableArns"),
    ("dynamodb:BatchWriteItem", "OwnedTableArns"),
    ("dynamodb:DeleteItem", "OwnedTableArns"),
}

# What is traced, and what Step Functions asks before it traces. These actions know no resource.
ANY = json.dumps("*")
TRACED = {("xray:PutTraceSegments", ANY), ("xray:PutTelemetryRecords", ANY)}
SAMPLED = {("xray:GetSamplingRules", ANY), ("xray:GetSamplingTargets", ANY)}

# A permission is an action and what it is on; where it is allowed under a condition only, that as well. What every function
# may do is added to these.
PERMISSIONS = {
    "WebhookFunction": {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:PutItem", "OperationsTable.Arn", NOTE),
        ("dynamodb:BatchGetItem", "OperationsTable.Arn", NOTE),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    "EnsureProfileFunction": {
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
        ("dynamodb:BatchGetItem", "ProfilesTable.Arn"),
    },
    "AccountFunction": {
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
        ("dynamodb:Query", "DirectoryTable.Arn"),
        ("dynamodb:Query", "${DirectoryTable.Arn}/index/members"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:BatchGetItem", "ProfilesTable.Arn"),
        ("dynamodb:PutItem", "ProfilesTable.Arn", RECORD),
        ("dynamodb:UpdateItem", "ProfilesTable.Arn", RECORD),
    },
    "AuthorizerFunction": {
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
    },
    "ReactFunction": {
        ("dynamodb:DescribeStream", "DirectoryTable.StreamArn"),
        ("dynamodb:GetRecords", "DirectoryTable.StreamArn"),
        ("dynamodb:GetShardIterator", "DirectoryTable.StreamArn"),
        ("dynamodb:ListStreams", "${DirectoryTable.Arn}/stream/*"),
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
        ("dynamodb:Query", "DirectoryTable.Arn"),
        ("dynamodb:Query", "${DirectoryTable.Arn}/index/members"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:PutItem", "ProfilesTable.Arn"),
        ("dynamodb:GetItem", "OperationsTable.Arn", LISTS),
        ("events:PutEvents", "EventBus.Arn"),
        ("sqs:SendMessage", "ReactFailures.Arn"),
    },
    "ReconcileFunction": {
        ("dynamodb:Scan", "DirectoryTable.Arn"),
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
        ("dynamodb:BatchGetItem", "ProfilesTable.Arn"),
        ("dynamodb:GetItem", "OperationsTable.Arn"),
        ("dynamodb:Query", "OperationsTable.Arn"),
        ("dynamodb:PutItem", "OperationsTable.Arn"),
        ("dynamodb:DeleteItem", "OperationsTable.Arn"),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    "ReconcileStateMachine": {
        ("lambda:InvokeFunction", "ReconcileFunction.Arn"),
        ("sqs:SendMessage", "ReconcileFailures.Arn"),
        *TRACED,
        *SAMPLED,
    },
    "ReconcileStart": {
        ("states:StartExecution", "ReconcileStateMachine"),
        ("sqs:SendMessage", "ReconcileFailures.Arn"),
    },
}

# What they may do beyond that where something is so. Who may do nothing otherwise is there only then.
PERMISSIONS_WHERE = {
    ("EnsureProfileFunction", creates): {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:PutItem", "ProfilesTable.Arn"),
        ("dynamodb:UpdateItem", "OperationsTable.Arn", QUESTIONS),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    ("AccountFunction", account_asks_clerk): {
        ("dynamodb:UpdateItem", "OperationsTable.Arn", QUESTIONS),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    ("ReactFunction", repairs): {
        ("dynamodb:PutItem", "DirectoryTable.Arn", TOMBSTONE),
    },
    ("ReactFunction", only_marks): {
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", MARK),
    },
    ("ReactFunction", removes): {
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", REMOVAL_MARK),
        ("dynamodb:PutItem", "OperationsTable.Arn", DUE),
    },
    ("ReactFunction", at_once): {*REMOVED, ("dynamodb:GetItem", "OperationsTable.Arn", RESTORED)},
    ("ReactFunction", owned_at_once): REMOVED_OWNED,
    ("ReactFunction", writes_back): {
        ("dynamodb:UpdateItem", "OperationsTable.Arn", REQUESTS),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    ("ReconcileFunction", repairs): {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:Query", "DirectoryTable.Arn"),
        ("dynamodb:Query", "${DirectoryTable.Arn}/index/members"),
        ("dynamodb:PutItem", "ProfilesTable.Arn"),
    },
    ("ReconcileFunction", only_marks): {
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", MARK),
    },
    ("ReconcileFunction", removes): {
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", REMOVAL_MARK),
        *REMOVED,
    },
    ("ReconcileFunction", owned): REMOVED_OWNED,
    ("SettleStart", removes): {
        ("states:StartExecution", "ReconcileStateMachine"),
        ("sqs:SendMessage", "ReconcileFailures.Arn"),
    },
}


def written(name):
    """What every function may do: write its own log, and its traces."""
    log = f"{short(name)}Logs.Arn"
    return {("logs:CreateLogStream", log), ("logs:PutLogEvents", log), *TRACED} if name in FUNCTIONS else set()


def users(parameters):
    """Who has a role where the stack is deployed with these parameters."""
    return set(FUNCTIONS) | set(PERMISSIONS) | {whose for whose, is_so in PERMISSIONS_WHERE if is_so(parameters)}


def permissions(name, parameters):
    """What the role allows that somebody has there."""
    further = [
        allowed for (whose, is_so), allowed in PERMISSIONS_WHERE.items() if whose == name and is_so(parameters)
    ]
    return PERMISSIONS.get(name, set()).union(written(name), *further)
