"""docs/examples/operators deployed beside Rollcall's stack, and people with its policies."""

import deployment
from processes import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "operators" / "template.yaml"
OUTPUTS = ["DirectoryTable", "ProfilesTable", "OperationsTable", "BackupBucket", "ReconcileStateMachine"]


def deployed(stack, name, **parameters):
    """The example as a stack with this name: the ARN of each policy."""
    s3 = stack.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="template.yaml", Body=EXAMPLE.read_bytes())
    usual = {it: stack.outputs[it] for it in OUTPUTS} | {"RollcallStack": stack.name, "SecretArn": stack.secret}
    return deployment.create(stack.aws, name, f"{stack.aws.url}/{name}/template.yaml", usual | parameters)


def person(stack, policies, name, *attached):
    """Somebody with these policies: the access key."""
    iam = stack.client("iam")
    iam.create_user(UserName=name)
    for policy in attached:
        iam.attach_user_policy(UserName=name, PolicyArn=policies[policy])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]
