"""The authorizer before APIs of an application, deployed as docs/authorizer.md says: what reaches the functions behind them."""

import zipfile
from io import BytesIO

import pytest

from apis import ask, invocation
from waits import until

WHO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"]["authorizer"])}
"""


@pytest.fixture(scope="module")
def who(stack):
    """A function of an application, which answers with the context of its caller."""
    code = BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("who.py", WHO)
    role = stack.client("iam").create_role(RoleName="who", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    return stack.client("lambda").create_function(
        FunctionName="who", Runtime="python3.12", Handler="who.handler", Role=role, Code={"ZipFile": code.getvalue()}
    )["FunctionArn"]


@pytest.fixture(scope="module")
def http_api(stack, who):
    """An HTTP API with simple answers and the header as its identity source, without a cache."""
    api = stack.client("apigatewayv2")
    name = api.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
    authorizer = api.create_authorizer(
        ApiId=name,
        Name="rollcall",
        AuthorizerType="REQUEST",
        AuthorizerUri=invocation(stack.outputs["AuthorizerFunctionArn"]),
        AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True,
        AuthorizerResultTtlInSeconds=0,
        IdentitySource=["$request.header.Authorization"],
    )["AuthorizerId"]
    integration = api.create_integration(
        ApiId=name, IntegrationType="AWS_PROXY", IntegrationUri=who, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    api.create_route(
        ApiId=name,
        RouteKey="GET /who",
        Target=f"integrations/{integration}",
        AuthorizationType="CUSTOM",
        AuthorizerId=authorizer,
    )
    api.create_stage(ApiId=name, StageName="$default", AutoDeploy=True)
    return f"{stack.aws.url}/_aws/execute-api/{name}/$default/who"


@pytest.fixture(scope="module")
def rest_api(stack, who):
    """A REST API with an authorizer of each type, without identity sources where that is possible, and without a cache."""
    api = stack.client("apigateway")
    name = api.create_rest_api(name="rest")["id"]
    (root,) = api.get_resources(restApiId=name)["items"]
    further = {"TOKEN": {"identitySource": "method.request.header.Authorization"}, "REQUEST": {}}
    for kind in further:
        authorizer = api.create_authorizer(
            restApiId=name,
            name=kind,
            type=kind,
            authorizerUri=invocation(stack.outputs["AuthorizerFunctionArn"]),
            authorizerResultTtlInSeconds=0,
            **further[kind],
        )["id"]
        resource = api.create_resource(restApiId=name, parentId=root["id"], pathPart=kind)["id"]
        at = {"restApiId": name, "resourceId": resource, "httpMethod": "GET"}
        api.put_method(**at, authorizationType="CUSTOM", authorizerId=authorizer)
        api.put_integration(**at, type="AWS_PROXY", integrationHttpMethod="POST", uri=invocation(who))
    api.create_deployment(restApiId=name, stageName="test")
    return f"{stack.aws.url}/_aws/execute-api/{name}/test"


@pytest.fixture(scope="module")
def caller(stack):
    """A user who administrates an organization, both copied."""
    clerk = stack.clerk
    user = clerk.create_user("Mary", "Keller")
    organization = clerk.create_organization("Computers", user["id"])
    clerk.delivered(user["id"])
    clerk.delivered(organization["id"])
    key = (stack.user(user["id"])["pk"], f"ORG#{organization['id']}")
    until("the membership is copied", lambda: stack.row("DirectoryTable", *key))
    return user, organization


def is_right(stack, context, user, organization):
    """Whether a function was told what the copy says of its caller."""
    row = stack.user(user["id"])
    assert (context["user_id"], context["clerk_user_id"], context["role"]) == (row["id"], user["id"], row["role"])
    assert (context["organization_id"], context["organization_role"]) == (organization["id"], "org:admin")
    assert int(context["claims_age"]) < 60


def test_functions_behind_an_http_api_are_told_who_calls(stack, http_api, caller):
    user, organization = caller
    answer = ask(http_api, stack.clerk.session_token(user["id"], organization["id"]))
    assert answer.status_code == 200, answer.text
    is_right(stack, answer.json()["lambda"], user, organization)


@pytest.mark.parametrize("kind", ["TOKEN", "REQUEST"])
def test_functions_behind_a_rest_api_are_told_who_calls(stack, rest_api, caller, kind):
    user, organization = caller
    answer = ask(f"{rest_api}/{kind}", stack.clerk.session_token(user["id"], organization["id"]))
    assert answer.status_code == 200, answer.text
    is_right(stack, answer.json(), user, organization)


def test_whoever_is_not_signed_in_gets_401_and_whoever_is_refused_403(stack, http_api, rest_api):
    urls = [http_api, f"{rest_api}/TOKEN", f"{rest_api}/REQUEST"]
    assert [ask(url).status_code for url in urls] == [401, 401, 401]
    assert [ask(url, "not-a-token").status_code for url in urls] == [403, 403, 403]


def test_i18_a_banned_user_is_turned_away_with_the_token_of_before(stack, http_api, rest_api):
    clerk = stack.clerk
    user = clerk.create_user("Evelyn", "Boyd")
    clerk.delivered(user["id"])
    token = clerk.session_token(user["id"])
    urls = [http_api, f"{rest_api}/TOKEN", f"{rest_api}/REQUEST"]
    assert [ask(url, token).status_code for url in urls] == [200, 200, 200]
    stack.set(stack.user(user["id"]), "banned", True)
    assert [ask(url, token).status_code for url in urls] == [403, 403, 403]


def test_a_cookie_counts_on_a_rest_api_without_an_identity_source(stack, rest_api, caller):
    user, organization = caller
    cookie = f"__session={stack.clerk.session_token(user['id'], organization['id'])}"
    answer = ask(f"{rest_api}/REQUEST", Cookie=cookie)
    assert answer.status_code == 200, answer.text
    is_right(stack, answer.json(), user, organization)
    assert ask(f"{rest_api}/TOKEN", Cookie=cookie).status_code == 401


def test_what_the_authorizer_cannot_decide_is_500_and_reaches_no_function(stack, http_api, rest_api, caller):
    user, organization = caller
    token = stack.clerk.session_token(user["id"], organization["id"])
    urls = [http_api, f"{rest_api}/TOKEN", f"{rest_api}/REQUEST"]
    stack.deny("AuthorizerRole", "dynamodb:BatchGetItem")
    answers = [ask(url, token) for url in urls]
    stack.allow_again("AuthorizerRole")
    assert [it.status_code for it in answers] == [500, 500, 500]
    assert not any(user["id"] in it.text for it in answers)
