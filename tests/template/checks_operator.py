"""What the operator's commands find in the stack: the function whose settings they use, and the release."""

import tomllib

from checks import same, target
from translated import ROOT


def check_operator_outputs(template):
    """`rollcall --stack` reads the reconcile function's environment, and compares its own release."""
    outputs = {name: it["Value"] for name, it in template["Outputs"].items()}
    release = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    same("release", outputs.get("Version"), release)
    same("function", target(outputs.get("ReconcileFunction")), "ReconcileFunction")
