"""A stack that stands: its tables, functions, queues and its API, and what is done to them from outside."""

import json
from datetime import datetime, timezone

import requests

import deployment
from aws import OWNER, Aws
from processes import AUTHORITY
from waits import until

TABLES = ["DirectoryTable", "ProfilesTable", "OperationsTable"]
# In ms.
HOUR = 3_600_000


class Stack:
    """A stack with a Clerk."""

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
            "Architecture": deployment.ARCHITECTURE,
            "AwsEndpointUrl": aws.url,
            # The emulator has no limit.
            "ClerkRateShare": 100,
            # Nothing starts by itself where a test does not want it to.
            "ReconcileState": "DISABLED",
            **parameters,
        }
        self.outputs = deployment.create(aws, name, template_url, self.parameters)
        resources = aws.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
        deployment.route(aws, name, self.resources)

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

    def stream_arn(self):
        """The ARN of the Directory's stream."""
        table = self.client("dynamodb").describe_table(TableName=self.outputs["DirectoryTable"])
        return table["Table"]["LatestStreamArn"]

    def stream(self):
        """The records of the Directory's stream from its beginning, as Lambda hands them over."""
        streams = self.client("dynamodbstreams")
        arn = self.stream_arn()
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

    def queue_arn(self, queue):
        """The ARN of a queue."""
        attributes = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=["QueueArn"])
        return attributes["Attributes"]["QueueArn"]

    def role_allows(self, role, action, resource):
        """What IAM's simulator says of an action in a role."""
        iam = self.client("iam")
        arn = iam.get_role(RoleName=self.resources[role])["Role"]["Arn"]
        simulated = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource])
        return {it["EvalDecision"] for it in simulated["EvaluationResults"]} == {"allowed"}

    def invoke(self, logical, payload):
        """Calls a function, and answers with what it answers."""
        answer = self.client("lambda").invoke(
            FunctionName=self.resources[logical], Payload=json.dumps(payload).encode()
        )
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def deny(self, role, *actions):
        """Takes something away from a role, as an operator may by mistake: a Deny beside what the template allows."""
        self._attach(role, {"Effect": "Deny", "Action": actions, "Resource": "*"})

    def allow(self, role, action, resource):
        """Gives a role something more."""
        self._attach(role, {"Effect": "Allow", "Action": action, "Resource": resource})

    def _attach(self, role, statement):
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("iam").put_role_policy(RoleName=self.resources[role], PolicyName="beside", PolicyDocument=document)

    def allow_again(self, role):
        """Leaves it with what the template allows."""
        self.client("iam").delete_role_policy(RoleName=self.resources[role], PolicyName="beside")

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

    def send(self, method, path, token=None, **options):
        """A front end's request to the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        url, more = self.url(path), {"timeout": 20, "verify": AUTHORITY, "allow_redirects": False}
        return requests.request(method, url, headers=headers, **more, **options)

    def post(self, path, token=None, **options):
        """The same, with POST."""
        return self.send("POST", path, token, **options)

    def get(self, path, **options):
        """A browser's request to the API, which does not follow where it is sent."""
        return requests.get(self.url(path), timeout=20, verify=AUTHORITY, allow_redirects=False, **options)

    def store_requests(self):
        """What the functions have asked DynamoDB for about this stack's tables, oldest first, by CloudTrail."""
        pages = self.client("cloudtrail").get_paginator("lookup_events").paginate(
            LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": "dynamodb.amazonaws.com"}]
        )
        events = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]
        tables = [self.outputs[it] for it in TABLES]

        def is_ours(event):
            by_owner = event["userIdentity"]["accessKeyId"] == OWNER[0]
            return not by_owner and any(table in json.dumps(event["requestParameters"]) for table in tables)

        return [event["eventName"] for event in reversed(events) if is_ours(event)]


def without_react(stack):
    """The stack, whose react is not handed anything from now on."""
    mapping = stack.resources["ReactFunctionDirectory"]
    stack.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=False)
    return stack
