"""The template as it is passes every check, and every mistake that lint overlooks is caught by one of them."""

import inspect
import json
import os
import re
from pathlib import Path

import checks
import checks_alarms
import checks_authorizer
import checks_backups
import checks_dashboard
import checks_operator
import checks_react
import checks_reconcile
import mistakes
import mistakes_alarms
import mistakes_authorizer
import mistakes_dashboard
import mistakes_functions
import mistakes_operator
import mistakes_permissions
import mistakes_react
import mistakes_reconcile
import mistakes_removal
import pytest
from translated import ROOT, of_type, source, takes, translate
from variants import TASKS, TOPIC, VARIANTS


@pytest.fixture(scope="session")
def settings():
    """What each function's code says that it reads, by the function's logical id."""
    path = os.environ.get("ROLLCALL_VARIABLES")
    if not path or not Path(path).is_file():
        pytest.fail("the list of variables that the code reads is missing: run `make test`, which writes it")
    declared = json.loads(Path(path).read_text())
    missing = set(folders().values()) - set(declared)
    assert not missing, f"{path} says nothing about {missing}"
    return {function: declared[folder] for function, folder in folders().items()}


def folders():
    """The folder under functions/ that each function of the template is built from."""
    return {
        name: Path(it["Properties"]["CodeUri"]).name
        for name, it in source()["Resources"].items()
        if it["Type"] == "AWS::Serverless::Function"
    }


def run(check, template, parameters, settings):
    """Runs a check on what it names as its arguments."""
    known = {
        "resources": translate(template, parameters),
        "parameters": parameters,
        "template": template,
        "settings": settings,
    }
    check(**{name: known[name] for name in inspect.signature(check).parameters})


CHECKS = [
    value
    for module in (
        checks,
        checks_alarms,
        checks_authorizer,
        checks_backups,
        checks_dashboard,
        checks_operator,
        checks_react,
        checks_reconcile,
    )
    for name, value in vars(module).items()
    if name.startswith("check_")
]


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_template_passes(check, parameters, settings):
    run(check, source(), parameters, settings)


def test_every_function_is_deployed():
    assert sorted(folders().values()) == sorted(path.parent.name for path in ROOT.glob("functions/*/Cargo.toml"))


def test_functions_are_built_by_cargo_lambda_from_their_own_folder():
    for name, it in source()["Resources"].items():
        if it["Type"] == "AWS::Serverless::Function":
            assert it["Metadata"]["BuildMethod"] == "rust-cargolambda", name
            assert it["Properties"]["CodeUri"].startswith("functions/"), name


PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----{0}MIIBIjANBg+/kq=={0}-----END PUBLIC KEY-----{0}"

PARAMETERS = {
    "ClerkInstanceId": (["ins_2abcDEF"], ["", "pk_test_x", "ins_"]),
    "WebhookPath": (
        ["", "0123456789abcdef0123456789abcdef", "0123456789-_ABCDEFGHI"],
        ["guessable", "0123456789abcdef/0123456789abcdef", "{proxy+}", "0123456789abcdef 0123456789abcdef"],
    ),
    "ClerkIssuer": (
        [
            "https://clerk.example.com",
            "https://example.com/__clerk",
            "http://127.0.0.1:3001",
            "https://clerk.example.com https://example.com/__clerk",
        ],
        [
            "",
            "clerk.example.com",
            "https://clerk.example.com/",
            "https://clerk.example.com/.well-known/jwks.json",
            "https://clerk.example.com https://example.com/.well-known/jwks.json",
        ],
    ),
    "ClerkJwksUrl": (
        ["", "https://clerk.example.com/.well-known/jwks.json"],
        ["/.well-known/jwks.json", "https://clerk.example.com"],
    ),
    "ClerkPublishableKey": (["", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k"], ["sk_live_x", "pk_live_", "clerk.example.com"]),
    "Roles": (["admin,user", "owner, editor:draft"], ["", ",", "a/b"]),
    # Each of the list.
    "FurtherOrigins": (
        ["", "https://*.example.com", "tauri://localhost", "capacitor://localhost", "chrome-extension://abcdefgh"],
        ["*", "https://*", "https://my-app-*.vercel.app", "https://a.*.example.com", "file:///etc", "tauri://*"],
    ),
    "ClerkJwtKey": (
        [
            "",
            PUBLIC_KEY.format("\n"),
            PUBLIC_KEY.format("\\n"),
            PUBLIC_KEY.format("\\n").replace("PUBLIC", "RSA PUBLIC"),
        ],
        [PUBLIC_KEY.format("\n").replace("PUBLIC", "PRIVATE"), "sk_test_abc", "MIIBIjANBg"],
    ),
    "AllowedOrigins": (
        ["https://app.example.com", "http://localhost:5173"],
        [
            "",
            "*",
            "https://*",
            "https://*.example.com",
            "app.example.com",
            "https://app.example.com/",
            "https://a.com/b",
        ],
    ),
    "SignInUrl": (["", "https://app.example.com/sign-in?x=1"], ["/sign-in", "javascript:alert(1)"]),
    "ProfileDefaults": (["{}", '{"theme":"light"}', "{\n}"], ["", "[]", "light"]),
    "MembershipProfileDefaults": (["{}", '{"seat":1}'], ["", "null"]),
    "MetadataWriteback": (["on", "off"], ["", "true"]),
    "ProfileWritable": (["[]", '["theme","bio"]', "*", "[\n]"], ["", "{}", "theme", "**", "[" + " " * 160 + "]"]),
    "ProfileIfMatch": (["optional", "required"], ["", "on"]),
    "AccountDeletion": (["off", "on"], ["", "true"]),
    "UserVisibility": (["organization", "signed-in"], ["", "everybody"]),
    "RolePointer": (["/role", "/app/role"], ["", "role", "/a b"]),
    "OrganizationRolesPointer": (["", "/organization_roles"], ["organization_roles", "/"]),
    "PurgeAfterHours": (["24", "0", "8760"], ["-1", "8761"]),
    "OwnedTables": (["[]", '[{"table":"tasks","key":"user_id"}]', "[\n]", "@operations/" + "0f" * 16], ["", "{}", "tasks", "@operations/x", "[" + " " * 1200 + "]"]),
    # Each of the list.
    "OwnedTableArns": (
        ["", TASKS, f"{TASKS}/index/by_user", TASKS.replace("aws", "aws-us-gov")],
        ["tasks", "*", f"{TASKS}*", f"{TASKS}/*", f"{TASKS}/index/*", f"{TASKS}/stream/2026", TASKS[: -len("tasks")]],
    ),
    "BackupDays": (["30", "1", "3650"], ["0", "3651"]),
    "ReconcilePolicy": (["repair", "report"], ["", "off"]),
    "ReconcileSchedule": (
        ["cron(0 3 * * ? *)", "cron(15 0/6 ? * MON-FRI *)", "rate(1 day)", "rate(2 days)", "rate(12 hours)"],
        [
            "",
            "0 3 * * *",
            "cron(0 3 * * *)",
            "cron(0 3 * * ? * *)",
            "rate(0 hours)",
            "rate(1 hours)",
            "rate(12 hour)",
            "rate(12hours)",
            "rate(1.5 hours)",
            "rate(2 weeks)",
            "rate(daily)",
            "at(2026-01-01T03:00:00)",
        ],
    ),
    "ReconcileState": (["ENABLED", "DISABLED"], ["", "enabled"]),
    "ClerkRateShare": (["20", "1", "100"], ["0", "101", "-1"]),
    "AlarmTopicArn": (
        ["", TOPIC, TOPIC.replace("aws", "aws-cn")],
        ["operators", "*", TOPIC.replace("sns", "sqs"), f"{TOPIC}.fifo", f"{TOPIC}:1a2b"],
    ),
    "DriftAlarm": (["10", "1", "100000"], ["0", "-1"]),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_takes_what_is_right_and_refuses_what_is_not(name):
    parameter = source()["Parameters"][name]
    taken, refused = PARAMETERS[name]
    assert [it for it in taken if not takes(parameter, it)] == []
    assert [it for it in refused if takes(parameter, it)] == []
    # The first of the examples is the default, where there is one.
    assert str(parameter.get("Default", taken[0])) == taken[0]


def test_the_console_shows_every_parameter_in_one_group():
    template = source()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(it for group in groups for it in group["Parameters"]) == sorted(template["Parameters"])


MISTAKES = [
    mistake
    for module in (
        mistakes,
        mistakes_alarms,
        mistakes_authorizer,
        mistakes_dashboard,
        mistakes_functions,
        mistakes_operator,
        mistakes_permissions,
        mistakes_react,
        mistakes_reconcile,
        mistakes_removal,
    )
    for mistake in module.MISTAKES
]


def test_the_configuration_page_explains_every_parameter_in_the_order_in_which_it_is_asked_for():
    rows = re.findall(r"^\| (?:\*\*[\w ]+\*\*)? ?\| `(\w+)` \| (\S.*?|) ?\| \S", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE)
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    parameters = source()["Parameters"]

    def default(name):
        value = parameters[name].get("Default")
        return "" if value is None else f"`{value}`" if value != "" else "empty"

    expected = [(name, default(name)) for group in groups for name in group["Parameters"]]
    assert rows == expected


def test_the_page_of_costs_counts_the_alarms():
    alarms = of_type(translate(source(), {}), checks_alarms.ALARM)
    assert f"| alarms | {len(alarms)} with the defaults" in (ROOT / "docs/cost.md").read_text()


@pytest.mark.parametrize("mistake", MISTAKES, ids=[it[0] for it in MISTAKES])
def test_a_mistake_is_caught(mistake, settings):
    _, check, change, *variants = mistake
    template = source()
    change(template)
    for variant in variants or VARIANTS:
        with pytest.raises(AssertionError):
            run(check, template, VARIANTS[variant], settings)
