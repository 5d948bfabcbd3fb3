"""Mistakes in who may do what, as in mistakes.py."""

import checks
from changes import always, drop, put, sid
from variants import ASKING, CREATING, KEEPING, REPAIRING, SILENT

STATEMENTS = ("WebhookRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
READ_POLICY = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "more", "PolicyDocument": {}}}
ENSURE_STATEMENTS = ("EnsureProfileRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
CALLER, TO_DIRECTORY, TO_PROFILES, TO_QUESTIONS, TO_SECRET = (
    (*ENSURE_STATEMENTS, sid(name)) for name in ("Caller", "Directory", "Profiles", "Questions", "Secret")
)
CREATED = ("Fn::If", 1)
KEYS = ("Condition", "ForAllValues:StringLike", "dynamodb:LeadingKeys")
ATTRIBUTES = ("Condition", "ForAllValues:StringEquals", "dynamodb:Attributes")
ACCOUNT_STATEMENTS = ("AccountRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
OF_ACCOUNT = {
    name: (*ACCOUNT_STATEMENTS, sid(name))
    for name in ("Directory", "Members", "Profiles", "Records", "Questions", "Secret")
}
READS_DIRECTORY = ["dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:ConditionCheckItem"]
RECONCILE_STATEMENTS = ("ReconcileRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
STORED, RECORDS, RUNS, TO_REPAIR, IN_INDEX, TO_MARK, TO_CREATE = (
    (*RECONCILE_STATEMENTS, sid(name))
    for name in ("Stored", "Records", "Runs", "Directory", "Members", "Marks", "Profiles")
)
MACHINE = ("ReconcileStateMachine", "Properties")
MACHINE_ROLE = ("ReconcileStateMachineRole", "Properties")
MACHINE_STATEMENTS = (*MACHINE_ROLE, "Policies", 0, "PolicyDocument", "Statement")
START_ROLE = ("ReconcileStartRole", "Properties")
START_STATEMENTS = (*START_ROLE, "Policies", 0, "PolicyDocument", "Statement")
PRINCIPAL = ("AssumeRolePolicyDocument", "Statement", 0, "Principal")

MISTAKES = [
    ("any action on the table", checks.check_permissions, put(*STATEMENTS, sid("Directory"), "Action", "dynamodb:*")),
    ("one action more", checks.check_permissions, put(*STATEMENTS, sid("Directory"), "Action", ["dynamodb:PutItem", "dynamodb:Scan"])),
    ("any table", checks.check_permissions, put(*STATEMENTS, sid("Directory"), "Resource", "*")),
    ("any secret", checks.check_permissions, put(*STATEMENTS, sid("Secret"), "Resource", "*")),
    ("whatever reconcile remembers written", checks.check_permissions, drop(*STATEMENTS, sid("Quarantine"), "Condition")),
    ("what is due written", checks.check_permissions, put(*STATEMENTS, sid("Quarantine"), *KEYS, 0, "PURGE#*")),
    ("any note", checks.check_permissions, put(*STATEMENTS, sid("Quarantine"), *KEYS, 0, "*")),
    ("one permission less", checks.check_permissions, drop(*STATEMENTS, sid("Quarantine"))),
    ("all but one action", checks.check_permissions, put(*STATEMENTS, sid("Directory"), "NotAction", "dynamodb:DeleteTable")),
    ("a policy of AWS's", checks.check_permissions, put("WebhookRole", "Properties", "ManagedPolicyArns", ["arn:x"])),
    ("a policy beside the role", checks.check_permissions, put("More", READ_POLICY)),
    ("queries", checks.check_permissions, put(*CALLER, "Action", ["dynamodb:BatchGetItem", "dynamodb:Query"])),
    ("scans", checks.check_permissions, put(*CALLER, "Action", ["dynamodb:BatchGetItem", "dynamodb:Scan"])),
    ("any read", checks.check_permissions, put(*CALLER, "Action", "dynamodb:*Get*")),
    (
        "half of what is read",
        checks.check_permissions,
        put(*CALLER, "Resource", {"Fn::GetAtt": ["DirectoryTable", "Arn"]}),
    ),
    ("the index read", checks.check_permissions, put(*CALLER, "Resource", 0, {"Fn::Sub": "${DirectoryTable.Arn}/*"})),
    ("the Directory written under verify", checks.check_permissions, always(*TO_DIRECTORY), "verify"),
    ("profiles written under verify", checks.check_permissions, always(*TO_PROFILES), "verify"),
    ("the secret read under verify", checks.check_permissions, always(*TO_SECRET), "verify"),
    ("another condition", checks.check_permissions, put(*TO_DIRECTORY, "Fn::If", 0, "HasAwsEndpointUrl"), "create"),
    (
        "the condition turned round",
        checks.check_permissions,
        lambda t: t["Conditions"].update(EnsureCreates={"Fn::Not": [t["Conditions"]["EnsureCreates"]]}),
    ),
    (
        "verify by default",
        checks.check_permissions,
        lambda t: t["Parameters"]["EnsurePolicy"].update(Default="verify"),
        *CREATING,
    ),
    (
        "owners not checked",
        checks.check_permissions,
        put(*TO_DIRECTORY, *CREATED, "Action", "dynamodb:PutItem"),
        *CREATING,
    ),
    (
        "deletes",
        checks.check_permissions,
        put(*TO_PROFILES, *CREATED, "Action", ["dynamodb:PutItem", "dynamodb:DeleteItem"]),
        *CREATING,
    ),
    (
        "updates",
        checks.check_permissions,
        put(*TO_PROFILES, *CREATED, "Action", ["dynamodb:PutItem", "dynamodb:UpdateItem"]),
        *CREATING,
    ),
    (
        "profiles in another table",
        checks.check_permissions,
        put(*TO_PROFILES, *CREATED, "Resource", {"Fn::GetAtt": ["OperationsTable", "Arn"]}),
        *CREATING,
    ),
    (
        "Operations written too",
        checks.check_permissions,
        put(
            *TO_PROFILES,
            *CREATED,
            "Resource",
            [{"Fn::GetAtt": [f"{it}Table", "Arn"]} for it in ("Profiles", "Operations")],
        ),
        *CREATING,
    ),
    ("questions noted under verify", checks.check_permissions, always(*TO_QUESTIONS), "verify"),
    ("no questions noted", checks.check_permissions, drop(*TO_QUESTIONS), *CREATING),
    (
        "whatever is in Operations changed by ensure-profile",
        checks.check_permissions,
        drop(*TO_QUESTIONS, *CREATED, "Condition"),
        *CREATING,
    ),
    (
        "what is due changed by ensure-profile",
        checks.check_permissions,
        put(*TO_QUESTIONS, *CREATED, *KEYS, ["ASKED#*", "BUDGET#*", "PURGE#*"]),
        *CREATING,
    ),
    (
        "questions read",
        checks.check_permissions,
        put(*TO_QUESTIONS, *CREATED, "Action", ["dynamodb:UpdateItem", "dynamodb:GetItem"]),
        *CREATING,
    ),
    ("any secret to create with", checks.check_permissions, put(*TO_SECRET, *CREATED, "Resource", "*"), *CREATING),
    ("no secret to create with", checks.check_permissions, drop(*TO_SECRET), *CREATING),
    ("the Directory written under report", checks.check_permissions, always(*TO_REPAIR), "report"),
    (
        "PutItem kept under report",
        checks.check_permissions,
        put(*STORED, "Action", ["dynamodb:Scan", "dynamodb:BatchGetItem", "dynamodb:PutItem"]),
        "report",
    ),
    ("nothing to repair with", checks.check_permissions, drop(*TO_REPAIR), *REPAIRING),
    (
        "parents not checked",
        checks.check_permissions,
        put(*TO_REPAIR, *CREATED, "Action", "dynamodb:PutItem"),
        *REPAIRING,
    ),
    (
        "repaired where ensure creates",
        checks.check_permissions,
        put(*TO_REPAIR, "Fn::If", 0, "EnsureCreates"),
        "report",
    ),
    (
        "report by default",
        checks.check_permissions,
        lambda t: t["Parameters"]["ReconcilePolicy"].update(Default="report"),
        *REPAIRING,
    ),
    ("members searched under report", checks.check_permissions, always(*IN_INDEX), "report"),
    ("marks set under report", checks.check_permissions, always(*TO_MARK), "report"),
    ("records created under report", checks.check_permissions, always(*TO_CREATE), "report"),
    ("no members to end", checks.check_permissions, drop(*IN_INDEX), *REPAIRING),
    ("no marks", checks.check_permissions, drop(*TO_MARK), *REPAIRING),
    ("any update", checks.check_permissions, drop(*TO_MARK, *CREATED, "Condition"), *REPAIRING),
    (
        "one attribute more",
        checks.check_permissions,
        put(*TO_MARK, *CREATED, *ATTRIBUTES, ["pk", "sk", "rank", "consequences_at", "role"]),
        *REPAIRING,
    ),
    (
        "records changed",
        checks.check_permissions,
        put(*TO_CREATE, *CREATED, "Action", ["dynamodb:PutItem", "dynamodb:UpdateItem"]),
        *REPAIRING,
    ),
    (
        "any index",
        checks.check_permissions,
        put(*IN_INDEX, *CREATED, "Resource", {"Fn::Sub": "${DirectoryTable.Arn}/index/*"}),
        *REPAIRING,
    ),
    *(
        (f"the Directory written by account: {it}", checks.check_permissions, put(*OF_ACCOUNT["Directory"], "Action", [*READS_DIRECTORY, f"dynamodb:{it}"]))
        for it in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
    ),
    ("the Directory scanned by account", checks.check_permissions, put(*OF_ACCOUNT["Directory"], "Action", [*READS_DIRECTORY, "dynamodb:Scan"])),
    ("owners not checked by account", checks.check_permissions, put(*OF_ACCOUNT["Directory"], "Action", READS_DIRECTORY[:2])),
    ("members not found", checks.check_permissions, drop(*OF_ACCOUNT["Members"])),
    ("any index for account", checks.check_permissions, put(*OF_ACCOUNT["Members"], "Resource", {"Fn::Sub": "${DirectoryTable.Arn}/index/*"})),
    ("records searched by account", checks.check_permissions, put(*OF_ACCOUNT["Profiles"], "Action", ["dynamodb:BatchGetItem", "dynamodb:Query"])),
    ("whatever is in Profiles", checks.check_permissions, drop(*OF_ACCOUNT["Records"], "Condition", "ForAllValues:StringLike")),
    ("records of owners whom nobody checks", checks.check_permissions, drop(*OF_ACCOUNT["Records"], "Condition", "ForAnyValue:StringEquals")),
    ("records without a key", checks.check_permissions, drop(*OF_ACCOUNT["Records"], "Condition", "Null")),
    ("records deleted by account", checks.check_permissions, put(*OF_ACCOUNT["Records"], "Action", ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"])),
    ("records only created", checks.check_permissions, put(*OF_ACCOUNT["Records"], "Action", "dynamodb:PutItem")),
    ("questions noted that nobody asks", checks.check_permissions, always(*OF_ACCOUNT["Questions"]), *SILENT),
    ("no questions noted by account", checks.check_permissions, drop(*OF_ACCOUNT["Questions"]), *ASKING),
    ("notes of all kinds by account", checks.check_permissions, put(*OF_ACCOUNT["Questions"], *CREATED, *KEYS, ["*"]), *ASKING),
    ("whatever is in Operations changed by account", checks.check_permissions, drop(*OF_ACCOUNT["Questions"], *CREATED, "Condition"), *ASKING),
    ("the secret read by account for nothing", checks.check_permissions, always(*OF_ACCOUNT["Secret"]), *SILENT),
    ("no secret to delete accounts with", checks.check_permissions, drop(*OF_ACCOUNT["Secret"]), *ASKING),
    ("records not looked up", checks.check_permissions, drop(*RECORDS)),
    (
        "records searched",
        checks.check_permissions,
        put(*RECORDS, "Action", ["dynamodb:BatchGetItem", "dynamodb:Query"]),
        *KEEPING,
    ),
    ("any table scanned", checks.check_permissions, put(*STORED, "Resource", "*")),
    ("profiles scanned", checks.check_permissions, put(*STORED, "Resource", {"Fn::GetAtt": ["ProfilesTable", "Arn"]})),
    ("any use of Operations", checks.check_permissions, put(*RUNS, "Action", "dynamodb:*")),
    ("a lease for ever", checks.check_permissions, put(*RUNS, "Action", ["dynamodb:GetItem", "dynamodb:PutItem"])),
    ("none of executions", checks.check_permissions, drop(*MACHINE_STATEMENTS, sid("Traces"))),
    (
        "executions traced without asking",
        checks.check_permissions,
        put(*MACHINE_STATEMENTS, sid("Traces"), "Action", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]),
    ),
    ("any function", checks.check_permissions, put(*MACHINE_STATEMENTS, sid("Reconcile"), "Resource", "*")),
    ("any queue", checks.check_permissions, put(*MACHINE_STATEMENTS, sid("Failures"), "Resource", "*")),
    ("no message allowed", checks.check_permissions, drop(*MACHINE_STATEMENTS, sid("Failures"))),
    ("any call", checks.check_permissions, put(*MACHINE_STATEMENTS, sid("Reconcile"), "Action", "lambda:*")),
    (
        "another function called",
        checks.check_permissions,
        put(*MACHINE_STATEMENTS, sid("Reconcile"), "Resource", {"Fn::GetAtt": ["WebhookFunction", "Arn"]}),
    ),
    ("any state machine", checks.check_permissions, put(*START_STATEMENTS, sid("Start"), "Resource", "*")),
    (
        "stopped as well",
        checks.check_permissions,
        put(*START_STATEMENTS, sid("Start"), "Action", ["states:StartExecution", "states:StopExecution"]),
    ),
    ("no dead letters allowed", checks.check_permissions, drop(*START_STATEMENTS, sid("Failures"))),
    (
        "one role for schedule and machine",
        checks.check_permissions,
        put(*MACHINE, "Role", {"Fn::GetAtt": ["ReconcileStartRole", "Arn"]}),
    ),
    (
        "the wrong service",
        checks.check_permissions,
        put(*START_ROLE, *PRINCIPAL, {"Service": "events.amazonaws.com"}),
    ),
    ("anybody", checks.check_permissions, put(*MACHINE_ROLE, *PRINCIPAL, {"AWS": "*"})),
    (
        "for other accounts",
        checks.check_permissions,
        drop(*START_ROLE, "AssumeRolePolicyDocument", "Statement", 0, "Condition"),
    ),
]
