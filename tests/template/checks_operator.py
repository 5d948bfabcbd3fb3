"""What the operator's commands find in the stack: the function whose settings they use, and the release. What the example
of the operators' policies takes from it."""

import re
import tomllib
from functools import lru_cache

from samcli.yamlhelper import yaml_parse

from checks import same, target
from translated import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "operators" / "template.yaml"
# What the example takes from the operators themselves.
OF_OPERATORS = {"RollcallStack", "MigrationReadTableArns", "MigrationWriteTableArns"}


def check_operator_outputs(template):
    """`rollcall --stack` reads the reconcile function's environment, and compares its own release."""
    outputs = {name: it["Value"] for name, it in template["Outputs"].items()}
    release = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    same("release", outputs.get("Version"), release)
    same("function", target(outputs.get("ReconcileFunction")), "ReconcileFunction")
    same("state machine", target(outputs.get("ReconcileStateMachine")), "ReconcileStateMachine")


def check_operator_policies(template):
    """The example names outputs and parameters of the stack, and the stack has them."""
    taken = re.findall(r"The (output|parameter) (\w+) of Rollcall's stack", example())
    for kind, name in taken:
        assert name in template[f"{kind}s".title()], f"the stack has no {kind} {name}"
    same("parameters", set(yaml_parse(example())["Parameters"]), {name for _, name in taken} | OF_OPERATORS)


@lru_cache(maxsize=1)
def example():
    """The template of the policies."""
    return EXAMPLE.read_text()
