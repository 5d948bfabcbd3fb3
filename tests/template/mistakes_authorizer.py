"""Mistakes about the authorizer, as in mistakes.py. A stack with most of them can be deployed; then every API answers
500, or any account may call the authorizer."""

import checks
import checks_alarms
import checks_authorizer
from changes import drop, put, sid
from functions import ENSURE

GATEWAY, APPSYNC = "AuthorizerApiGatewayPermission", "AuthorizerAppSyncPermission"
STATEMENTS = ("AuthorizerRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
METRICS = ("AuthorizerErrors", "Properties", "Metrics")
FUNCTION_OF = ("MetricStat", "Metric", "Dimensions", 0, "Value")


def source(permission, arn):
    """Gives a permission another source."""
    return put(permission, "Properties", "SourceArn", {"Fn::Sub": arn})


def output(value):
    """Sets the output with the ARN."""
    return lambda t: t["Outputs"]["AuthorizerFunctionArn"].update({"Value": value})


def export(name):
    """Sets the name under which other stacks import the ARN."""
    return lambda t: t["Outputs"]["AuthorizerFunctionArn"].update({"Export": {"Name": name}})


HERE = "${AWS::Partition}:execute-api:${AWS::Region}"

BY_CHECK = {
    checks_authorizer.check_authorizer_callers: [
        ("API Gateway may not ask", drop(GATEWAY)),
        ("AppSync may not ask", drop(APPSYNC)),
        ("any account's APIs may ask", drop(GATEWAY, "Properties", "SourceArn")),
        ("any account's GraphQL APIs may ask", drop(APPSYNC, "Properties", "SourceArn")),
        ("another account's may ask", source(GATEWAY, f"arn:{HERE}:*:*/authorizers/*")),
        ("any route may call it", source(GATEWAY, f"arn:{HERE}:" + "${AWS::AccountId}:*/*")),
        ("only this stack's API may ask", source(GATEWAY, f"arn:{HERE}:" + "${AWS::AccountId}:${Api}/authorizers/*")),
        ("anybody may ask", put(GATEWAY, "Properties", "Principal", "*")),
        ("it may be changed", put(GATEWAY, "Properties", "Action", "lambda:*")),
        ("the permission is for another", put(GATEWAY, "Properties", "FunctionName", {"Fn::GetAtt": [ENSURE, "Arn"]})),
    ],
    checks_authorizer.check_authorizer_is_found: [
        ("the output is a name", output({"Ref": "AuthorizerFunction"})),
        ("the output is another's", output({"Fn::GetAtt": [ENSURE, "Arn"]})),
        ("no stack can import the ARN", lambda t: t["Outputs"]["AuthorizerFunctionArn"].pop("Export", None)),
        ("a second stack cannot be deployed", export("rollcall-AuthorizerFunctionArn")),
    ],
    checks.check_permissions: [
        ("the authorizer reads Profiles", put(*STATEMENTS, sid("Caller"), "Resource", {"Fn::GetAtt": ["ProfilesTable", "Arn"]})),
        ("the authorizer lists", put(*STATEMENTS, sid("Caller"), "Action", ["dynamodb:BatchGetItem", "dynamodb:Query"])),
        ("the authorizer reads nothing", drop(*STATEMENTS, sid("Caller"))),
    ],
    checks.check_environment: [
        (
            "the authorizer gets the secret",
            put("AuthorizerFunction", "Properties", "Environment", "Variables", "ROLLCALL_SECRET_ARN", {"Ref": "SecretArn"}),
        ),
        (
            "the authorizer knows no mirror",
            put("AuthorizerFunction", "Properties", "Environment", "Variables", "MIRROR", "on"),
        ),
    ],
    checks_alarms.check_alarms: [
        ("a request without a token raises the alarm", put(*METRICS, 2, "Expression", "errors")),
        ("errors hidden by silence", put(*METRICS, 2, "Expression", "errors - expected")),
        ("expected errors are not subtracted", put(*METRICS, 2, "Expression", "errors - FILL(errors, 0)")),
        ("no errors without others", put(*METRICS, 2, "Expression", "FILL(errors, 0) - FILL(expected, 0)")),
        ("all failures are taken off", put(*METRICS, 1, "MetricStat", "Metric", "MetricName", "Failures")),
        ("the mean of what is taken off", put(*METRICS, 1, "MetricStat", "Stat", "Average")),
        ("an hour of what is taken off", put(*METRICS, 1, "MetricStat", "Period", 3600)),
        ("one period is enough", put("AuthorizerErrors", "Properties", "DatapointsToAlarm", 1)),
    ],
    checks_alarms.check_alarms_have_data: [
        ("another function's metric is subtracted", put(*METRICS, 1, *FUNCTION_OF, {"Ref": ENSURE})),
        ("a misspelt metric is taken off", put(*METRICS, 1, "MetricStat", "Metric", "MetricName", "UnauthorisedErrors")),
    ],
}

MISTAKES = [(name, check, *how) for check, mistakes in BY_CHECK.items() for name, *how in mistakes]
