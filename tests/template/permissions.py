"""What each role may do: who uses it, and which action on what. Change these together with template.yaml."""

import json


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
    "organization_id clerk_user_id membership_id role permissions public_metadata",
    **{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["USER#*"]}},
)
MARK = names_only("pk sk rank consequences_at")

# A permission is an action and what it is on; where it is allowed under a condition only, that as well.
PERMISSIONS = {
    "WebhookFunction": {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:PutItem", "OperationsTable.Arn"),
        ("secretsmanager:GetSecretValue", "SecretArn"),
        ("logs:CreateLogStream", "WebhookLogs.Arn"),
        ("logs:PutLogEvents", "WebhookLogs.Arn"),
    },
    "EnsureProfileFunction": {
        ("dynamodb:BatchGetItem", "DirectoryTable.Arn"),
        ("dynamodb:BatchGetItem", "ProfilesTable.Arn"),
        ("logs:CreateLogStream", "EnsureProfileLogs.Arn"),
        ("logs:PutLogEvents", "EnsureProfileLogs.Arn"),
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
        ("events:PutEvents", "EventBus.Arn"),
        ("sqs:SendMessage", "ReactFailures.Arn"),
        ("logs:CreateLogStream", "ReactLogs.Arn"),
        ("logs:PutLogEvents", "ReactLogs.Arn"),
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
        ("logs:CreateLogStream", "ReconcileLogs.Arn"),
        ("logs:PutLogEvents", "ReconcileLogs.Arn"),
    },
    "ReconcileStateMachine": {
        ("lambda:InvokeFunction", "ReconcileFunction.Arn"),
        ("sqs:SendMessage", "ReconcileFailures.Arn"),
    },
    "ReconcileStart": {
        ("states:StartExecution", "ReconcileStateMachine"),
        ("sqs:SendMessage", "ReconcileFailures.Arn"),
    },
}

# What they may do beyond that under a policy, which is the default of its parameter.
PERMISSIONS_UNDER = {
    ("EnsureProfileFunction", "EnsurePolicy", "create"): {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:PutItem", "ProfilesTable.Arn"),
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    ("ReactFunction", "ReconcilePolicy", "repair"): {
        ("dynamodb:PutItem", "DirectoryTable.Arn", TOMBSTONE),
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", MARK),
    },
    ("ReactFunction", "MetadataWriteback", "on"): {
        ("secretsmanager:GetSecretValue", "SecretArn"),
    },
    ("ReconcileFunction", "ReconcilePolicy", "repair"): {
        ("dynamodb:PutItem", "DirectoryTable.Arn"),
        ("dynamodb:ConditionCheckItem", "DirectoryTable.Arn"),
        ("dynamodb:Query", "DirectoryTable.Arn"),
        ("dynamodb:Query", "${DirectoryTable.Arn}/index/members"),
        ("dynamodb:UpdateItem", "DirectoryTable.Arn", MARK),
        ("dynamodb:PutItem", "ProfilesTable.Arn"),
    },
}


def permissions(name, parameters):
    """What a role allows where the stack is deployed with these parameters."""
    under = [
        allowed
        for (whose, parameter, policy), allowed in PERMISSIONS_UNDER.items()
        if whose == name and parameters.get(parameter, policy) == policy
    ]
    return PERMISSIONS[name].union(*under)
