"""What must hold of the authorizer, as in checks.py: which APIs may call it, and where they find it."""

from checks import same, target
from functions import AUTHORIZER
from translated import properties

# Who asks, and for which APIs: all of this account and region, and no others.
HERE = "${AWS::Region}:${AWS::AccountId}"
CALLERS = {
    ("apigateway.amazonaws.com", "arn:${AWS::Partition}:execute-api:" + HERE + ":*/authorizers/*"),
    ("appsync.amazonaws.com", "arn:${AWS::Partition}:appsync:" + HERE + ":apis/*"),
}


def check_authorizer_callers(resources):
    """APIs may call it as their authorizer, and nobody else may call it at all."""
    permissions = properties(resources, "AWS::Lambda::Permission").values()
    ours = [it for it in permissions if target(it.get("FunctionName")) == f"{AUTHORIZER}.Arn"]
    same("actions", {it.get("Action") for it in ours}, {"lambda:InvokeFunction"})
    callers = [(it.get("Principal"), target(it.get("SourceArn"))) for it in ours]
    same("callers of the authorizer", sorted(callers), sorted(CALLERS))
    further = {name for it in ours for name in it} - {"FunctionName", "Action", "Principal", "SourceArn"}
    same("further conditions", further, set())


def check_authorizer_is_found(template):
    """Other stacks read its ARN from an output."""
    same("output", target(template["Outputs"]["AuthorizerFunctionArn"]["Value"]), f"{AUTHORIZER}.Arn")
