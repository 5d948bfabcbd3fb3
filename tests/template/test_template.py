"""The template as it is passes every check, and every mistake that lint overlooks is caught by one of them."""

import json
import os
from pathlib import Path

import checks
import pytest
from translated import ROOT, source, translate


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


def run(check, resources, settings):
    if check is checks.check_environment:
        check(resources, settings)
    else:
        check(resources)


CHECKS = [value for name, value in vars(checks).items() if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_template_passes(check, settings):
    run(check, translate(source()), settings)


def test_every_function_is_deployed():
    assert sorted(folders().values()) == sorted(path.parent.name for path in ROOT.glob("functions/*/Cargo.toml"))


def test_functions_are_built_by_cargo_lambda_from_their_own_folder():
    for name, it in source()["Resources"].items():
        if it["Type"] == "AWS::Serverless::Function":
            assert it["Metadata"]["BuildMethod"] == "rust-cargolambda", name
            assert it["Properties"]["CodeUri"].startswith("functions/"), name


# The mistakes: (what is wrong, the check that must see it, how to make it).


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

MISTAKES = [
    ("another path", checks.check_routes, put(*ROUTE, "Path", "/webhook/clerk")),
    ("every method", checks.check_routes, put(*ROUTE, "Method", "ANY")),
    ("another payload format", checks.check_routes, put(*ROUTE, "PayloadFormatVersion", "1.0")),
    ("no route", checks.check_routes, drop(*FUNCTION, "Events")),
    ("a function URL beside the API", checks.check_routes, put(*FUNCTION, "FunctionUrlConfig", {"AuthType": "NONE"})),
    ("any origin", checks.check_routes, put("Api", "Properties", "CorsConfiguration", {"AllowOrigins": ["*"]})),
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
    ("a variable too few", checks.check_environment, drop(*VARIABLES, "CLERK_INSTANCE_ID")),
    ("a variable nobody reads", checks.check_environment, put(*VARIABLES, "DIRECTORY_TABEL", "x")),
    ("the wrong table", checks.check_environment, put(*VARIABLES, "DIRECTORY_TABLE", {"Ref": "ProfilesTable"})),
    ("no secret named", checks.check_environment, drop(*VARIABLES, "ROLLCALL_SECRET_ARN")),
    ("a secret by its name", checks.check_environment, put(*VARIABLES, "CLERK_SECRET_KEY", {"Ref": "SecretArn"})),
    ("… that sounds like one", checks.check_no_secret_in_environment, put(*VARIABLES, "CLERK_SECRET_KEY", "x")),
    (
        "a secret resolved at deployment",
        checks.check_no_secret_in_environment,
        put(*VARIABLES, "MIRROR", {"Fn::Sub": "{{resolve:secretsmanager:${SecretArn}:SecretString:CLERK_SECRET_KEY}}"}),
    ),
    ("slower than API Gateway", checks.check_time_limits, put(*FUNCTION, "Timeout", 60)),
    ("SAM's default time limit", checks.check_time_limits, lambda t: t["Globals"]["Function"].pop("Timeout")),
    ("logs for ever", checks.check_logs, drop("WebhookLogs", "Properties", "RetentionInDays")),
    ("the API's logs for ever", checks.check_logs, drop("ApiLogs", "Properties", "RetentionInDays")),
    ("no log group", checks.check_logs, drop(*FUNCTION, "LoggingConfig")),
    ("text logs", checks.check_logs, put(*FUNCTION, "LoggingConfig", "LogFormat", "Text")),
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


@pytest.mark.parametrize(("check", "change"), [it[1:] for it in MISTAKES], ids=[it[0] for it in MISTAKES])
def test_a_mistake_is_caught(check, change, settings):
    template = source()
    change(template)
    with pytest.raises(AssertionError):
        run(check, translate(template), settings)
