"""Mistakes in what the operator's commands find in the stack."""

import checks_operator
from mistakes_react import output

MISTAKES = [
    ("no release", checks_operator.check_operator_outputs, lambda t: t["Outputs"].pop("Version")),
    ("another release", checks_operator.check_operator_outputs, output("Version", "9.0.0")),
    ("no settings", checks_operator.check_operator_outputs, lambda t: t["Outputs"].pop("ReconcileFunction")),
    ("the settings of react", checks_operator.check_operator_outputs, output("ReconcileFunction", {"Ref": "React"})),
    ("no executions", checks_operator.check_operator_outputs, lambda t: t["Outputs"].pop("ReconcileStateMachine")),
    ("policies without an output", checks_operator.check_operator_policies, lambda t: t["Outputs"].pop("BackupBucket")),
    ("policies without a secret", checks_operator.check_operator_policies, lambda t: t["Parameters"].pop("SecretArn")),
]
