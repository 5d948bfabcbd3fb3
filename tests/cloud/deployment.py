"""template.yaml deployed: packaged and created as `sam deploy` does it, and its API given the routes that it names."""

import os
import platform
import re
import zipfile
from io import BytesIO

from processes import ROOT
from waits import until

FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/Cargo.toml"))
# What the names of everything that belongs to a function begin with, such as `Webhook`.
NAMES = re.findall(r"^  (\w+)Function:\n    Type: AWS::Serverless::Function$", (ROOT / "template.yaml").read_text(), re.MULTILINE)
assert len(NAMES) == len(FUNCTIONS), f"{NAMES} are not {FUNCTIONS}"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}[platform.machine()]
BINARIES = ROOT / os.environ.get("ROLLCALL_BINARIES", f"target/lambda/{ARCHITECTURE}")
# CloudFormation takes no longer template from a request itself.
BUCKET = "deployment"


def package(aws):
    """Uploads the functions, and the template that names where they are. Answers with the template's URL."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    template = (ROOT / "template.yaml").read_text()
    for function in FUNCTIONS:
        local = f"CodeUri: functions/{function}\n"
        assert template.count(local) == 1, f"template.yaml has another CodeUri than {local}"
        template = template.replace(local, f"CodeUri: s3://{BUCKET}/{function}.zip\n")
        s3.put_object(Bucket=BUCKET, Key=f"{function}.zip", Body=zipped(BINARIES / function / "bootstrap"))
    s3.put_object(Bucket=BUCKET, Key="template.yaml", Body=template.encode())
    return f"{aws.url}/{BUCKET}/template.yaml"


def zipped(binary):
    """A function's deployment package: the binary, executable, and nothing else."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        package.writestr(entry, binary.read_bytes())
    return buffer.getvalue()


def create(aws, name, template_url, parameters):
    """Creates a stack by a change set. Answers with its outputs."""
    cloudformation = aws.client("cloudformation")
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName="create",
        ChangeSetType="CREATE",
        TemplateURL=template_url,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": str(it)} for key, it in parameters.items()],
    )

    def made():
        change_set = cloudformation.describe_change_set(StackName=name, ChangeSetName="create")
        assert change_set["Status"] == "CREATE_COMPLETE", change_set.get("StatusReason")
        return True

    until("the change set is made", made)
    cloudformation.execute_change_set(StackName=name, ChangeSetName="create")

    def stands():
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return not stack["StackStatus"].endswith("_IN_PROGRESS") and stack

    stack = until(f"the stack {name} is created", stands, 60)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failed = [
            f"{it['LogicalResourceId']}: {it.get('ResourceStatusReason')}"
            for it in events
            if it["ResourceStatus"].endswith("_FAILED")
        ]
        raise AssertionError(f"{name} is {stack['StackStatus']}: {failed}")
    return {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}


def route(aws, name, resources, **authorization):
    """Makes the API's routes by its OpenAPI document, which MiniStack keeps and does not follow. `authorization` says who
    is asked about each request."""
    api = aws.client("apigatewayv2")
    # As CloudFormation deployed it, after SAM's transform.
    template = aws.client("cloudformation").get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    document = template["Resources"]["Api"]["Properties"]["Body"]
    for path, methods in document["paths"].items():
        # The webhook's, which is there unless its path has a part that nobody can guess; no stack here has one.
        methods = methods["Fn::If"][2] if "Fn::If" in methods else methods
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            function = re.search(r"\$\{(\w+)\.Arn\}", integration["uri"]["Fn::Sub"])[1]
            configuration = aws.client("lambda").get_function_configuration(FunctionName=resources[function])
            created = api.create_integration(
                ApiId=resources["Api"],
                IntegrationType="AWS_PROXY",
                IntegrationUri=configuration["FunctionArn"],
                PayloadFormatVersion=integration["payloadFormatVersion"],
            )
            api.create_route(
                ApiId=resources["Api"],
                RouteKey=f"{method.upper()} {path}",
                Target=f"integrations/{created['IntegrationId']}",
                **authorization,
            )
