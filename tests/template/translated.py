"""template.yaml as CloudFormation sees it: translated by SAM itself, without a network and without AWS."""

import json
import os
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
    return yaml_parse((ROOT / "template.yaml").read_text())


def translate(template):
    """The resources that `template` becomes."""
    template = json.loads(json.dumps(template))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {}, NoManagedPolicies())["Resources"]


def of_type(resources, kind):
    """The resources of one CloudFormation type, by logical id."""
    return {name: it for name, it in resources.items() if it["Type"] == kind}


def properties(resources, kind):
    """Their properties, by logical id."""
    return {name: it.get("Properties", {}) for name, it in of_type(resources, kind).items()}
