"""The template as it is passes every check, and every mistake that lint overlooks is caught by one of them."""

import inspect
import json
import os
import re
from pathlib import Path

import checks
import pytest
from translated import ROOT, source, translate

# What the checks are run on: the template with these parameters, and defaults for the rest.
VARIANTS = {
    "create": {},
    "verify": {"EnsurePolicy": "verify"},
    "emulated": {"AwsEndpointUrl": "http://localhost:4566"},
}


@pytest.fixture(scope="session")
def settings():
    """What each function's code says that it reads, by the function's logical id."""
    path = os.environ.get("ROLLCALL_VARIABLES")
    if not path or not Path(path).is_file():
        pytest.fail("the list of variables that the code reads is missing: run `make test`, which writes it")
    declared = json.loads(Path(path).read_text())
    missing = set(folders().values()) - set(declared)
    assert not missing, f"{path} says nothing about {missing}"
    return {function: declared[folder] for function, folder in folders().items()}


def folders():
    """The folder under functions/ that each function of the template is built from."""
    return {
        name: Path(it["Properties"]["CodeUri"]).name
        for name, it in source()["Resources"].items()
        if it["Type"] == "AWS::Serverless::Function"
    }


def run(check, template, parameters, settings):
    """Runs a check on what it names as its arguments."""
    known = {
        "resources": translate(template, parameters),
        "parameters": parameters,
        "template": template,
        "settings": settings,
    }
    check(**{name: known[name] for name in inspect.signature(check).parameters})


CHECKS = [value for name, value in vars(checks).items() if name.startswith("check_")]


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_template_passes(check, parameters, settings):
    run(check, source(), parameters, settings)


def test_every_function_is_deployed():
    assert sorted(folders().values()) == sorted(path.parent.name for path in ROOT.glob("functions/*/Cargo.toml"))


def test_functions_are_built_by_cargo_lambda_from_their_own_folder():
    for name, it in source()["Resources"].items():
        if it["Type"] == "AWS::Serverless::Function":
            assert it["Metadata"]["BuildMethod"] == "rust-cargolambda", name
            assert it["Properties"]["CodeUri"].startswith("functions/"), name


PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----{0}MIIBIjANBg+/kq=={0}-----END PUBLIC KEY-----{0}"

PARAMETERS = {
    "ClerkInstanceId": (["ins_2abcDEF"], ["", "pk_test_x", "ins_"]),
    "ClerkIssuer": (
        ["https://clerk.example.com", "https://example.com/__clerk", "http://127.0.0.1:3001"],
        ["", "clerk.example.com", "https://clerk.example.com/"],
    ),
    "ClerkJwksUrl": (["", "https://clerk.example.com/.well-known/jwks.json"], ["/.well-known/jwks.json"]),
    "ClerkJwtKey": (
        [
            "",
            PUBLIC_KEY.format("\n"),
            PUBLIC_KEY.format("\\n"),
            PUBLIC_KEY.format("\\n").replace("PUBLIC", "RSA PUBLIC"),
        ],
        [PUBLIC_KEY.format("\n").replace("PUBLIC", "PRIVATE"), "sk_test_abc", "MIIBIjANBg"],
    ),
    "AllowedOrigins": (
        ["https://app.example.com", "http://localhost:5173"],
        [
            "",
            "*",
            "https://*",
            "https://*.example.com",
            "app.example.com",
            "https://app.example.com/",
            "https://a.com/b",
        ],
    ),
    "SignInUrl": (["", "https://app.example.com/sign-in?x=1"], ["/sign-in", "javascript:alert(1)"]),
    "ProfileDefaults": (["{}", '{"theme":"light"}', "{\n}"], ["", "[]", "light"]),
    "MembershipProfileDefaults": (["{}", '{"seat":1}'], ["", "null"]),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_takes_what_is_right_and_refuses_what_is_not(name):
    parameter = source()["Parameters"][name]
    taken, refused = PARAMETERS[name]
    assert [it for it in taken if not re.fullmatch(parameter["AllowedPattern"], it)] == []
    assert [it for it in refused if re.fullmatch(parameter["AllowedPattern"], it)] == []
    assert parameter.get("Default", taken[0]) in taken


# The mistakes: (what is wrong, the check that must see it, how to make it); and where it does not show in all variants,
# those in which it does.


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
CREATING = ("create", "emulated")

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


@pytest.mark.parametrize("mistake", MISTAKES, ids=[it[0] for it in MISTAKES])
def test_a_mistake_is_caught(mistake, settings):
    _, check, change, *variants = mistake
    template = source()
    change(template)
    for variant in variants or VARIANTS:
        with pytest.raises(AssertionError):
            run(check, template, VARIANTS[variant], settings)
