"""docs/examples/own-tables deployed beside Rollcall: an application whose users reach their own rows only."""

import zipfile
from io import BytesIO

import deployment
from apis import invocation
from processes import AUTHORITY, ROOT
from roles import Holder, credentials

EXAMPLE = ROOT / "docs" / "examples" / "own-tables"
BUCKET = "own-tables"
OUTPUTS = ["AuthorizerFunctionArn", "DirectoryTable", "ProfilesTable"]
# A function that takes the partition from the request, which is the mistake that the role is there for.
CARELESS = """
import json
import os

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

import tasks

def handler(event, context):
    caller = event["requestContext"]["authorizer"]["lambda"]["user_id"]
    table = tasks.as_user(caller).Table(os.environ["TASKS_TABLE"])
    try:
        found = table.query(KeyConditionExpression=Key("user_id").eq(event["queryStringParameters"]["of"]))["Items"]
    except ClientError as error:
        return {"statusCode": 403, "body": error.response["Error"]["Code"]}
    return {"statusCode": 200, "body": json.dumps([it["text"] for it in found])}
"""


class Application:
    """The example, with what its functions need here and not on AWS: where the local AWS is, and whom to trust."""

    def __init__(self, stack, name):
        self.aws, self.name, self.rollcall = stack.aws, name, stack
        parameters = {it: stack.outputs[it] for it in OUTPUTS}
        self.outputs = deployment.create(self.aws, name, self._package(), parameters)
        resources = self.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
        self.table = self.aws.dynamodb().Table(self.resources["TasksTable"])
        self.environment = {
            **self._function("TasksFunction")["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_CA_BUNDLE": str(AUTHORITY),
        }
        self.client("lambda").update_function_configuration(
            FunctionName=self.resources["TasksFunction"], Environment={"Variables": self.environment}
        )
        self.authorization = {"AuthorizationType": "CUSTOM", "AuthorizerId": self._authorizer()}
        deployment.route(self.aws, name, self.resources, **self.authorization)
        self._add_careless()
        self.function = Holder(self.aws, credentials(self, "TasksFunctionRole"))

    def client(self, service):
        """A client with all rights."""
        return self.aws.client(service)

    def url(self, path):
        """Where its API answers."""
        return f"{self.aws.url}/_aws/execute-api/{self.resources['Api']}/$default{path}"

    def data_role(self):
        """The ARN of the role that the function assumes for its caller."""
        return self.client("iam").get_role(RoleName=self.resources["TasksDataRole"])["Role"]["Arn"]

    def session(self, caller, *tags, role=None):
        """The credentials that somebody gets who assumes a role, by default that of the data, with these tags."""
        found = self.aws.client("sts", caller.credentials).assume_role(
            RoleArn=role or self.data_role(),
            RoleSessionName="somebody",
            Tags=[{"Key": key, "Value": value} for key, value in tags],
        )["Credentials"]
        return Holder(self.aws, (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))

    def user(self, user_id):
        """A user's session, as the function opens it."""
        return self.session(self.function, ("user_id", user_id))

    def _package(self):
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="tasks.zip", Body=zipped())
        template = (EXAMPLE / "template.yaml").read_text()
        # Neither where the code lies nor the processor is the matter here.
        for written, here in [
            ("CodeUri: .\n", f"CodeUri: s3://{BUCKET}/tasks.zip\n"),
            ("Architectures: [arm64]\n", f"Architectures: [{deployment.ARCHITECTURE}]\n"),
        ]:
            assert template.count(written) == 1, written
            template = template.replace(written, here)
        s3.put_object(Bucket=BUCKET, Key="template.yaml", Body=template.encode())
        return f"{self.aws.url}/{BUCKET}/template.yaml"

    def _function(self, logical):
        return self.client("lambda").get_function_configuration(FunctionName=self.resources[logical])

    def _authorizer(self):
        """The authorizer that the template names, which MiniStack does not make of the API's document either."""
        processed = self.client("cloudformation").get_template(StackName=self.name, TemplateStage="Processed")
        document = processed["TemplateBody"]["Resources"]["Api"]["Properties"]["Body"]
        assert all(it["get"]["security"] == [{"Rollcall": []}] for it in document["paths"].values())
        named = document["components"]["securitySchemes"]["Rollcall"]["x-amazon-apigateway-authorizer"]
        return self.client("apigatewayv2").create_authorizer(
            ApiId=self.resources["Api"],
            Name="Rollcall",
            AuthorizerType=named["type"].upper(),
            AuthorizerUri=invocation(self.rollcall.outputs["AuthorizerFunctionArn"]),
            AuthorizerPayloadFormatVersion=named["authorizerPayloadFormatVersion"],
            EnableSimpleResponses=named["enableSimpleResponses"],
            AuthorizerResultTtlInSeconds=named["authorizerResultTtlInSeconds"],
            IdentitySource=named["identitySource"],
        )["AuthorizerId"]

    def _add_careless(self):
        """Adds the careless function to the API, in the same role."""
        role = self.client("iam").get_role(RoleName=self.resources["TasksFunctionRole"])["Role"]["Arn"]
        arn = self.client("lambda").create_function(
            FunctionName=f"{self.name}-careless",
            Runtime="python3.13",
            Handler="careless.handler",
            Role=role,
            Code={"ZipFile": zipped(careless=CARELESS)},
            Environment={"Variables": self.environment},
        )["FunctionArn"]
        api = {"ApiId": self.resources["Api"]}
        integration = self.client("apigatewayv2").create_integration(
            **api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        self.client("apigatewayv2").create_route(
            **api, RouteKey="GET /careless", Target=f"integrations/{integration}", **self.authorization
        )


def zipped(**further):
    """The example's code, and further modules."""
    code = BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.write(EXAMPLE / "tasks.py", "tasks.py")
        for name, text in further.items():
            package.writestr(f"{name}.py", text)
    return code.getvalue()
