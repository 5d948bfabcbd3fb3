"""template.yaml as CloudFormation deploys it: translated by SAM itself, its conditions resolved, without a network and
without AWS.
"""

import json
import math
import os
import re
from functools import lru_cache
from pathlib import Path

# The translator asks boto3 for a region; which one does not matter here.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parents[2]


class NoManagedPolicies:
    """No role here takes a policy of AWS's, so there are no names of such policies to look up."""

    def load(self):
        return {}


def source():
    """template.yaml as it is written, in a fresh copy that may be changed."""
    return json.loads(parsed())


@lru_cache(maxsize=1)
def parsed():
    """It as JSON, which is read much faster."""
    return json.dumps(yaml_parse((ROOT / "template.yaml").read_text()))


def translate(template, parameters):
    """The resources that `template` becomes where it is deployed with `parameters`, by name, and defaults for the rest.

    References stay as they are, those to parameters included: they say where a value comes from.
    """
    template = transformed(json.dumps(template))
    given = values(template, parameters)
    conditions = {name: holds(it, given, template["Conditions"]) for name, it in template["Conditions"].items()}
    resources = resolve(template["Resources"], conditions)
    return {name: it for name, it in resources.items() if conditions.get(it.get("Condition"), True)}


@lru_cache(maxsize=1)
def transformed(template):
    """What SAM makes of a template, which is the same for all parameters."""
    template = json.loads(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {}, NoManagedPolicies())


def refusals(template, parameters):
    """What CloudFormation answers to whoever deploys `template` with `parameters` against its rules."""
    given = values(template, parameters)
    rules = [rule for rule in template.get("Rules", {}).values() if holds(rule.get("RuleCondition", ALWAYS), given)]
    assertions = [assertion for rule in rules for assertion in rule["Assertions"]]
    return [it["AssertDescription"] for it in assertions if not holds(it["Assert"], given)]


def takes(parameter, value):
    """Whether CloudFormation takes a value for a parameter."""
    if parameter["Type"] == "Number":
        return parameter["MinValue"] <= int(value) <= parameter.get("MaxValue", math.inf)
    if "AllowedValues" in parameter:
        return value in parameter["AllowedValues"]
    fits = len(value) <= parameter.get("MaxLength", math.inf)
    return fits and bool(re.fullmatch(parameter["AllowedPattern"], value))


def values(template, parameters):
    """What each parameter is: what is given, else its default, else nothing."""
    if not parameters.keys() <= template["Parameters"].keys():
        # Not an AssertionError: a test that expects a check to fail must not take this for it.
        raise ValueError(f"{parameters} are not all parameters of the template")
    return {name: it.get("Default") for name, it in template["Parameters"].items()} | parameters


ALWAYS = {"Fn::Equals": ["", ""]}


def holds(condition, given, named=None):
    """Whether a condition holds for these values of the parameters; `named` are the conditions that it may name."""
    match condition:
        case {"Fn::Equals": [one, other]}:
            return value(one, given) == value(other, given)
        case {"Fn::Not": [one]}:
            return not holds(one, given, named)
        case {"Fn::And": many}:
            return all(holds(one, given, named) for one in many)
        case {"Fn::Or": many}:
            return any(holds(one, given, named) for one in many)
        case {"Condition": name} if named:
            return holds(named[name], given, named)
    raise NotImplementedError(f"this condition is not understood yet: {condition!r}")


def value(operand, given):
    """The text that a condition compares."""
    match operand:
        case str():
            return operand
        case {"Ref": parameter}:
            return str(given[parameter])
        case {"Fn::Join": [str(separator), {"Ref": parameter}]}:
            return separator.join(given[parameter].split(","))
    raise NotImplementedError(f"this operand is not understood yet: {operand!r}")


ABSENT = {"Ref": "AWS::NoValue"}


def resolve(it, conditions):
    """A part of the template after the decision of each `Fn::If` in it; what is to have no value is gone."""
    match it:
        case {"Fn::If": [condition, then, otherwise]}:
            return resolve(then if conditions[condition] else otherwise, conditions)
        case dict() if it != ABSENT:
            resolved = {name: resolve(one, conditions) for name, one in it.items()}
            return {name: one for name, one in resolved.items() if one != ABSENT}
        case list():
            return [one for one in (resolve(one, conditions) for one in it) if one != ABSENT]
    return it


def of_type(resources, kind):
    """The resources of one CloudFormation type, by logical id."""
    return {name: it for name, it in resources.items() if it["Type"] == kind}


def properties(resources, kind):
    """Their properties, by logical id."""
    return {name: it.get("Properties", {}) for name, it in of_type(resources, kind).items()}
