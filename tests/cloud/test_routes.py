"""Every route of the deployed API, called by somebody without anything."""


def test_every_route_reaches_a_function_that_answers(stack):
    """What API Gateway answers by itself, for no route or a function that fails, has a `message`."""
    client = stack.client("apigatewayv2")
    keys = [it["RouteKey"] for it in client.get_routes(ApiId=stack.resources["Api"])["Items"]]
    assert len(keys) >= 3, keys
    for key in keys:
        method, path = key.split(" ")
        answer = stack.send(method, path.replace("{id}", "org_1"))
        assert answer.status_code < 500 and answer.status_code != 404, f"{key}: {answer.status_code} {answer.text}"
        assert "message" not in answer.text, f"{key}: {answer.text}"
