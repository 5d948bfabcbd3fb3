"""template.yaml, deployed: packaged as `sam deploy` does it, created by CloudFormation, and where its parts are."""

import json
import os
import platform
import re
import zipfile
from datetime import datetime, timezone
from io import BytesIO

import requests

from aws import OWNER, Aws
from processes import AUTHORITY, ROOT
from waits import until

TABLES = ["DirectoryTable", "ProfilesTable", "OperationsTable"]
FUNCTIONS = ["webhook", "ensure-profile", "reconcile", "react"]
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}[platform.machine()]
BINARIES = ROOT / os.environ.get("ROLLCALL_BINARIES", f"target/lambda/{ARCHITECTURE}")
# CloudFormation takes no longer template from a request itself.
BUCKET = "deployment"
# In ms.
HOUR = 3_600_000


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


class Stack:
    """A stack that stands, with its tables, functions, queues and its API."""

    def __init__(self, aws: Aws, name, template_url, clerk, parameters, stand_in=None):
        self.aws = aws
        self.name = name
        self.clerk = clerk
        self.secret = aws.client("secretsmanager").create_secret(
            Name=f"{name}-clerk",
            SecretString=json.dumps(
                {"CLERK_SECRET_KEY": clerk.secret_key, "CLERK_WEBHOOK_SECRET": stand_in or clerk.webhook_secret}
            ),
        )["ARN"]
        self.parameters = {
            "ClerkInstanceId": clerk.instance_id,
            "ClerkApiUrl": clerk.url,
            "ClerkIssuer": clerk.issuer,
            "SecretArn": self.secret,
            "AllowedOrigins": clerk.front_end,
            "Architecture": ARCHITECTURE,
            "AwsEndpointUrl": aws.url,
            # The emulator has no limit.
            "ClerkRateShare": 100,
            # Nothing starts by itself where a test does not want it to.
            "ReconcileState": "DISABLED",
            **parameters,
        }
        self._deploy(template_url)
        resources = aws.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
        self._route()

    def _deploy(self, template_url):
        """By a change set, as `sam deploy` does it."""
        cloudformation = self.aws.client("cloudformation")
        cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName="create",
            ChangeSetType="CREATE",
            TemplateURL=template_url,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": str(it)} for key, it in self.parameters.items()],
        )

        def status():
            return cloudformation.describe_change_set(StackName=self.name, ChangeSetName="create")["Status"]

        until("the change set is made", lambda: status() in ("CREATE_COMPLETE", "FAILED"))
        cloudformation.execute_change_set(StackName=self.name, ChangeSetName="create")

        def stands():
            stack = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
            return not stack["StackStatus"].endswith("_IN_PROGRESS") and stack

        stack = until(f"the stack {self.name} is created", stands, 60)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
            failed = [
                f"{it['LogicalResourceId']}: {it.get('ResourceStatusReason')}"
                for it in events
                if it["ResourceStatus"].endswith("_FAILED")
            ]
            raise AssertionError(f"{self.name} is {stack['StackStatus']}: {failed}")
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    def _route(self):
        """Makes the API's routes by its OpenAPI document, which MiniStack keeps and does not follow."""
        api = self.aws.client("apigatewayv2")
        document = self.template()["Resources"]["Api"]["Properties"]["Body"]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                integration = operation["x-amazon-apigateway-integration"]
                function = re.search(r"\$\{(\w+)\.Arn\}", integration["uri"]["Fn::Sub"])[1]
                created = api.create_integration(
                    ApiId=self.resources["Api"],
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=self.arn(function),
                    PayloadFormatVersion=integration["payloadFormatVersion"],
                )
                api.create_route(
                    ApiId=self.resources["Api"],
                    RouteKey=f"{method.upper()} {path}",
                    Target=f"integrations/{created['IntegrationId']}",
                )

    def template(self):
        """The template as CloudFormation deployed it, after SAM's transform."""
        template = self.aws.client("cloudformation").get_template(StackName=self.name, TemplateStage="Processed")
        return template["TemplateBody"]

    # Where the parts are.

    def url(self, path):
        """Where the API answers. On AWS it would be the output `ApiUrl`, whose host MiniStack does not serve."""
        return f"{self.aws.url}/_aws/execute-api/{self.resources['Api']}/$default{path}"

    @property
    def webhook_url(self):
        """The endpoint that Clerk delivers to: the output `WebhookUrl`."""
        return self.url("/webhooks/clerk")

    def function(self, logical):
        """What Lambda says of a function."""
        return self.aws.client("lambda").get_function_configuration(FunctionName=self.resources[logical])

    def arn(self, logical):
        """The ARN of a function."""
        return self.function(logical)["FunctionArn"]

    def client(self, service):
        """A client with all rights."""
        return self.aws.client(service)

    def rows(self, table):
        """All rows of one of the three tables, by (pk, sk)."""
        pages = self.resource().Table(self.outputs[table]).scan(ConsistentRead=True)
        assert "LastEvaluatedKey" not in pages, f"{table} has more rows than a page"
        return {(row["pk"], row["sk"]): row for row in pages["Items"]}

    def all_rows(self):
        """All rows of all three tables."""
        return {table: self.rows(table) for table in TABLES}

    def user(self, clerk_user_id):
        """The row of a user in the Directory, found by Clerk's id."""
        rows = [it for it in self.rows("DirectoryTable").values() if it["sk"] == "USER"]
        return next((it for it in rows if it.get("clerk_user_id") == clerk_user_id), None)

    def stream(self):
        """The records of the Directory's stream from its beginning, as Lambda hands them over."""
        streams = self.client("dynamodbstreams")
        arn = streams.list_streams(TableName=self.outputs["DirectoryTable"])["Streams"][0]["StreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        for record in records:
            change = record["dynamodb"]
            change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
        return records

    def row(self, table, pk, sk):
        """One row, or None."""
        key = {"pk": pk, "sk": sk}
        return self.resource().Table(self.outputs[table]).get_item(Key=key, ConsistentRead=True).get("Item")

    def ended_row(self, table, pk, sk):
        """One row once it has ended."""
        row = self.row(table, pk, sk)
        return row if row and "deleted_at" in row else None

    def set(self, row, attribute, value):
        """Changes an attribute of a row of the Directory behind Rollcall's back, so that time has passed."""
        self.resource().Table(self.outputs["DirectoryTable"]).update_item(
            Key={"pk": row["pk"], "sk": row["sk"]},
            UpdateExpression="SET #it = :it",
            ExpressionAttributeNames={"#it": attribute},
            ExpressionAttributeValues={":it": value},
        )

    def let_pass(self, hours, tombstone, note):
        """Makes the deletion of a user, and the note that the user's data are due, older by some hours."""
        earlier = {it: int(note[it]) - hours * HOUR for it in ("applied_at", "due_at")}
        self.set(tombstone, "applied_at", earlier["applied_at"])
        # Notes are kept by the full hour after they are due.
        due = datetime.fromtimestamp(-(-earlier["due_at"] // HOUR) * HOUR / 1000, timezone.utc)
        table = self.resource().Table(self.outputs["OperationsTable"])
        table.put_item(Item={**note, **earlier, "pk": f"PURGE#{due:%Y-%m-%dT%H}"})
        table.delete_item(Key={"pk": note["pk"], "sk": note["sk"]})

    def resource(self):
        """DynamoDB with values as Python has them."""
        return self.aws.dynamodb()

    def log(self, logical):
        """The lines of a function's log group that are JSON objects, the oldest first."""
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.resources[logical])
        lines = []
        for page in pages:
            for event in page["events"]:
                try:
                    line = json.loads(event["message"])
                except ValueError:
                    continue
                if isinstance(line, dict):
                    lines.append(line)
        return lines

    def messages(self, queue):
        """What has come to a queue and was not taken before."""
        taken = self.client("sqs").receive_message(
            QueueUrl=self.outputs.get(queue, queue), MaxNumberOfMessages=10, WaitTimeSeconds=0
        )
        return [json.loads(it["Body"]) for it in taken.get("Messages", [])]

    def invoke(self, logical, payload):
        """Calls a function, and answers with what it answers."""
        answer = self.client("lambda").invoke(
            FunctionName=self.resources[logical], Payload=json.dumps(payload).encode()
        )
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def deny(self, role, *actions):
        """Takes something away from a role, as an operator may do by mistake: a Deny beside what the template allows."""
        statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
        self.client("iam").put_role_policy(
            RoleName=self.resources[role],
            PolicyName="denied",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def allow_again(self, role):
        """Gives it back."""
        self.client("iam").delete_role_policy(RoleName=self.resources[role], PolicyName="denied")

    def put_secret(self, **changes):
        """Puts new values into the secret, as an operator does it who rotates."""
        secrets = self.client("secretsmanager")
        stored = json.loads(secrets.get_secret_value(SecretId=self.secret)["SecretString"])
        secrets.put_secret_value(SecretId=self.secret, SecretString=json.dumps({**stored, **changes}))

    def reconcile(self, order=None):
        """Starts an execution by hand and waits for its end. Answers with its state and its output."""
        execution = self.start(order)
        return self.ended(execution)

    def start(self, order=None):
        """Starts an execution by hand."""
        return self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["ReconcileStateMachine"], input=json.dumps(order or {})
        )["executionArn"]

    def ended(self, execution, seconds=60):
        """Waits for the end of an execution."""

        def end():
            it = self.client("stepfunctions").describe_execution(executionArn=execution)
            return it["status"] != "RUNNING" and it

        return until(f"the execution {execution} ends", end, seconds)

    def post(self, path, token=None, **options):
        """A front end's request to the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return requests.post(self.url(path), headers=headers, timeout=20, verify=AUTHORITY, **options)

    def get(self, path, **options):
        """A browser's request to the API, which does not follow where it is sent."""
        return requests.get(self.url(path), timeout=20, verify=AUTHORITY, allow_redirects=False, **options)

    def store_requests(self):
        """What the functions have asked DynamoDB for about the tables of this stack, the oldest first, as CloudTrail saw it."""
        pages = self.client("cloudtrail").get_paginator("lookup_events").paginate(
            LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": "dynamodb.amazonaws.com"}]
        )
        events = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]
        tables = [self.outputs[it] for it in TABLES]

        def is_ours(event):
            by_owner = event["userIdentity"]["accessKeyId"] == OWNER[0]
            return not by_owner and any(table in json.dumps(event["requestParameters"]) for table in tables)

        return [event["eventName"] for event in reversed(events) if is_ours(event)]
