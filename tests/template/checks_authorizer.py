"""Checks of the authorizer, as in checks.py: which APIs may call it, and which output contains its ARN."""

from checks import same, target
from functions import AUTHORIZER
from translated import properties

# The services that may call the authorizer, and for which APIs: only those of this account and region.
HERE = "${AWS::Region}:${AWS::AccountId}"
CALLERS = {
    ("apigateway.amazonaws.com", "arn:${AWS::Partition}:execute-api:" + HERE + ":*/authorizers/*"),
    ("appsync.amazonaws.com", "arn:${AWS::Partition}:appsync:" + HERE + ":apis/*"),
}


def check_authorizer_callers(resources):
    """APIs may call the authorizer as their authorizer. No other caller is allowed."""
    permissions = properties(resources, "AWS::Lambda::Permission").values()
    ours = [it for it in permissions if target(it.get("FunctionName")) == f"{AUTHORIZER}.Arn"]
    same("actions", {it.get("Action") for it in ours}, {"lambda:InvokeFunction"})
    callers = [(it.get("Principal"), target(it.get("SourceArn"))) for it in ours]
    same("callers of the authorizer", sorted(callers), sorted(CALLERS))
    further = {name for it in ours for name in it} - {"FunctionName", "Action", "Principal", "SourceArn"}
    same("further conditions", further, set())


def check_authorizer_is_found(template):
    """Other stacks read the ARN of the authorizer from an output."""
    output = template["Outputs"]["AuthorizerFunctionArn"]
    same("output", target(output["Value"]), f"{AUTHORIZER}.Arn")
    # By name, and several stacks of one account and region each have their own.
    same("export", target(output.get("Export", {}).get("Name")), "${AWS::StackName}-AuthorizerFunctionArn")
