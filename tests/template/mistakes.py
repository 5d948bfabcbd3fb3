"""The mistakes that lint overlooks: (what is wrong, the check that must see it, how to make it); and where it does not
show in all variants of test_template.py, those in which it does.
"""

import checks
import checks_reconcile


def put(*path_and_value):
    """Sets the value at a path below Resources."""
    *path, last, value = path_and_value

    def change(template):
        at = template["Resources"]
        for step in path:
            at = at[step]
        at[last] = value

    return change


def drop(*path):
    """Removes what is at a path below Resources."""

    def change(template):
        at = template["Resources"]
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


def always(*path):
    """Decides an `Fn::If` at a path below Resources for its first value, whatever the condition."""

    def change(template):
        at = template["Resources"]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = at[path[-1]]["Fn::If"][1]

    return change


def both(one, other):
    """Makes two changes."""

    def change(template):
        one(template)
        other(template)

    return change


def says(state):
    """The condition that reconcile answered with one state."""
    return f"{{% $states.input.state = '{state}' %}}"


FUNCTION = ("WebhookFunction", "Properties")
ROUTE = (*FUNCTION, "Events", "Clerk", "Properties")
VARIABLES = (*FUNCTION, "Environment", "Variables")
STATEMENTS = ("WebhookRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
DIRECTORY = ("DirectoryTable", "Properties")
STREAM = (*DIRECTORY, "StreamSpecification")
INDEX = (*DIRECTORY, "GlobalSecondaryIndexes", 0)
PROFILES = ("ProfilesTable", "Properties")
EXPIRY = ("OperationsTable", "Properties", "TimeToLiveSpecification")
READ_POLICY = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "more", "PolicyDocument": {}}}
FORMAT = ("Api", "Properties", "AccessLogSettings", "Format")
DEFINITION = ("Api", "Properties", "DefinitionBody")
CORS = (*DEFINITION, "x-amazon-apigateway-cors")
SHORTER_CORS = {"AllowOrigins": {"Ref": "AllowedOrigins"}, "AllowMethods": ["GET", "POST"], "AllowCredentials": True}
LIMITS = ("Api", "Properties", "RouteSettings")
ENSURE = ("EnsureProfileFunction", "Properties")
ENSURE_EVENTS = (*ENSURE, "Events")
ENSURE_VARIABLES = (*ENSURE, "Environment", "Variables")
ENSURE_STATEMENTS = ("EnsureProfileRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
CALLER = (*ENSURE_STATEMENTS, 0)
TO_DIRECTORY, TO_PROFILES, TO_SECRET = ((*ENSURE_STATEMENTS, at) for at in (2, 3, 4))
CREATED = ("Fn::If", 1)
METRIC = ("NotSyncedMetric", "Properties")
USERS_ONLY = '{ $.outcome = "user_not_synced" }'
NESTED = '{ ($.fields.outcome = "user_not_synced") || ($.fields.outcome = "organization_not_synced") }'
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\\nMIIEv\\n-----END PRIVATE KEY-----"
RESOLVED = {"Fn::Sub": "{{resolve:secretsmanager:${SecretArn}:SecretString:CLERK_SECRET_KEY}}"}
CREATING = ("create", "report", "emulated")
RECONCILE = ("ReconcileFunction", "Properties")
RECONCILE_VARIABLES = (*RECONCILE, "Environment", "Variables")
RECONCILE_STATEMENTS = ("ReconcileRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
STORED, RUNS, TO_REPAIR = ((*RECONCILE_STATEMENTS, at) for at in (0, 1, 4))
REPAIRING = ("create", "verify", "emulated")
MACHINE = ("ReconcileStateMachine", "Properties")
MACHINE_ROLE = ("ReconcileStateMachineRole", "Properties")
MACHINE_STATEMENTS = (*MACHINE_ROLE, "Policies", 0, "PolicyDocument", "Statement")
STATES = (*MACHINE, "Definition", "States")
CALL, DECIDE, TELL = ((*STATES, name) for name in ("Reconcile", "Decide", "Tell"))
IF_FINISHED, IF_TOO_MANY, IF_CONTINUE, IF_BUSY = ((*DECIDE, "Choices", at) for at in range(4))
RETRY = (*CALL, "Retry", 0)
MESSAGE = (*TELL, "Arguments", "MessageBody")
START = ("ReconcileStart", "Properties")
START_ROLE = ("ReconcileStartRole", "Properties")
START_STATEMENTS = (*START_ROLE, "Policies", 0, "PolicyDocument", "Statement")
PRINCIPAL = ("AssumeRolePolicyDocument", "Statement", 0, "Principal")
QUEUE = ("ReconcileFailures", "Properties")
HELD, FINISHED = (("Reconcile" + name, "Properties") for name in ("HeldMetric", "FinishedMetric"))

MISTAKES = [
    ("another path", checks.check_routes, put(*ROUTE, "Path", "/webhook/clerk")),
    ("every method", checks.check_routes, put(*ROUTE, "Method", "ANY")),
    ("another payload format", checks.check_routes, put(*ROUTE, "PayloadFormatVersion", "1.0")),
    ("no route", checks.check_routes, drop(*FUNCTION, "Events")),
    ("a function URL beside the API", checks.check_routes, put(*FUNCTION, "FunctionUrlConfig", {"AuthType": "NONE"})),
    ("another path to ensure", checks.check_routes, put(*ENSURE_EVENTS, "Ensure", "Properties", "Path", "/ensure")),
    ("ensured by GET", checks.check_routes, put(*ENSURE_EVENTS, "Ensure", "Properties", "Method", "GET")),
    ("synchronised by POST", checks.check_routes, put(*ENSURE_EVENTS, "Sync", "Properties", "Method", "POST")),
    ("no way to synchronise", checks.check_routes, drop(*ENSURE_EVENTS, "Sync")),
    ("any origin", checks.check_cross_origin, put("Api", "Properties", "CorsConfiguration", {"AllowOrigins": ["*"]})),
    ("any origin in the definition", checks.check_cross_origin, put(*CORS, "allowOrigins", ["*"])),
    ("any secure origin", checks.check_cross_origin, put(*CORS, "allowOrigins", ["https://*"])),
    ("one origin, whatever is listed", checks.check_cross_origin, put(*CORS, "allowOrigins", ["https://a.example"])),
    ("no origins", checks.check_cross_origin, drop(*CORS, "allowOrigins")),
    ("no cross-origin rules", checks.check_cross_origin, drop(*CORS)),
    (
        "the origins in place of all rules",
        checks.check_cross_origin,
        both(drop(*DEFINITION), put("Api", "Properties", "CorsConfiguration", SHORTER_CORS)),
    ),
    ("a new method", checks.check_cross_origin, put(*CORS, "allowMethods", ["GET", "POST", "DELETE"])),
    ("every method from elsewhere", checks.check_cross_origin, put(*CORS, "allowMethods", ["*"])),
    ("any header", checks.check_cross_origin, put(*CORS, "allowHeaders", ["*"])),
    ("no header for the token", checks.check_cross_origin, put(*CORS, "allowHeaders", ["content-type"])),
    ("no cookies", checks.check_cross_origin, drop(*CORS, "allowCredentials")),
    ("no word of when to come back", checks.check_cross_origin, drop(*CORS, "exposeHeaders")),
    ("asked before each call", checks.check_cross_origin, drop(*CORS, "maxAge")),
    ("no limits of routes", checks.check_throttling_and_access_log, drop(*LIMITS)),
    ("one route without", checks.check_throttling_and_access_log, drop(*LIMITS, "GET /sync")),
    (
        "the limit of a misspelt route",
        checks.check_throttling_and_access_log,
        lambda t: t["Resources"]["Api"]["Properties"]["RouteSettings"].update({"GET /synch": {}}),
    ),
    (
        "synchronised as often as ensured",
        checks.check_throttling_and_access_log,
        put(*LIMITS, "GET /sync", {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000}),
    ),
    ("any burst", checks.check_throttling_and_access_log, drop(*LIMITS, "GET /sync", "ThrottlingBurstLimit")),
    ("no rate limit", checks.check_throttling_and_access_log, drop("Api", "Properties", "DefaultRouteSettings")),
    ("addresses logged", checks.check_throttling_and_access_log, put(*FORMAT, '{"ip":"$context.identity.sourceIp"}')),
    ("any action on the table", checks.check_permissions, put(*STATEMENTS, 0, "Action", "dynamodb:*")),
    ("one action more", checks.check_permissions, put(*STATEMENTS, 0, "Action", ["dynamodb:PutItem", "dynamodb:Scan"])),
    ("any table", checks.check_permissions, put(*STATEMENTS, 0, "Resource", "*")),
    ("any secret", checks.check_permissions, put(*STATEMENTS, 2, "Resource", "*")),
    ("one permission less", checks.check_permissions, drop(*STATEMENTS, 1)),
    ("all but one action", checks.check_permissions, put(*STATEMENTS, 0, "NotAction", "dynamodb:DeleteTable")),
    ("a policy of AWS's", checks.check_permissions, put("WebhookRole", "Properties", "ManagedPolicyArns", ["arn:x"])),
    ("a policy beside the role", checks.check_permissions, put("More", READ_POLICY)),
    ("SAM's own role", checks.check_permissions, drop(*FUNCTION, "Role")),
    ("a role for two", checks.check_permissions, put(*ENSURE, "Role", {"Fn::GetAtt": ["WebhookRole", "Arn"]})),
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
    ("any secret to create with", checks.check_permissions, put(*TO_SECRET, *CREATED, "Resource", "*"), *CREATING),
    ("no secret to create with", checks.check_permissions, drop(*TO_SECRET), *CREATING),
    (
        "another's log",
        checks.check_permissions,
        put(*ENSURE_STATEMENTS, 1, "Resource", {"Fn::GetAtt": ["WebhookLogs", "Arn"]}),
    ),
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
    ("any table scanned", checks.check_permissions, put(*STORED, "Resource", "*")),
    ("profiles scanned", checks.check_permissions, put(*STORED, "Resource", {"Fn::GetAtt": ["ProfilesTable", "Arn"]})),
    ("any use of Operations", checks.check_permissions, put(*RUNS, "Action", "dynamodb:*")),
    ("a lease for ever", checks.check_permissions, put(*RUNS, "Action", ["dynamodb:GetItem", "dynamodb:PutItem"])),
    ("any function", checks.check_permissions, put(*MACHINE_STATEMENTS, 0, "Resource", "*")),
    ("any queue", checks.check_permissions, put(*MACHINE_STATEMENTS, 1, "Resource", "*")),
    ("no message allowed", checks.check_permissions, drop(*MACHINE_STATEMENTS, 1)),
    ("any call", checks.check_permissions, put(*MACHINE_STATEMENTS, 0, "Action", "lambda:*")),
    (
        "another function called",
        checks.check_permissions,
        put(*MACHINE_STATEMENTS, 0, "Resource", {"Fn::GetAtt": ["WebhookFunction", "Arn"]}),
    ),
    ("any state machine", checks.check_permissions, put(*START_STATEMENTS, 0, "Resource", "*")),
    (
        "stopped as well",
        checks.check_permissions,
        put(*START_STATEMENTS, 0, "Action", ["states:StartExecution", "states:StopExecution"]),
    ),
    ("no dead letters allowed", checks.check_permissions, drop(*START_STATEMENTS, 1)),
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
    ("a variable too few", checks.check_environment, drop(*VARIABLES, "CLERK_INSTANCE_ID")),
    ("a variable nobody reads", checks.check_environment, put(*VARIABLES, "DIRECTORY_TABEL", "x")),
    ("the wrong table", checks.check_environment, put(*VARIABLES, "DIRECTORY_TABLE", {"Ref": "ProfilesTable"})),
    ("no secret named", checks.check_environment, drop(*VARIABLES, "ROLLCALL_SECRET_ARN")),
    ("a secret by its name", checks.check_environment, put(*VARIABLES, "CLERK_SECRET_KEY", {"Ref": "SecretArn"})),
    ("no issuer", checks.check_environment, drop(*ENSURE_VARIABLES, "CLERK_ISSUER")),
    ("no sites", checks.check_environment, drop(*ENSURE_VARIABLES, "ALLOWED_ORIGINS")),
    (
        "a list for a text",
        checks.check_environment,
        put(*ENSURE_VARIABLES, "ALLOWED_ORIGINS", {"Ref": "AllowedOrigins"}),
    ),
    ("any site", checks.check_environment, put(*ENSURE_VARIABLES, "ALLOW_MISSING_AZP", "true")),
    (
        "two variables swapped",
        checks.check_environment,
        put(*ENSURE_VARIABLES, "CLERK_JWKS_URL", {"Ref": "ClerkIssuer"}),
    ),
    (
        "profiles elsewhere",
        checks.check_environment,
        put(*ENSURE_VARIABLES, "PROFILES_TABLE", {"Ref": "DirectoryTable"}),
    ),
    (
        "Operations named",
        checks.check_environment,
        put(*ENSURE_VARIABLES, "OPERATIONS_TABLE", {"Ref": "OperationsTable"}),
    ),
    (
        "a secret named under verify",
        checks.check_environment,
        always(*ENSURE_VARIABLES, "ROLLCALL_SECRET_ARN"),
        "verify",
    ),
    ("none named to create with", checks.check_environment, drop(*ENSURE_VARIABLES, "ROLLCALL_SECRET_ARN"), *CREATING),
    (
        "an empty address of AWS",
        checks.check_environment,
        always(*ENSURE_VARIABLES, "AWS_ENDPOINT_URL"),
        "create",
        "verify",
    ),
    ("no emulator of AWS", checks.check_environment, drop(*VARIABLES, "AWS_ENDPOINT_URL"), "emulated"),
    ("no policy", checks.check_environment, put(*RECONCILE_VARIABLES, "RECONCILE_POLICY", "repair")),
    ("any share", checks.check_environment, put(*RECONCILE_VARIABLES, "CLERK_RATE_SHARE", "100")),
    ("profiles named", checks.check_environment, put(*RECONCILE_VARIABLES, "PROFILES_TABLE", {"Ref": "ProfilesTable"})),
    ("nowhere to report", checks.check_environment, drop(*RECONCILE_VARIABLES, "OPERATIONS_TABLE")),
    ("… that sounds like one", checks.check_no_secret_in_environment, put(*VARIABLES, "CLERK_SECRET_KEY", "x")),
    (
        "a secret resolved at deployment",
        checks.check_no_secret_in_environment,
        put(*VARIABLES, "MIRROR", RESOLVED),
    ),
    ("… for the public key", checks.check_no_secret_in_environment, put(*ENSURE_VARIABLES, "CLERK_JWT_KEY", RESOLVED)),
    ("a private key", checks.check_no_secret_in_environment, put(*ENSURE_VARIABLES, "CLERK_JWT_KEY", PRIVATE_KEY)),
    ("another key", checks.check_no_secret_in_environment, put(*ENSURE_VARIABLES, "CLERK_SECRET_KEY", "x")),
    ("slower than API Gateway", checks.check_time_limits, put(*FUNCTION, "Timeout", 60)),
    ("slower than the rest", checks.check_time_limits, put(*ENSURE, "Timeout", 29)),
    ("as quick as the others", checks.check_time_limits, drop(*RECONCILE, "Timeout")),
    ("not waited for", checks_reconcile.check_time_for_all_calls, put(*CALL, "TimeoutSeconds", 600)),
    ("waited for without an end", checks_reconcile.check_time_for_all_calls, drop(*CALL, "TimeoutSeconds")),
    (
        "stopped in its middle",
        checks_reconcile.check_time_for_all_calls,
        put(*MACHINE, "Definition", "TimeoutSeconds", 3600),
    ),
    ("never stopped", checks_reconcile.check_time_for_all_calls, drop(*MACHINE, "Definition", "TimeoutSeconds")),
    ("SAM's default time limit", checks.check_time_limits, lambda t: t["Globals"]["Function"].pop("Timeout")),
    ("logs for ever", checks.check_logs, drop("WebhookLogs", "Properties", "RetentionInDays")),
    ("the API's logs for ever", checks.check_logs, drop("ApiLogs", "Properties", "RetentionInDays")),
    ("no log group", checks.check_logs, drop(*FUNCTION, "LoggingConfig")),
    ("text logs", checks.check_logs, put(*FUNCTION, "LoggingConfig", "LogFormat", "Text")),
    ("a log group for two", checks.check_logs, put(*ENSURE, "LoggingConfig", "LogGroup", {"Ref": "WebhookLogs"})),
    (
        "two groups of one name",
        checks.check_logs,
        put("EnsureProfileLogs", "Properties", "LogGroupName", {"Fn::Sub": "/aws/lambda/${AWS::StackName}-webhook"}),
    ),
    ("its logs for ever", checks.check_logs, drop("EnsureProfileLogs", "Properties", "RetentionInDays")),
    ("no metric", checks.check_metrics, drop("NotSyncedMetric")),
    ("no metric under verify", checks.check_metrics, put("NotSyncedMetric", "Condition", "EnsureCreates"), "verify"),
    ("organizations not counted", checks.check_metrics, put(*METRIC, "FilterPattern", USERS_ONLY)),
    ("a field that is not there", checks.check_metrics, put(*METRIC, "FilterPattern", NESTED)),
    ("every line counted", checks.check_metrics, put(*METRIC, "FilterPattern", "")),
    ("another's log counted", checks.check_metrics, put(*METRIC, "LogGroupName", {"Ref": "WebhookLogs"})),
    ("another name", checks.check_metrics, put(*METRIC, "MetricTransformations", 0, "MetricName", "Misses")),
    ("the value not one", checks.check_metrics, put(*METRIC, "MetricTransformations", 0, "MetricValue", "0")),
    ("no data on good days", checks.check_metrics, drop(*METRIC, "MetricTransformations", 0, "DefaultValue")),
    ("held not counted", checks.check_metrics, drop("ReconcileHeldMetric")),
    ("out of step not counted", checks.check_metrics, drop("ReconcileOutOfStepMetric")),
    ("any line that says held", checks.check_metrics, put(*HELD, "FilterPattern", '{ $.outcome = "held" }')),
    ("failures are finished", checks.check_metrics, put(*FINISHED, "FilterPattern", '{ $.message = "reconcile" }')),
    ("the webhook's runs", checks.check_metrics, put(*FINISHED, "LogGroupName", {"Ref": "WebhookLogs"})),
    ("an express machine", checks_reconcile.check_state_machine, put(*MACHINE, "Type", "EXPRESS")),
    ("paths for expressions", checks_reconcile.check_state_machine, drop(*MACHINE, "Definition", "QueryLanguage")),
    ("another first state", checks_reconcile.check_state_machine, put(*MACHINE, "Definition", "StartAt", "Reconcile")),
    ("a state without a name", checks_reconcile.check_state_machine, put(*CALL, "Next", "Decision")),
    ("a state that nothing reaches", checks_reconcile.check_state_machine, put(*STATES, "Spare", {"Type": "Succeed"})),
    (
        "another function",
        checks_reconcile.check_state_machine,
        put(*CALL, "Arguments", "FunctionName", {"Ref": "WebhookFunction"}),
    ),
    ("another service", checks_reconcile.check_state_machine, put(*CALL, "Resource", "arn:aws:states:::sns:publish")),
    (
        "not waited for its answer",
        checks_reconcile.check_state_machine,
        put(*CALL, "Arguments", "InvocationType", "Event"),
    ),
    ("no retry", checks_reconcile.check_state_machine, drop(*CALL, "Retry")),
    (
        "throttling only",
        checks_reconcile.check_state_machine,
        put(*RETRY, "ErrorEquals", ["Lambda.TooManyRequestsException"]),
    ),
    ("retried within the lease", checks_reconcile.check_state_machine, put(*RETRY, "MaxAttempts", 2)),
    ("retried at once", checks_reconcile.check_state_machine, put(*RETRY, "IntervalSeconds", 1)),
    ("retried at a steady pace", checks_reconcile.check_state_machine, put(*RETRY, "BackoffRate", 1)),
    ("retried in step", checks_reconcile.check_state_machine, drop(*RETRY, "JitterStrategy")),
    ("no catch", checks_reconcile.check_state_machine, drop(*CALL, "Catch")),
    ("caught and not told", checks_reconcile.check_state_machine, put(*CALL, "Catch", 0, "Next", "Failed")),
    ("caught and finished", checks_reconcile.check_state_machine, put(*CALL, "Catch", 0, "Next", "Finished")),
    (
        "some errors caught",
        checks_reconcile.check_state_machine,
        put(*CALL, "Catch", 0, "ErrorEquals", ["States.Timeout"]),
    ),
    ("error without a name", checks_reconcile.check_state_machine, drop(*CALL, "Catch", 0, "Assign")),
    ("told and finished", checks_reconcile.check_state_machine, put(*TELL, "Next", "Finished")),
    ("the queue's error in the place of its own", checks_reconcile.check_state_machine, drop(*TELL, "Catch")),
    ("no loop", checks_reconcile.check_state_machine, drop(*IF_CONTINUE)),
    ("continue is the end", checks_reconcile.check_state_machine, put(*IF_CONTINUE, "Next", "Finished")),
    ("continued after a wait", checks_reconcile.check_state_machine, put(*IF_CONTINUE, "Next", "Wait")),
    (
        "another word for continue",
        checks_reconcile.check_state_machine,
        put(*IF_CONTINUE, "Condition", says("continued")),
    ),
    ("busy is the end", checks_reconcile.check_state_machine, put(*IF_BUSY, "Next", "Finished")),
    ("busy and called at once", checks_reconcile.check_state_machine, put(*IF_BUSY, "Next", "Reconcile")),
    ("a long wait", checks_reconcile.check_state_machine, put(*STATES, "Wait", "Seconds", 3600)),
    ("for ever", checks_reconcile.check_state_machine, drop(*IF_TOO_MANY)),
    ("calls not counted", checks_reconcile.check_state_machine, drop(*CALL, "Assign")),
    ("held is a failure", checks_reconcile.check_state_machine, put(*IF_FINISHED, "Condition", says("done"))),
    ("the answer overlooked", checks_reconcile.check_state_machine, drop(*CALL, "Output")),
    ("all else is well", checks_reconcile.check_state_machine, put(*DECIDE, "Default", "Finished")),
    ("nothing else", checks_reconcile.check_state_machine, drop(*DECIDE, "Default")),
    (
        "the cause in the message",
        checks_reconcile.check_state_machine,
        put(*MESSAGE, "cause", "{% $states.input.Cause %}"),
    ),
    ("which execution is not said", checks_reconcile.check_state_machine, drop(*MESSAGE, "execution")),
    ("no machine", checks_reconcile.check_state_machine, drop("ReconcileStateMachine")),
    ("in the clear", checks_reconcile.check_queues, put(*QUEUE, "SqsManagedSseEnabled", False)),
    ("four days", checks_reconcile.check_queues, drop(*QUEUE, "MessageRetentionPeriod")),
    ("no queue", checks_reconcile.check_queues, drop("ReconcileFailures")),
    ("no schedule", checks_reconcile.check_schedule, drop("ReconcileStart")),
    ("a disabled schedule", checks_reconcile.check_schedule, put(*START, "State", "DISABLED")),
    (
        "disabled by default",
        checks_reconcile.check_schedule,
        lambda t: t["Parameters"]["ReconcileState"].update(Default="DISABLED"),
    ),
    ("a fixed time", checks_reconcile.check_schedule, put(*START, "ScheduleExpression", "cron(0 3 * * ? *)")),
    (
        "at some time of the night",
        checks_reconcile.check_schedule,
        put(*START, "FlexibleTimeWindow", {"Mode": "FLEXIBLE"}),
    ),
    ("no dead letters", checks_reconcile.check_schedule, drop(*START, "Target", "DeadLetterConfig")),
    ("a day's retries", checks_reconcile.check_schedule, drop(*START, "Target", "RetryPolicy")),
    (
        "the function without its loop",
        checks_reconcile.check_schedule,
        put(*START, "Target", "Arn", {"Fn::GetAtt": ["ReconcileFunction", "Arn"]}),
    ),
    ("nothing to verify", checks.check_rules, lambda t: t.pop("Rules")),
    ("no mirror, no stack", checks.check_rules, lambda t: t["Rules"]["VerifyNeedsMirror"].pop("RuleCondition")),
    ("no stream", checks.check_tables, drop(*STREAM)),
    ("half a stream", checks.check_tables, put(*STREAM, "StreamViewType", "NEW_IMAGE")),
    ("another expiry", checks.check_tables, put(*EXPIRY, "AttributeName", "ttl")),
    ("expiry switched off", checks.check_tables, put(*EXPIRY, "Enabled", False)),
    ("keys swapped", checks.check_tables, put(*PROFILES, "KeySchema", 0, "AttributeName", "sk")),
    ("numeric key", checks.check_tables, put(*PROFILES, "AttributeDefinitions", 0, "AttributeType", "N")),
    ("no index", checks.check_tables, drop(*DIRECTORY, "GlobalSecondaryIndexes")),
    ("e-mail in the index", checks.check_tables, put(*INDEX, "Projection", "NonKeyAttributes", ["role", "email"])),
    ("no deletion protection", checks.check_tables, drop(*DIRECTORY, "DeletionProtectionEnabled")),
    ("no recovery", checks.check_tables, drop(*PROFILES, "PointInTimeRecoverySpecification")),
    ("no encryption", checks.check_tables, drop(*PROFILES, "SSESpecification")),
    ("deleted with the stack", checks.check_tables, put("ProfilesTable", "DeletionPolicy", "Delete")),
    ("deleted when replaced", checks.check_tables, drop("ProfilesTable", "UpdateReplacePolicy")),
    ("a table too few", checks.check_tables, drop("ProfilesTable")),
]
