"""Each file of presets/ is a policy set that SAM and the local stack read alike, and every mistake in one is caught."""

import json
import re
import tomllib

import checks
import pytest
from checks import same
from permissions import permissions, users
from samcli.cli.types import CfnParameterOverridesType
from translated import ROOT, refusals, source, takes, translate


def owned(table, sort_key=None, index=None, unique_per_user=False):
    """A table of the application's whose rows go with the user whose id of Clerk's is in user_id."""
    key = {"key": "user_id", "sort_key": sort_key, "index": index, "id": "clerk"}
    return {"table": table} | key | {"unique_per_user": unique_per_user}


# What each system has decided otherwise than the template's defaults: SYSTEMS.md's table, as far as it can be chosen.
DECIDED = {
    "clerk-only": {
        "Mirror": "off",
        "MetadataWriteback": "off",
        "ProfileWritable": '["bio","timezone"]',
        "RolePointer": "/primary_role",
        "OrganizationRolesPointer": "/organization_roles",
    },
    "org-profiles": {},
    "read-only-copy": {
        "EnsurePolicy": "verify",
        "DeletionPolicy": "retain",
        "MetadataWriteback": "off",
        "ReconcilePolicy": "report",
    },
    "user-records": {},
    "progress-and-purge": {
        "DeletionPolicy": "purge",
        "AccountDeletion": "on",
        "ProfileDefaults": '{"level":1,"points":0}',
        # As JSON, which may be broken into lines.
        "OwnedTables": [
            owned("tasks", sort_key="task_id"),
            owned("user_progress", unique_per_user=True),
            owned("daily_checkins", sort_key="date"),
            owned("moods", index="by_user"),
        ],
    },
}

# What a deployment needs beside the parameters: `--config-file` reads a preset in the place of samconfig.toml.
SECTIONS = ("global", "deploy")

# Where nobody but the webhook may write the Directory.
ONLY_THE_WEBHOOK = {"read-only-copy"}

WRITES = {f"dynamodb:{it}Item" for it in ("Put", "Update", "Delete", "BatchWrite")}


def text(name):
    """A preset as it is written."""
    return (ROOT / "presets" / f"{name}.toml").read_text()


def entries(preset):
    """What a preset says of the parameters, one `Name=Value` each."""
    return tomllib.loads(preset)["default"]["deploy"]["parameters"]["parameter_overrides"]


def overrides(preset):
    """The parameters as the local stack reads them: whatever is before the first `=`, and after it the value."""
    pairs = [entry.split("=", 1) for entry in entries(preset)]
    names = [name for name, _ in pairs]
    same("parameters that are named twice", sorted(names), sorted(set(names)))
    return {name: value.strip('"').replace('\\"', '"') for name, value in pairs}


def policies(template):
    """The parameters that a policy set decides: those of the groups of policies, of the account routes and of deletion
    that have a list to choose from, and reconcile's.
    """
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    labels = ("Policies", "Account routes", "Deletion")
    group = [it for group in groups if group["Label"]["default"] in labels for it in group["Parameters"]]
    return {it for it in group if "AllowedValues" in template["Parameters"][it]} | {"ReconcilePolicy"}


def is_json(value, kind):
    """Whether a value is JSON, an object or a list as `kind` says."""
    try:
        return isinstance(json.loads(value), kind)
    except ValueError:
        return False


def check_comment(name, preset):
    """It begins with what it is for and how it is deployed."""
    lines = preset[: preset.index("version")].splitlines()
    assert len(lines) >= 3 and all(line.startswith("# ") for line in lines), f"{name} does not say what it is for"
    command = f"sam deploy --guided --config-file presets/{name}.toml"
    assert any(line.endswith(command) for line in lines), f"{name} does not say how it is deployed"


def check_deployment(name, preset):
    """Beside the parameters it sets what samconfig.toml sets, and nothing else."""
    usual, here = tomllib.loads((ROOT / "samconfig.toml").read_text()), tomllib.loads(preset)
    here["default"]["deploy"]["parameters"].pop("parameter_overrides", None)
    same(f"{name}: version", here.pop("version", None), usual["version"])
    same(f"{name}: settings of sam", here, {"default": {it: usual["default"][it] for it in SECTIONS}})


def check_reading(name, preset):
    """SAM reads of it what the local stack reads, JSON included."""
    by_sam = CfnParameterOverridesType().convert(entries(preset), None, None)
    same(f"{name}: what SAM reads", by_sam, overrides(preset))
    for parameter, value in by_sam.items():
        if parameter.endswith("Defaults"):
            assert is_json(value, dict), f"{name}: {parameter} is no JSON object: {value}"
        if parameter in ("OwnedTables", "ProfileWritable"):
            assert is_json(value, list), f"{name}: {parameter} is no JSON list: {value}"


def check_values(name, preset):
    """Every parameter is one of the template's, and takes its value."""
    parameters = source()["Parameters"]
    given = overrides(preset)
    same(f"{name}: parameters that the template does not have", set(given) - set(parameters), set())
    refused = {it: value for it, value in given.items() if not takes(parameters[it], value)}
    same(f"{name}: values that the template refuses", refused, {})


def check_every_policy(name, preset):
    """It decides every policy, so that a new default changes nobody's deployment."""
    same(f"{name}: policies that it leaves open", policies(source()) - set(overrides(preset)), set())


def check_rules(name, preset):
    """What it decides goes together."""
    same(f"{name}: what CloudFormation refuses", refusals(source(), overrides(preset)), [])


def check_decisions(name, preset):
    """It decides what its system has decided."""
    defaults = {it: parameter.get("Default") for it, parameter in source()["Parameters"].items()}
    decided = {it: value for it, value in overrides(preset).items() if value != defaults.get(it)}
    if "OwnedTables" in decided:
        decided["OwnedTables"] = json.loads(decided["OwnedTables"])
    same(f"{name}: what it decides otherwise", decided, DECIDED[name])


def check_access(name, preset):
    """Its roles allow what its policies need; where the webhook is to be the only writer of the Directory, it is."""
    given = overrides(preset)
    checks.check_permissions(translate(source(), given), given)
    allowed = {user: permissions(user, given) for user in users(given)}
    writes = {(action, "DirectoryTable.Arn") for action in WRITES}
    writers = {user for user in allowed if writes & {it[:2] for it in allowed[user]}}
    same(f"{name}: only the webhook writes", writers == {"WebhookFunction"}, name in ONLY_THE_WEBHOOK)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DECIDED)
def test_a_preset_passes(name, check):
    check(name, text(name))


def test_there_is_a_preset_for_each_system_and_no_other():
    assert sorted(path.name for path in (ROOT / "presets").iterdir()) == sorted(f"{name}.toml" for name in DECIDED)


def swap(one, other):
    """Writes something else in the place of a text that is there once."""

    def change(preset):
        assert preset.count(one) == 1, f"{one!r} is not there once"
        return preset.replace(one, other)

    return change


def without(line):
    """Leaves out the one line in which something is."""
    return lambda preset: re.sub(rf"(?m)^.*{re.escape(line)}.*\n", "", preset, count=1)


MISTAKES = [
    ("no comment", "clerk-only", check_comment, lambda it: it[it.index("version") :]),
    ("the comment of another", "clerk-only", check_comment, swap("presets/clerk-only", "presets/user-records")),
    ("no version", "clerk-only", check_deployment, without("version = ")),
    ("no role may be created", "user-records", check_deployment, without("capabilities")),
    ("nowhere to put the code", "user-records", check_deployment, without("resolve_s3")),
    ("deployed unseen", "user-records", check_deployment, swap("changeset = true", "changeset = false")),
    ("another stack", "org-profiles", check_deployment, swap('"rollcall"', '"org-profiles"')),
    ("settings of another command", "org-profiles", check_deployment, lambda it: it + "[default.sync.parameters]\n"),
    ("quotes that SAM drops", "progress-and-purge", check_reading, lambda it: it.replace('\\"', '"')),
    ("no quotes", "progress-and-purge", check_reading, lambda it: it.replace('\\"', "")),
    ("half an object", "progress-and-purge", check_reading, swap(":0}", ":0")),
    ("half a list", "progress-and-purge", check_reading, swap('false}\n  ]"', 'false}\n"')),
    ("a parameter twice", "clerk-only", check_values, swap('  "Mirror=off"', '  "Mirror=off", "Mirror=on"')),
    ("a misspelt parameter", "clerk-only", check_values, swap("Mirror=", "Miror=")),
    ("a blank after the name", "clerk-only", check_values, swap("Mirror=", "Mirror =")),
    ("the variable's name", "clerk-only", check_values, swap("Mirror=", "MIRROR=")),
    ("a value of another policy", "clerk-only", check_values, swap("Mirror=off", "Mirror=verify")),
    ("a list for an object", "progress-and-purge", check_values, lambda it: it.replace("{", "[").replace("}", "]")),
    ("a policy left open", "org-profiles", check_every_policy, without("MetadataWriteback")),
    ("reconcile's left open", "org-profiles", check_every_policy, without("ReconcilePolicy")),
    ("deletion left open", "user-records", check_every_policy, without("DeletionPolicy")),
    ("removed by nobody", "read-only-copy", check_rules, swap("retain", "redact")),
    ("nothing to verify", "read-only-copy", check_rules, swap("Mirror=on", "Mirror=off")),
    ("verified without a copy", "clerk-only", check_rules, swap("EnsurePolicy=create", "EnsurePolicy=verify")),
    ("purged", "user-records", check_decisions, swap("redact", "purge")),
    ("a table left", "progress-and-purge", check_decisions, lambda it: re.sub(r".*daily_checkins.*\n.*\n", "", it)),
    ("found by no index", "progress-and-purge", check_decisions, swap('\\"by_user\\"', "null")),
    ("nothing purged", "progress-and-purge", check_decisions, swap('purge"', 'redact"')),
    ("a mirror of Clerk", "clerk-only", check_decisions, swap("Mirror=off", "Mirror=on")),
    ("a list of fields that is none", "clerk-only", check_reading, swap('timezone\\"]', 'timezone\\"')),
    ("visibility left open", "clerk-only", check_every_policy, without("UserVisibility")),
    ("nobody may leave", "progress-and-purge", check_decisions, swap("AccountDeletion=on", "AccountDeletion=off")),
    ("accounts deleted", "user-records", check_decisions, swap("AccountDeletion=off", "AccountDeletion=on")),
    ("any field written", "clerk-only", check_decisions, lambda it: re.sub(r".*ProfileWritable.*", '  "ProfileWritable=*",', it)),
    ("roles elsewhere", "clerk-only", check_decisions, swap("/primary_role", "/role")),
    ("Clerk changed", "read-only-copy", check_decisions, swap("Writeback=off", "Writeback=on")),
    ("ids not written back", "user-records", check_decisions, swap("Writeback=on", "Writeback=off")),
    ("created by ensure-profile", "read-only-copy", check_access, swap('verify"', 'create"')),
    ("repaired by reconcile", "read-only-copy", check_access, swap('report"', 'repair"')),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[it[0] for it in MISTAKES])
def test_a_mistake_in_a_preset_is_caught(mistake):
    _, name, check, change = mistake
    preset = change(text(name))
    assert preset != text(name)
    with pytest.raises(AssertionError):
        check(name, preset)
