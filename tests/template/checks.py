"""What must hold of the template as it is deployed. Each check raises AssertionError and says what is wrong.

A check names as its arguments what it looks at: the deployed `resources`, the `parameters` that they were deployed
with, the `template` itself, and the `settings` that the code declares.
"""

import json
import re
from itertools import product

from functions import AUTHORIZER, FUNCTIONS
from permissions import permissions, users, where
from policies import removes, traces
from translated import of_type, properties, refusals

# What is expected: change these together with template.yaml. What belongs to one function is in functions.py.

ROUTES = {route: name for name, it in FUNCTIONS.items() for route in it.routes}
# The webhook's, and instead of it the one of an API of its own where a part of the path is not to be guessed.
BARE, GUARDED = ("POST", "/webhooks/clerk"), ("POST", "/webhooks/clerk/${WebhookPath}")

# Each route has limits of its own: the webhook's are those of the stage, as no other route has none.
LIMITS = {"ThrottlingRateLimit": 200, "ThrottlingBurstLimit": 400}
ROUTE_LIMITS = {
    f"{method} {path}": limits for it in FUNCTIONS.values() for (method, path), limits in it.routes.items()
}

# Whose pages may read an answer, and how.
CROSS_ORIGIN = {
    "allowOrigins": {"Ref": "AllowedOrigins"},
    "allowMethods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allowHeaders": [
        *("authorization", "content-type", "if-match", "if-none-match"),
        *("baggage", "sentry-trace", "traceparent", "tracestate"),
    ],
    "allowCredentials": True,
    "exposeHeaders": ["etag", "retry-after", "accept-patch"],
    "maxAge": 7200,
}

LAMBDA = "AWS::Lambda::Function"
MACHINE = "AWS::StepFunctions::StateMachine"
SCHEDULE = "AWS::Scheduler::Schedule"

# Who may take on the role of each kind. Step Functions and Scheduler work for other accounts as well, Lambda does not.
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
TRUST = {
    LAMBDA: {"Principal": {"Service": "lambda.amazonaws.com"}},
    MACHINE: {"Principal": {"Service": "states.amazonaws.com"}, "Condition": OWN_ACCOUNT},
    SCHEDULE: {"Principal": {"Service": "scheduler.amazonaws.com"}, "Condition": OWN_ACCOUNT},
}

TIME_LIMITS = {name: it.seconds for name, it in FUNCTIONS.items()}

PRIMARY_KEY = [("pk", "HASH"), ("sk", "RANGE")]
MEMBERS = {
    "members": {
        "key": [("organization_id", "HASH"), ("user_pk", "RANGE")],
        "projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["role"]},
    }
}
TABLES = {
    "DirectoryTable": {"indexes": MEMBERS, "stream": "NEW_AND_OLD_IMAGES", "ttl": None},
    "ProfilesTable": {"indexes": {}, "stream": None, "ttl": None},
    "OperationsTable": {"indexes": {}, "stream": None, "ttl": "expires_at"},
}

# A variable holds the table or parameter that is named alike, as DIRECTORY_TABLE holds DirectoryTable, but for these.
VALUES = {
    "ROLLCALL_SECRET_ARN": {"Ref": "SecretArn"},
    "ALLOWED_ORIGINS": {
        "Fn::Join": [" ", [{"Fn::Join": [" ", {"Ref": name}]} for name in ("AllowedOrigins", "FurtherOrigins")]]
    },
}

# AWS's own SDK reads this one, whether or not the code declares it.
READ_BY_SDK = {"AWS_ENDPOINT_URL"}

# These sound like secrets. The one verifies signatures and cannot make any, the other is in every page of the application.
PUBLIC_KEYS = {"CLERK_JWT_KEY", "CLERK_PUBLISHABLE_KEY"}

# What stays when the stack goes, and what goes with it.
HOLDS_DATA = {
    "AWS::DynamoDB::Table": "Retain",
    "AWS::S3::Bucket": "Retain",
    "AWS::Logs::LogGroup": "Delete",
    "AWS::SQS::Queue": "Delete",
}

# Nothing of this says who called.
ACCESS_LOG = {
    "$context.requestId",
    "$context.requestTimeEpoch",
    "$context.routeKey",
    "$context.status",
    "$context.responseLatency",
}
# Nor of this what nobody should guess.
GUARDED_ACCESS_LOG = ACCESS_LOG - {"$context.routeKey"}


def same(what, actual, expected):
    """Fails with both values: pytest explains a bare assertion in test files only."""
    assert actual == expected, f"{what}: expected {expected!r}, found {actual!r}"


def target(value):
    """A reference as text: `Name` for Ref, `Name.Attribute` for GetAtt, what Sub fills in; anything else as JSON."""
    match value:
        case {"Ref": name}:
            return name
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
    return json.dumps(value)


def many(value):
    """CloudFormation takes one or a list nearly everywhere."""
    return value if isinstance(value, list) else [value]


def expected_routes(parameters):
    """Every route and its function, where the stack is deployed with these parameters."""
    return ROUTES | {GUARDED if parameters.get("WebhookPath") else BARE: "WebhookFunction"}


def check_routes(resources, parameters):
    """Every route reaches its function, and nothing else is reachable."""
    routes = {}
    for api in properties(resources, "AWS::ApiGatewayV2::Api").values():
        for path, methods in api.get("Body", {}).get("paths", {}).items():
            for method, operation in methods.items():
                route = (method.upper(), path)
                integration = operation.get("x-amazon-apigateway-integration", {})
                same(f"{route} integration", integration.get("type"), "aws_proxy")
                same(f"{route} payload format", integration.get("payloadFormatVersion"), "2.0")
                uri = integration.get("uri", {}).get("Fn::Sub", "")
                found = re.search(r":lambda:path/2015-03-31/functions/\$\{(\w+)\.Arn\}/invocations$", uri)
                assert found, f"{route}: {uri!r} is no function"
                routes[route] = found[1]
    integrations = properties(resources, "AWS::ApiGatewayV2::Integration")
    for name, it in properties(resources, "AWS::ApiGatewayV2::Route").items():
        method, path = target(it.get("RouteKey")).split(" ")
        of = target(it.get("Target")).removeprefix("integrations/${").removesuffix("}")
        integration = integrations.get(of, {})
        same(f"{name}: API", it.get("ApiId"), {"Ref": "WebhookApi"})
        same(f"{name}: integration's API", integration.get("ApiId"), {"Ref": "WebhookApi"})
        same(f"{name}: integration", integration.get("IntegrationType"), "AWS_PROXY")
        same(f"{name}: payload format", integration.get("PayloadFormatVersion"), "2.0")
        routes[method, path] = target(integration.get("IntegrationUri")).removesuffix(".Arn")
    expected = expected_routes(parameters)
    same("routes", routes, expected)

    callers = set()
    for name, permission in properties(resources, "AWS::Lambda::Permission").items():
        # The authorizer has no route; who calls it is looked at in checks_authorizer.py.
        if target(permission.get("FunctionName")) == f"{AUTHORIZER}.Arn":
            continue
        same(f"caller in {name}", permission.get("Principal"), "apigateway.amazonaws.com")
        arn = json.dumps(permission.get("SourceArn"))
        found = re.search(r"(\$\{\w+\})/(?:\*|\$\{__Stage__\})/([A-Z]+)(/[^\"]*)", arn)
        assert found, f"{name}: {arn} names no route"
        route = (found[2], found[3])
        whose = "${WebhookApi}" if route == GUARDED else "${Api}"
        assert found[1] in (whose, "${__ApiId__}"), f"{name}: {arn} names another API"
        callers.add((route, target(permission.get("FunctionName"))))
    # A parameter of a path is anything there. That of the guarded one is CloudFormation's.
    shown = {(method, re.sub(r"(?<!\$)\{\w+\}", "*", path)): name for (method, path), name in expected.items()}
    same("routes that may call functions", callers, set(shown.items()))
    same("function URLs", of_type(resources, "AWS::Lambda::Url"), {})


def check_webhook_url(template):
    """What is to be entered in Clerk's dashboard is where the webhook's route is."""
    value = template["Outputs"]["WebhookUrl"]["Value"]
    assert "Fn::If" in value, f"the address of the webhook does not depend on its path: {value}"
    condition, guarded, bare = value["Fn::If"]
    same("address of the webhook depends on", condition, "HasWebhookPath")
    for address, api, path in ((guarded, "WebhookApi", GUARDED[1]), (bare, "Api", BARE[1])):
        suffix = ".execute-api.${AWS::Region}.${AWS::URLSuffix}"
        same("address of the webhook", target(address), f"https://${{{api}}}{suffix}{path}")


def check_cross_origin(resources):
    """Pages of the application's own sites may read the answers, and no others."""
    for name, api in properties(resources, "AWS::ApiGatewayV2::Api").items():
        if name == "WebhookApi":
            # No page calls it.
            same(f"cross-origin rules of {name}", api.get("CorsConfiguration"), None)
            continue
        same(f"cross-origin rules of {name}", api.get("Body", {}).get("x-amazon-apigateway-cors"), CROSS_ORIGIN)
        same(f"cross-origin rules of {name}, outside its definition", api.get("CorsConfiguration"), None)


def check_throttling_and_access_log(resources, parameters):
    """Each route has a rate limit that no other route uses up, and requests are logged without anything personal."""
    stages = properties(resources, "AWS::ApiGatewayV2::Stage")
    apis = {target(stage.get("ApiId")): stage for stage in stages.values()}
    guarded = {"WebhookApi"} if parameters.get("WebhookPath") else set()
    same("APIs with a stage", (set(apis), len(stages)), ({"Api"} | guarded, 1 + len(guarded)))
    for name, stage in apis.items():
        limits = {name: stage.get("DefaultRouteSettings", {}).get(name) for name in LIMITS}
        same(f"limits of the stage of {name}", limits, LIMITS)
        of_routes = ROUTE_LIMITS if name == "Api" else None
        same(f"limits of single routes of {name}", stage.get("RouteSettings"), of_routes)
        log = json.loads(stage.get("AccessLogSettings", {}).get("Format", "{}"))
        same(f"access log of {name}", set(log.values()), ACCESS_LOG if name == "Api" else GUARDED_ACCESS_LOG)
    others = {f"{method} {path}" for method, path in expected_routes(parameters)} - set(ROUTE_LIMITS)
    same("routes that share a limit", len(others), 1)


def check_permissions(resources, parameters):
    """Each role allows exactly what is listed, on exactly those resources, and to nobody else."""
    roles = properties(resources, "AWS::IAM::Role")
    having = (
        {name: (LAMBDA, it.get("Role")) for name, it in properties(resources, LAMBDA).items()}
        | {name: (MACHINE, it.get("RoleArn")) for name, it in properties(resources, MACHINE).items()}
        | {name: (SCHEDULE, it["Target"].get("RoleArn")) for name, it in properties(resources, SCHEDULE).items()}
    )
    same("users of roles", set(having), users(parameters))
    same("roles", sorted(f"{name}.Arn" for name in roles), sorted(target(role) for _, role in having.values()))
    # A bucket's policy is no role's, and is looked at with the bucket.
    others = [n for n, it in resources.items() if "Policy" in it["Type"] and it["Type"] != "AWS::S3::BucketPolicy"]
    same("policies outside the roles", others, [])

    for user, (kind, role) in having.items():
        role = roles[target(role).removesuffix(".Arn")]
        same(f"{user}: policies by ARN", role.get("ManagedPolicyArns", []), [])
        trust = role.get("AssumeRolePolicyDocument", {}).get("Statement", [])
        same(f"{user}: trust", trust, [{"Effect": "Allow", "Action": "sts:AssumeRole"} | TRUST[kind]])

        allowed = set()
        for policy in role.get("Policies", []):
            for statement in many(policy.get("PolicyDocument", {}).get("Statement", [])):
                parts = set(statement) - {"Sid", "Condition"}
                same(f"{user}: kind of statement", parts, {"Effect", "Action", "Resource"})
                same(f"{user}: effect", statement["Effect"], "Allow")
                only = [where(statement["Condition"])] if "Condition" in statement else []
                for action in many(statement["Action"]):
                    allowed |= {(action, target(resource), *only) for resource in many(statement["Resource"])}
        same(f"{user}: permissions", allowed, permissions(user, parameters))


def check_environment(resources, parameters, settings):
    """Each function's environment is what its code reads: `settings` maps function to the variables it declares."""
    for function, it in properties(resources, LAMBDA).items():
        environment = it.get("Environment", {}).get("Variables", {})
        declared = settings[function]
        unknown = {one["source"] for one in declared} - {"environment", "secret", "aws"}
        same(f"{function}: unknown sources of settings", unknown, set())
        given = set(environment)
        required = {one["name"] for one in declared if one["required"] and one["source"] == "environment"}
        same(f"{function}: required variables that are missing", required - given, set())
        readable = {one["name"] for one in declared if one["source"] != "secret"}
        same(f"{function}: variables that the code does not read", given - readable - READ_BY_SDK, set())
        # What a function may not fetch it is not told of either, and then it must do without.
        fetches = ("secretsmanager:GetSecretValue", "SecretArn") in permissions(function, parameters)
        same(f"{function}: names the secret", "ROLLCALL_SECRET_ARN" in given, fetches)
        secrets = {one["name"]: one["required"] for one in declared if one["source"] == "secret"}
        if fetches:
            assert secrets, f"{function} may fetch secrets and reads none"
        else:
            same(f"{function}: secrets that it needs and may not fetch", [it for it in secrets if secrets[it]], [])
        # Whoever removes backs up first, and must be told where; a bucket that is not there has no name.
        keeps = "BACKUP_BUCKET" in readable and removes(parameters)
        same(f"{function}: names the bucket", "BACKUP_BUCKET" in given, keeps)
        same(f"{function}: names AWS's address", "AWS_ENDPOINT_URL" in given, bool(parameters.get("AwsEndpointUrl")))
        for name in given:
            alike = {"Ref": name.title().replace("_", "")}
            same(f"{function}: {name}", environment[name], VALUES.get(name, alike))


# Lambda's limit for all variables of a function as a JSON object, in bytes. Source: AWS, "Lambda quotas"; that the JSON is
# measured says the message of the refusal.
MOST_ENVIRONMENT = 4096
# How long a value may well be that the template does not bound: a table's name has the stack's name, of 128 characters at
# most, and two parts more; a public key of 2,048 bits, and a few origins.
LONG = {"DirectoryTable": 160, "ProfilesTable": 160, "OperationsTable": 160, "EventBus": 160}
LONG |= {"ClerkJwtKey": 460, "AllowedOrigins": 300, "FurtherOrigins": 300, "BackupBucket": 63}
LONG_ENOUGH = 100


def check_environment_size(resources, template):
    """A function's environment stays under Lambda's limit, with every value as long as the template lets it be."""

    def longest(name):
        it = template["Parameters"].get(name, {})
        if "MaxLength" in it:
            # Every fourth character of a JSON value is a quote, which is escaped within the other JSON.
            return it["MaxLength"] * (5 if "JSON" in it.get("ConstraintDescription", "") else 4) // 4
        bounds = [len(str(value)) for value in [*it.get("AllowedValues", []), *[it[at] for at in ("MaxValue",) if at in it]]]
        return max(bounds or [LONG.get(name) or LONG_ENOUGH])

    def references(value):
        if isinstance(value, dict):
            found = [value["Ref"]] if isinstance(value.get("Ref"), str) else []
            return found + [name for part in value.values() for name in references(part)]
        return [name for part in value for name in references(part)] if isinstance(value, list) else []

    for function, it in properties(resources, LAMBDA).items():
        environment = it.get("Environment", {}).get("Variables", {})
        around = len('"":"",')
        total = sum(len(name) + around + sum(map(longest, references(value))) for name, value in environment.items())
        assert total <= MOST_ENVIRONMENT, f"{function}: its environment may have {total} bytes of {MOST_ENVIRONMENT}"


def check_no_secret_in_environment(resources):
    """No variable holds a secret's value: neither by its name, nor resolved from a store, nor written out."""
    for function, it in properties(resources, LAMBDA).items():
        for name, value in it.get("Environment", {}).get("Variables", {}).items():
            named = re.search(r"(SECRET|PASSWORD|TOKEN|KEY)(?!.*_ARN$)", name)
            assert not named or name in PUBLIC_KEYS, f"{function}: {name} sounds like a secret"
            text = json.dumps(value)
            resolved = re.search(r"resolve:|sk_(test|live)_|whsec_|PRIVATE KEY", text)
            assert not resolved, f"{function}: {name} holds a secret: {text}"


def check_time_limits(resources):
    """Functions give up before whoever waits for them."""
    limits = {name: it.get("Timeout") for name, it in properties(resources, LAMBDA).items()}
    same("time limits", limits, TIME_LIMITS)
    slow = {name: limit for name, limit in limits.items() if name in ROUTES.values() and limit >= 30}
    same("slower than API Gateway waits", slow, {})


def check_logs(resources):
    """Every function logs JSON to a group of its own, and every group forgets after the days that were chosen."""
    groups = properties(resources, "AWS::Logs::LogGroup")
    for name, group in groups.items():
        same(f"retention of {name}", group.get("RetentionInDays"), {"Ref": "LogRetentionDays"})
    names = {json.dumps(group.get("LogGroupName")) for group in groups.values()}
    same("names of log groups", len(names), len(groups))
    used = []
    for name, it in properties(resources, LAMBDA).items():
        logging = it.get("LoggingConfig", {})
        same(f"{name}: log format", logging.get("LogFormat"), "JSON")
        assert target(logging.get("LogGroup")) in groups, f"{name} has no log group of its own"
        used.append(target(logging["LogGroup"]))
    same("log groups that are shared", len(used), len(set(used)))
    for name, stage in properties(resources, "AWS::ApiGatewayV2::Stage").items():
        group = target(stage.get("AccessLogSettings", {}).get("DestinationArn")).removesuffix(".Arn")
        assert group in groups and group not in used, f"{name} has no log group of its own"


def check_tracing(resources, parameters):
    """Whoever is called is traced where that is wanted; that the roles allow it is looked at with the permissions."""
    for name, function in properties(resources, LAMBDA).items():
        same(f"tracing of {name}", function.get("TracingConfig"), {"Mode": {"Ref": "Tracing"}})
    for name, machine in properties(resources, MACHINE).items():
        same(f"tracing of {name}", machine.get("TracingConfiguration"), {"Enabled": traces(parameters)})


def check_deletion_policies(template):
    """What becomes of everything that holds data is written down, for the end of the stack and for a replacement."""
    for name, it in template["Resources"].items():
        if it["Type"] in HOLDS_DATA:
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                same(f"{name}: {policy}", it.get(policy), HOLDS_DATA[it["Type"]])


def check_rules(template):
    """Parameters that contradict each other are refused, and no others."""
    named = ("EnsurePolicy", "Mirror", "ReconcilePolicy", "DeletionPolicy")
    choices = set(product(*(template["Parameters"][name]["AllowedValues"] for name in named)))
    refused = {it for it in choices if refusals(template, dict(zip(named, it)))}
    contradictory = {it for it in choices if it[:2] == ("verify", "off") or (it[2] == "report" and it[3] != "retain")}
    same("policies that are refused", refused, contradictory)


def check_tables(resources):
    """Keys, indexes, stream, expiry, and every protection against losing a table."""
    tables = of_type(resources, "AWS::DynamoDB::Table")
    same("tables", set(tables), set(TABLES))
    for name, expected in TABLES.items():
        table, it = tables[name], tables[name].get("Properties", {})
        same(f"{name}: key", key(it), PRIMARY_KEY)
        indexes = {
            one.get("IndexName"): {"key": key(one), "projection": one.get("Projection")}
            for one in it.get("GlobalSecondaryIndexes", [])
        }
        same(f"{name}: indexes", indexes, expected["indexes"])
        types = {one.get("AttributeType") for one in it.get("AttributeDefinitions", [])}
        same(f"{name}: types of key attributes", types, {"S"})
        same(f"{name}: stream", it.get("StreamSpecification", {}).get("StreamViewType"), expected["stream"])
        ttl = it.get("TimeToLiveSpecification", {})
        same(f"{name}: expiry", ttl.get("AttributeName") if ttl.get("Enabled") else None, expected["ttl"])
        same(f"{name}: billing", it.get("BillingMode"), "PAY_PER_REQUEST")
        recovery = it.get("PointInTimeRecoverySpecification", {})
        same(f"{name}: point-in-time recovery", recovery.get("PointInTimeRecoveryEnabled"), True)
        same(f"{name}: encryption", it.get("SSESpecification", {}).get("SSEEnabled"), True)
        same(f"{name}: deletion protection", it.get("DeletionProtectionEnabled"), True)
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            same(f"{name}: {policy}", table.get(policy), "Retain")
        same(f"{name}: fixed name", it.get("TableName"), None)
        same(f"{name}: resource policy", it.get("ResourcePolicy"), None)


def key(it):
    """The key schema of a table or an index."""
    return [(one.get("AttributeName"), one.get("KeyType")) for one in it.get("KeySchema", [])]
