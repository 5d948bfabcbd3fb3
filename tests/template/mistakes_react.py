"""Mistakes in how changes reach react, what it may do about them and where it tells of them, as in mistakes.py."""

import checks
import checks_react
from changes import always, drop, put, reached, sid
from variants import REPAIRING, WRITING

REACT = ("ReactFunction", "Properties")
VARIABLES = (*REACT, "Environment", "Variables")
STREAM = (*REACT, "Events", "Directory", "Properties")
STATEMENTS = ("ReactRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
CHANGES, STREAMS, STORED, MEMBERS, PROFILES, EVENTS, FAILURES = (
    (*STATEMENTS, sid(name))
    for name in ("Changes", "Streams", "Stored", "Members", "Profiles", "Events", "Failures")
)
TO_END, TO_MARK, TO_SECRET, TO_COUNT = (
    (*STATEMENTS, sid(name)) for name in ("Tombstones", "Marks", "Secret", "Questions")
)
ALLOWED = ("Fn::If", 1)
END, MARK = (*TO_END, *ALLOWED, "Condition"), (*TO_MARK, *ALLOWED, "Condition")
ATTRIBUTES = ("ForAllValues:StringEquals", "dynamodb:Attributes")
LEADING = ("ForAllValues:StringLike", "dynamodb:LeadingKeys")
QUEUE = ("ReactFailures", "Properties")
BUS = ("EventBus", "Properties")
OTHER_EVENT = {"Type": "DynamoDB", "Properties": {"Stream": "arn:x", "StartingPosition": "LATEST"}}


def named(further):
    """Names one attribute more than a membership's tombstone has."""
    return lambda t: attributes(t).append(further)


def unnamed(one):
    """Names one attribute less."""
    return lambda t: attributes(t).remove(one)


def attributes(template):
    """The attributes that may be put."""
    return reached(template, (*END, *ATTRIBUTES))


def output(name, value):
    """Gives an output another value."""
    return lambda t: t["Outputs"].update({name: {"Value": value}})


MISTAKES = [
    ("no changes", checks_react.check_stream, drop(*REACT, "Events")),
    ("changes from now on", checks_react.check_stream, put(*STREAM, "StartingPosition", "LATEST")),
    ("one bad record stops all", checks_react.check_stream, drop(*STREAM, "BisectBatchOnFunctionError")),
    ("all or nothing", checks_react.check_stream, drop(*STREAM, "FunctionResponseTypes")),
    ("tried for ever", checks_react.check_stream, drop(*STREAM, "MaximumRetryAttempts")),
    ("forgotten before it is given up", checks_react.check_stream, drop(*STREAM, "MaximumRecordAgeInSeconds")),
    ("given up in silence", checks_react.check_stream, drop(*STREAM, "DestinationConfig")),
    ("one by one", checks_react.check_stream, put(*STREAM, "BatchSize", 1)),
    ("ten at once", checks_react.check_stream, put(*STREAM, "ParallelizationFactor", 10)),
    ("switched off", checks_react.check_stream, put(*STREAM, "Enabled", False)),
    ("some changes only", checks_react.check_stream, put(*STREAM, "FilterCriteria", {"Filters": [{"Pattern": "{}"}]})),
    (
        "given up into another's queue",
        checks_react.check_stream,
        put(*STREAM, "DestinationConfig", "OnFailure", "Destination", {"Fn::GetAtt": ["ReconcileFailures", "Arn"]}),
    ),
    ("another reader", checks_react.check_stream, put("WebhookFunction", "Properties", "Events", {"More": OTHER_EVENT})),
    ("records in the clear", checks_react.check_queues, put(*QUEUE, "SqsManagedSseEnabled", False)),
    ("records for four days", checks_react.check_queues, drop(*QUEUE, "MessageRetentionPeriod")),
    ("in the clear", checks_react.check_queues, put("ReconcileFailures", "Properties", "SqsManagedSseEnabled", False)),
    ("four days", checks_react.check_queues, drop("ReconcileFailures", "Properties", "MessageRetentionPeriod")),
    ("no queue", checks_react.check_queues, drop("ReconcileFailures")),
    ("no bus", checks_react.check_event_bus, drop("EventBus")),
    ("one bus for all stacks", checks_react.check_event_bus, put(*BUS, "Name", "changes")),
    ("a partner's bus", checks_react.check_event_bus, put(*BUS, "EventSourceName", "aws.partner/example.com/x")),
    ("anybody's events", checks_react.check_event_bus, put(*BUS, "Policy", {"Effect": "Allow", "Principal": "*"})),
    (
        "… by a policy beside it",
        checks.check_permissions,
        put("More", {"Type": "AWS::Events::EventBusPolicy", "Properties": {"StatementId": "all"}}),
    ),
    ("a bus nobody finds", checks_react.check_outputs, lambda t: t["Outputs"].pop("EventBus")),
    ("a queue nobody finds", checks_react.check_outputs, lambda t: t["Outputs"].pop("ReactFailures")),
    ("the name for the ARN", checks_react.check_outputs, output("EventBusArn", {"Ref": "EventBus"})),
    ("the other queue", checks_react.check_outputs, output("ReactFailures", {"Ref": "ReconcileFailures"})),
    ("no stream read", checks.check_permissions, drop(*CHANGES)),
    ("no streams listed", checks.check_permissions, drop(*STREAMS)),
    ("all tables' streams", checks.check_permissions, put(*STREAMS, "Resource", "*")),
    ("any stream read", checks.check_permissions, put(*CHANGES, "Resource", "*")),
    (
        "the Directory scanned",
        checks.check_permissions,
        put(*STORED, "Action", ["dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"]),
    ),
    (
        "owners not checked by react",
        checks.check_permissions,
        put(*STORED, "Action", ["dynamodb:BatchGetItem", "dynamodb:Query"]),
    ),
    ("every index", checks.check_permissions, put(*MEMBERS, "Resource", {"Fn::Sub": "${DirectoryTable.Arn}/index/*"})),
    ("no index", checks.check_permissions, drop(*MEMBERS)),
    ("profiles read", checks.check_permissions, put(*PROFILES, "Action", ["dynamodb:PutItem", "dynamodb:GetItem"])),
    ("profiles deleted", checks.check_permissions, put(*PROFILES, "Action", "dynamodb:DeleteItem")),
    ("any bus", checks.check_permissions, put(*EVENTS, "Resource", "*")),
    ("rules made", checks.check_permissions, put(*EVENTS, "Action", ["events:PutEvents", "events:PutRule"])),
    ("no events", checks.check_permissions, drop(*EVENTS)),
    ("no word of what is given up", checks.check_permissions, drop(*FAILURES)),
    ("memberships ended under report", checks.check_permissions, always(*TO_END), "report"),
    ("marked under report", checks.check_permissions, always(*TO_MARK), "report"),
    ("ended where ensure creates", checks.check_permissions, put(*TO_END, "Fn::If", 0, "EnsureCreates"), "report"),
    ("nothing ended", checks.check_permissions, drop(*TO_END), *REPAIRING),
    ("nothing marked", checks.check_permissions, drop(*TO_MARK), *REPAIRING),
    ("any item put", checks.check_permissions, drop(*END), *REPAIRING),
    ("any item marked", checks.check_permissions, drop(*MARK), *REPAIRING),
    ("live users put", checks.check_permissions, named("email"), *REPAIRING),
    ("live memberships put", checks.check_permissions, named("user_pk"), *REPAIRING),
    ("a condition that cannot be named", checks.check_permissions, unnamed("digest"), *REPAIRING),
    ("a mark of the condition that cannot be named", checks.check_permissions, unnamed("purging_at"), *REPAIRING),
    ("nothing put that is finished", checks.check_permissions, unnamed("consequences_at"), *REPAIRING),
    ("organizations put", checks.check_permissions, drop(*END, "ForAllValues:StringLike"), *REPAIRING),
    ("any key", checks.check_permissions, put(*END, *LEADING, ["*"]), *REPAIRING),
    ("put if it has none", checks.check_permissions, put(*END, "Null", "dynamodb:Attributes", "true"), *REPAIRING),
    ("put without attributes", checks.check_permissions, drop(*END, "Null"), *REPAIRING),
    (
        "roles marked",
        checks.check_permissions,
        put(*MARK, *ATTRIBUTES, ["pk", "sk", "rank", "consequences_at", "role"]),
        *REPAIRING,
    ),
    ("marked without attributes", checks.check_permissions, drop(*MARK, "Null"), *REPAIRING),
    (
        "replaced instead of marked",
        checks.check_permissions,
        put(*TO_MARK, *ALLOWED, "Action", "dynamodb:PutItem"),
        *REPAIRING,
    ),
    ("the secret without a write-back", checks.check_permissions, always(*TO_SECRET), "untouched"),
    ("no secret to write back with", checks.check_permissions, drop(*TO_SECRET), *WRITING),
    ("requests counted without a write-back", checks.check_permissions, always(*TO_COUNT), "untouched"),
    ("requests not counted", checks.check_permissions, drop(*TO_COUNT), *WRITING),
    ("whatever is in Operations changed", checks.check_permissions, drop(*TO_COUNT, *ALLOWED, "Condition"), *WRITING),
    (
        "questions about callers changed by react",
        checks.check_permissions,
        put(*TO_COUNT, *ALLOWED, "Condition", "ForAllValues:StringLike", "dynamodb:LeadingKeys", ["ASKED#*", "BUDGET#*"]),
        *WRITING,
    ),
    ("any secret to write back with", checks.check_permissions, put(*TO_SECRET, *ALLOWED, "Resource", "*"), *WRITING),
    (
        "untouched by default",
        checks.check_permissions,
        lambda t: t["Parameters"]["MetadataWriteback"].update(Default="off"),
        *WRITING,
    ),
    ("no bus named", checks.check_environment, put(*VARIABLES, "EVENT_BUS", "default")),
    ("not its policy", checks.check_environment, put(*VARIABLES, "RECONCILE_POLICY", {"Ref": "EnsurePolicy"})),
    ("written back without being asked", checks.check_environment, put(*VARIABLES, "METADATA_WRITEBACK", "on")),
    ("nowhere to create records", checks.check_environment, drop(*VARIABLES, "PROFILES_TABLE")),
    ("a mirror that it does not read", checks.check_environment, put(*VARIABLES, "MIRROR", {"Ref": "Mirror"})),
    (
        "a secret named without a write-back",
        checks.check_environment,
        always(*VARIABLES, "ROLLCALL_SECRET_ARN"),
        "untouched",
    ),
    ("none named to write back with", checks.check_environment, drop(*VARIABLES, "ROLLCALL_SECRET_ARN"), *WRITING),
    ("as short as a request", checks.check_time_limits, drop(*REACT, "Timeout")),
]
