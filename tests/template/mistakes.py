"""The mistakes that lint overlooks: (what is wrong, the check that must see it, how to make it); and where it does not
show in all variants of variants.py, those in which it does.
"""

import checks
from changes import always, both, drop, moved, put, unguarded
from variants import ASKING, BARE, CREATING, GUARDED, SILENT

FUNCTION = ("WebhookFunction", "Properties")
VARIABLES = (*FUNCTION, "Environment", "Variables")
DIRECTORY = ("DirectoryTable", "Properties")
STREAM = (*DIRECTORY, "StreamSpecification")
INDEX = (*DIRECTORY, "GlobalSecondaryIndexes", 0)
PROFILES = ("ProfilesTable", "Properties")
EXPIRY = ("OperationsTable", "Properties", "TimeToLiveSpecification")
FORMAT = ("Api", "Properties", "AccessLogSettings", "Format")
DEFINITION = ("Api", "Properties", "DefinitionBody")
PATHS = (*DEFINITION, "paths")
PATH = (*PATHS, "/webhooks/clerk")
ROUTE = (*PATH, "Fn::If", 2)
GUARDED_STAGE = ("WebhookStage", "Properties")
CORS = (*DEFINITION, "x-amazon-apigateway-cors")
SHORTER_CORS = {"AllowOrigins": {"Ref": "AllowedOrigins"}, "AllowMethods": ["GET", "POST"], "AllowCredentials": True}
PLAIN_HEADERS = ["authorization", "content-type", "baggage", "sentry-trace", "traceparent", "tracestate"]
LIMITS = ("Api", "Properties", "RouteSettings")
ENSURE = ("EnsureProfileFunction", "Properties")
ENSURE_VARIABLES = (*ENSURE, "Environment", "Variables")
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\\nMIIEv\\n-----END PRIVATE KEY-----"
RESOLVED = {"Fn::Sub": "{{resolve:secretsmanager:${SecretArn}:SecretString:CLERK_SECRET_KEY}}"}
ACCOUNT_VARIABLES = ("AccountFunction", "Properties", "Environment", "Variables")
RECONCILE = ("ReconcileFunction", "Properties")
RECONCILE_VARIABLES = (*RECONCILE, "Environment", "Variables")

MISTAKES = [
    ("another path", checks.check_routes, moved(PATHS, "/webhooks/clerk", "/webhook/clerk"), *BARE),
    ("every method", checks.check_routes, moved(ROUTE, "post", "x-amazon-apigateway-any-method"), *BARE),
    (
        "another payload format",
        checks.check_routes,
        put(*ROUTE, "post", "x-amazon-apigateway-integration", "payloadFormatVersion", "1.0"),
        *BARE,
    ),
    ("no route", checks.check_routes, drop(*PATH), *BARE),
    ("the webhook beside its guarded route", checks.check_routes, unguarded(*PATH), *GUARDED),
    ("no guarded route", checks.check_routes, drop("WebhookRoute"), *GUARDED),
    (
        "a guarded route that takes any path",
        checks.check_routes,
        put("WebhookRoute", "Properties", "RouteKey", "POST /webhooks/clerk/{part}"),
        *GUARDED,
    ),
    (
        "another function behind the guarded route",
        checks.check_routes,
        put("WebhookIntegration", "Properties", "IntegrationUri", {"Fn::GetAtt": ["EnsureProfileFunction", "Arn"]}),
        *GUARDED,
    ),
    ("nobody may call the webhook", checks.check_routes, drop("WebhookFunctionClerkPermission")),
    (
        "the webhook called through the other API",
        checks.check_routes,
        lambda t: t["Resources"]["WebhookFunctionClerkPermission"]["Properties"]["SourceArn"]["Fn::If"].__setitem__(
            1, {"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/POST/webhooks/clerk/${WebhookPath}"}
        ),
        *GUARDED,
    ),
    (
        "the bare address in Clerk's dashboard",
        checks.check_webhook_url,
        lambda t: t["Outputs"]["WebhookUrl"].update(Value=t["Outputs"]["WebhookUrl"]["Value"]["Fn::If"][2]),
    ),
    ("a function URL beside the API", checks.check_routes, put(*FUNCTION, "FunctionUrlConfig", {"AuthType": "NONE"})),
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
    ("a new method", checks.check_cross_origin, put(*CORS, "allowMethods", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])),
    ("no method to delete with", checks.check_cross_origin, put(*CORS, "allowMethods", ["GET", "POST", "PUT", "PATCH"])),
    ("every method from elsewhere", checks.check_cross_origin, put(*CORS, "allowMethods", ["*"])),
    ("any header", checks.check_cross_origin, put(*CORS, "allowHeaders", ["*"])),
    ("no header for the token", checks.check_cross_origin, put(*CORS, "allowHeaders", ["content-type"])),
    ("no headers for traces", checks.check_cross_origin, put(*CORS, "allowHeaders", ["authorization", "content-type"])),
    ("no conditional requests", checks.check_cross_origin, put(*CORS, "allowHeaders", PLAIN_HEADERS)),
    ("no tag to send back", checks.check_cross_origin, put(*CORS, "exposeHeaders", ["retry-after", "accept-patch"])),
    ("no cookies", checks.check_cross_origin, drop(*CORS, "allowCredentials")),
    ("no word of when to come back", checks.check_cross_origin, drop(*CORS, "exposeHeaders")),
    ("asked before each call", checks.check_cross_origin, drop(*CORS, "maxAge")),
    ("no limits of routes", checks.check_throttling_and_access_log, drop(*LIMITS)),
    ("no limit of the guarded route", checks.check_throttling_and_access_log, drop(*GUARDED_STAGE, "DefaultRouteSettings"), *GUARDED),
    (
        "what nobody should guess in the log",
        checks.check_throttling_and_access_log,
        lambda t: t["Resources"]["WebhookStage"]["Properties"]["AccessLogSettings"].update(
            Format=t["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"]
        ),
        *GUARDED,
    ),
    ("no rate limit", checks.check_throttling_and_access_log, drop("Api", "Properties", "DefaultRouteSettings")),
    ("addresses logged", checks.check_throttling_and_access_log, put(*FORMAT, '{"ip":"$context.identity.sourceIp"}')),
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
        "questions noted in Profiles",
        checks.check_environment,
        put(*ENSURE_VARIABLES, "OPERATIONS_TABLE", {"Ref": "ProfilesTable"}),
    ),
    (
        "a secret named under verify",
        checks.check_environment,
        always(*ENSURE_VARIABLES, "ROLLCALL_SECRET_ARN"),
        "verify",
    ),
    ("none named to create with", checks.check_environment, drop(*ENSURE_VARIABLES, "ROLLCALL_SECRET_ARN"), *CREATING),
    (
        "a secret named for account, which asks Clerk nothing",
        checks.check_environment,
        always(*ACCOUNT_VARIABLES, "ROLLCALL_SECRET_ARN"),
        *SILENT,
    ),
    ("none named for account", checks.check_environment, drop(*ACCOUNT_VARIABLES, "ROLLCALL_SECRET_ARN"), *ASKING),
    ("any field writable", checks.check_environment, put(*ACCOUNT_VARIABLES, "PROFILE_WRITABLE", "*")),
    (
        "one pointer for both",
        checks.check_environment,
        put(*ACCOUNT_VARIABLES, "ORGANIZATION_ROLES_POINTER", {"Ref": "RolePointer"}),
    ),
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
    ("profiles named", checks.check_environment, put(*VARIABLES, "PROFILES_TABLE", {"Ref": "ProfilesTable"})),
    ("no profiles to settle", checks.check_environment, drop(*RECONCILE_VARIABLES, "PROFILES_TABLE")),
    ("settled as is not chosen", checks.check_environment, put(*RECONCILE_VARIABLES, "METADATA_WRITEBACK", "on")),
    (
        "members' defaults for users",
        checks.check_environment,
        put(*RECONCILE_VARIABLES, "PROFILE_DEFAULTS", {"Ref": "MembershipProfileDefaults"}),
    ),
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
    ("as quick as the others", checks.check_time_limits, drop(*RECONCILE, "Timeout")),
    ("SAM's default time limit", checks.check_time_limits, lambda t: t["Globals"]["Function"].pop("Timeout")),
    ("the API's logs for ever", checks.check_logs, drop("ApiLogs", "Properties", "RetentionInDays")),
    (
        "two groups of one name",
        checks.check_logs,
        put("EnsureProfileLogs", "Properties", "LogGroupName", {"Fn::Sub": "/aws/lambda/${AWS::StackName}-webhook"}),
    ),
    ("no traces", checks.check_tracing, lambda t: t["Globals"]["Function"].pop("Tracing")),
    ("executions without", checks.check_tracing, drop("ReconcileStateMachine", "Properties", "Tracing")),
    (
        "executions that are traced whatever is asked for",
        checks.check_tracing,
        put("ReconcileStateMachine", "Properties", "Tracing", {"Enabled": True}),
        "untouched",
    ),
    ("no word of what stays", checks.check_deletion_policies, drop("DirectoryTable", "DeletionPolicy")),
    ("gone when replaced", checks.check_deletion_policies, drop("OperationsTable", "UpdateReplacePolicy")),
    ("a snapshot of it", checks.check_deletion_policies, put("ProfilesTable", "DeletionPolicy", "Snapshot")),
    ("no word of the backups", checks.check_deletion_policies, drop("BackupBucket", "DeletionPolicy")),
    ("no word of a queue", checks.check_deletion_policies, drop("ReconcileFailures", "UpdateReplacePolicy")),
    ("a table nobody thought of", checks.check_deletion_policies, put("More", {"Type": "AWS::DynamoDB::Table"})),
    ("nothing to verify", checks.check_rules, lambda t: t.pop("Rules")),
    ("no mirror, no stack", checks.check_rules, lambda t: t["Rules"]["VerifyNeedsMirror"].pop("RuleCondition")),
    ("no stream", checks.check_tables, drop(*STREAM)),
    ("half a stream", checks.check_tables, put(*STREAM, "StreamViewType", "NEW_IMAGE")),
    ("another expiry", checks.check_tables, put(*EXPIRY, "AttributeName", "ttl")),
    (
        "tombstones that expire",
        checks.check_tables,
        put("DirectoryTable", "Properties", "TimeToLiveSpecification", {"AttributeName": "expires_at", "Enabled": True}),
    ),
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
