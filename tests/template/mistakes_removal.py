"""Mistakes in how the data of deleted users are removed and backed up, as in mistakes.py."""

import checks
import checks_backups
import checks_reconcile
from changes import always, drop, put, sid
from variants import AT_ONCE, KEEPING, OWNING, REMOVING, all_but

BUCKET, POLICY = ("BackupBucket", "Properties"), ("BackupBucketPolicy", "Properties")
PUBLIC = (*BUCKET, "PublicAccessBlockConfiguration")
EXPIRY, ABORTION = ((*BUCKET, "LifecycleConfiguration", "Rules", at) for at in range(2))
DENIED = (*POLICY, "PolicyDocument", "Statement", 0)
READABLE = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
REACT, RECONCILE = (
    (f"{name}Role", "Properties", "Policies", 0, "PolicyDocument", "Statement") for name in ("React", "Reconcile")
)
REACT_VARIABLES, RECONCILE_VARIABLES = (
    (f"{name}Function", "Properties", "Environment", "Variables") for name in ("React", "Reconcile")
)
TO_NOTE, TO_REMOVE_AT_ONCE, TO_KEEP_AT_ONCE, TO_REMOVE_OWNED_AT_ONCE = (
    (*REACT, sid(name)) for name in ("Due", "Removed", "Backups", "Owned")
)
TO_REMOVE, TO_KEEP, TO_REMOVE_OWNED = ((*RECONCILE, sid(name)) for name in ("Removed", "Backups", "Owned"))
ALLOWED = ("Fn::If", 1)
ATTRIBUTES = (*ALLOWED, "Condition", "ForAllValues:StringEquals", "dynamodb:Attributes")
MARK, REACT_MARK = ((*role, sid("Marks"), *ATTRIBUTES) for role in (RECONCILE, REACT))
REMOVAL_MARK, REACT_REMOVAL_MARK = (*MARK, *ALLOWED), (*REACT_MARK, *ALLOWED)
LEADING = (*ALLOWED, "Condition", "ForAllValues:StringLike", "dynamodb:LeadingKeys")
SETTLE = ("SettleStart", "Properties")
SETTLE_STATEMENTS = ("SettleStartRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
CALL = ("ReconcileStateMachine", "Properties", "Definition", "States", "Reconcile")
PAYLOAD = (*CALL, "Arguments", "Payload")
REPAIRS = {"Condition": "ReconcileRepairs"}
NOT_RETAINED, NOT_REDACTED = (
    {"Fn::Not": [{"Fn::Equals": [{"Ref": "DeletionPolicy"}, policy]}]} for policy in ("retain", "redact")
)
NAMED = ["pk", "sk", "rank", "consequences_at", "purging_at", "clerk_user_id"]


def condition(name, value):
    """Gives a condition another value."""
    return lambda t: t["Conditions"].update({name: value})


def without(name, at):
    """Takes one part out of a condition that has several."""
    return lambda t: t["Conditions"][name]["Fn::And"].pop(at)


def output(change):
    """Changes the output of the bucket."""
    return lambda t: change(t["Outputs"]["BackupBucket"])


def rule(change):
    """Changes the rule about the policy `report`."""
    return lambda t: change(t["Rules"]["ReportNeedsRetain"])


MISTAKES = [
    ("no bucket", checks_backups.check_backups, drop("BackupBucket"), *REMOVING),
    ("a bucket for nothing", checks_backups.check_backups, drop("BackupBucket", "Condition"), *KEEPING),
    ("a bucket of any name", checks_backups.check_backups, put(*BUCKET, "BucketName", "backups"), *REMOVING),
    ("another bucket", checks_backups.check_backups, put("More", {"Type": "AWS::S3::Bucket"})),
    ("backups in the clear", checks_backups.check_backups, drop(*BUCKET, "BucketEncryption"), *REMOVING),
    ("backups in public", checks_backups.check_backups, drop(*PUBLIC), *REMOVING),
    ("public by a policy", checks_backups.check_backups, put(*PUBLIC, "BlockPublicPolicy", False), *REMOVING),
    ("public by lists", checks_backups.check_backups, put(*PUBLIC, "IgnorePublicAcls", False), *REMOVING),
    ("lists of who may", checks_backups.check_backups, drop(*BUCKET, "OwnershipControls"), *REMOVING),
    ("backups for ever", checks_backups.check_backups, drop(*EXPIRY), *REMOVING),
    ("any number of days", checks_backups.check_backups, put(*EXPIRY, "ExpirationInDays", 30), *REMOVING),
    ("expiry without effect", checks_backups.check_backups, put(*EXPIRY, "Status", "Disabled"), *REMOVING),
    ("some backups for ever", checks_backups.check_backups, put(*EXPIRY, "Prefix", "2026"), *REMOVING),
    ("half an upload for ever", checks_backups.check_backups, drop(*ABORTION), *REMOVING),
    (
        "versions that stay",
        checks_backups.check_backups,
        put(*BUCKET, "VersioningConfiguration", {"Status": "Enabled"}),
        *REMOVING,
    ),
    ("lost with the stack", checks_backups.check_backups, drop("BackupBucket", "DeletionPolicy"), *REMOVING),
    ("lost when replaced", checks_backups.check_backups, drop("BackupBucket", "UpdateReplacePolicy"), *REMOVING),
    ("no policy of the bucket", checks_backups.check_backups, drop("BackupBucketPolicy"), *REMOVING),
    ("it goes with the stack", checks_backups.check_backups, drop("BackupBucketPolicy", "DeletionPolicy"), *REMOVING),
    ("refused by nobody", checks_backups.check_backups, put(*DENIED, "Effect", "Allow"), *REMOVING),
    ("everything refused", checks_backups.check_backups, drop(*DENIED, "Condition"), *REMOVING),
    ("rows refused only", checks_backups.check_backups, drop(*DENIED, "Resource", 0), *REMOVING),
    ("reading in the clear", checks_backups.check_backups, put(*DENIED, "Action", "s3:PutObject"), *REMOVING),
    (
        "everybody may read",
        checks_backups.check_backups,
        lambda t: t["Resources"]["BackupBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"].append(READABLE),
        *REMOVING,
    ),
    ("a bucket nobody finds", checks_backups.check_backups_are_found, lambda t: t["Outputs"].pop("BackupBucket")),
    ("one that is not there", checks_backups.check_backups_are_found, output(lambda it: it.pop("Condition"))),
    ("not its name", checks_backups.check_backups_are_found, output(lambda it: it.update(Value="rollcall-backups"))),
    ("no hold", checks.check_environment, put(*REACT_VARIABLES, "PURGE_AFTER_HOURS", "0")),
    ("a hold of their own", checks.check_environment, put(*RECONCILE_VARIABLES, "PURGE_AFTER_HOURS", 24)),
    ("no owned tables", checks.check_environment, put(*RECONCILE_VARIABLES, "OWNED_TABLES", "[]")),
    ("ARNs for tables", checks.check_environment, put(*REACT_VARIABLES, "OWNED_TABLES", {"Ref": "OwnedTableArns"})),
    ("a long list", checks.check_environment_size, lambda t: t["Parameters"]["OwnedTables"].update(MaxLength=4096)),
    ("long defaults", checks.check_environment_size, lambda t: t["Parameters"]["ProfileDefaults"].update(MaxLength=2000)),
    ("nowhere to back up", checks.check_environment, drop(*RECONCILE_VARIABLES, "BACKUP_BUCKET"), *REMOVING),
    ("nowhere to back up at once", checks.check_environment, drop(*REACT_VARIABLES, "BACKUP_BUCKET"), *REMOVING),
    ("a bucket named", checks.check_environment, always(*RECONCILE_VARIABLES, "BACKUP_BUCKET"), *KEEPING),
    ("a bucket named to react", checks.check_environment, always(*REACT_VARIABLES, "BACKUP_BUCKET"), *KEEPING),
    ("the ARN for its name", checks.check_environment, put(*REACT_VARIABLES, "BACKUP_BUCKET", "arn:x")),
    ("any bucket", checks.check_environment, put(*RECONCILE_VARIABLES, "BACKUP_BUCKET", "backups")),
    ("other days", checks.check_environment, put(*RECONCILE_VARIABLES, "BACKUP_DAYS", {"Ref": "LogRetentionDays"})),
    ("nowhere to note", checks.check_environment, drop(*REACT_VARIABLES, "OPERATIONS_TABLE")),
    ("a removal reported", checks.check_rules, lambda t: t["Rules"].pop("ReportNeedsRetain")),
    ("no report, no stack", checks.check_rules, rule(lambda it: it.pop("RuleCondition"))),
    ("a purge reported", checks.check_rules, rule(lambda it: it["Assertions"][0].update(Assert=NOT_REDACTED))),
    ("removed under report", checks.check_permissions, condition("Removes", NOT_RETAINED), "refused"),
    ("removed under retain", checks.check_permissions, condition("Removes", REPAIRS), "retained"),
    (
        "retained by default",
        checks.check_permissions,
        lambda t: t["Parameters"]["DeletionPolicy"].update(Default="retain"),
        "create",
        "redacted at once",
    ),
    ("purged at once after a hold", checks.check_permissions, without("PurgesAtOnce", 1), "create", "purged"),
    ("purged at once under retain", checks.check_permissions, without("PurgesAtOnce", 0), "retained", "refused"),
    ("a list that is empty", checks.check_permissions, without("PurgesOwned", 2), "emulated"),
    ("owned rows redacted", checks.check_permissions, without("PurgesOwned", 1), "redacted at once"),
    ("owned rows under report", checks.check_permissions, without("PurgesOwned", 0), "refused"),
    ("owned rows at once", checks.check_permissions, without("PurgesOwnedAtOnce", 0), "purged"),
    ("owned rows of nobody", checks.check_permissions, without("PurgesOwnedAtOnce", 1), "redacted at once", "emulated"),
    (
        "at once by default",
        checks.check_permissions,
        lambda t: t["Parameters"]["PurgeAfterHours"].update(Default=0),
        "create",
        "purged",
    ),
    ("no notes", checks.check_permissions, drop(*TO_NOTE), *REMOVING),
    ("notes of nothing", checks.check_permissions, always(*TO_NOTE), *KEEPING),
    ("reconcile's runs written by react", checks.check_permissions, put(*TO_NOTE, *LEADING, ["*"]), *REMOVING),
    ("any note", checks.check_permissions, drop(*TO_NOTE, *ALLOWED, "Condition"), *REMOVING),
    ("notes without a key", checks.check_permissions, drop(*TO_NOTE, *ALLOWED, "Condition", "Null"), *REMOVING),
    (
        "notes settled by react",
        checks.check_permissions,
        put(*TO_NOTE, *ALLOWED, "Action", ["dynamodb:PutItem", "dynamodb:DeleteItem"]),
        *REMOVING,
    ),
    ("nothing removed at once", checks.check_permissions, drop(*TO_REMOVE_AT_ONCE), *AT_ONCE),
    ("removed by react after a hold", checks.check_permissions, always(*TO_REMOVE_AT_ONCE), *all_but(*AT_ONCE)),
    ("removed at once without a backup", checks.check_permissions, drop(*TO_KEEP_AT_ONCE), *AT_ONCE),
    ("backed up by react after a hold", checks.check_permissions, always(*TO_KEEP_AT_ONCE), *all_but(*AT_ONCE)),
    ("not owned rows at once", checks.check_permissions, drop(*TO_REMOVE_OWNED_AT_ONCE), "purged at once"),
    (
        "owned rows by react after a hold",
        checks.check_permissions,
        always(*TO_REMOVE_OWNED_AT_ONCE),
        *all_but("purged at once"),
    ),
    ("any table of the account's", checks.check_permissions, put(*TO_REMOVE_OWNED, *ALLOWED, "Resource", "*"), *OWNING),
    ("tables dropped", checks.check_permissions, put(*TO_REMOVE_OWNED, *ALLOWED, "Action", "dynamodb:*"), *OWNING),
    ("not owned rows", checks.check_permissions, drop(*TO_REMOVE_OWNED), *OWNING),
    ("owned rows that are not purged", checks.check_permissions, always(*TO_REMOVE_OWNED), *all_but(*OWNING)),
    ("nothing removed", checks.check_permissions, drop(*TO_REMOVE), *REMOVING),
    ("removed though retained", checks.check_permissions, always(*TO_REMOVE), *KEEPING),
    (
        "every record read",
        checks.check_permissions,
        put(*TO_REMOVE, *ALLOWED, "Action", ["dynamodb:Query", "dynamodb:Scan", "dynamodb:BatchWriteItem"]),
        *REMOVING,
    ),
    (
        "the Directory emptied",
        checks.check_permissions,
        put(*TO_REMOVE, *ALLOWED, "Resource", {"Fn::GetAtt": ["DirectoryTable", "Arn"]}),
        *REMOVING,
    ),
    ("removed without a backup", checks.check_permissions, drop(*TO_KEEP), *REMOVING),
    ("a bucket that is not there", checks.check_permissions, always(*TO_KEEP), *KEEPING),
    ("backups read", checks.check_permissions, put(*TO_KEEP, *ALLOWED, "Action", "s3:*"), *REMOVING),
    ("any bucket's objects", checks.check_permissions, put(*TO_KEEP, *ALLOWED, "Resource", "*"), *REMOVING),
    ("marks of removals though retained", checks.check_permissions, always(*MARK), "retained"),
    ("the same by react", checks.check_permissions, always(*REACT_MARK), "retained"),
    ("no mark at the beginning", checks.check_permissions, put(*REMOVAL_MARK, NAMED[:4]), *REMOVING),
    ("addresses marked", checks.check_permissions, put(*REMOVAL_MARK, [*NAMED, "email"]), *REMOVING),
    ("Clerk's id stays", checks.check_permissions, put(*REACT_REMOVAL_MARK, NAMED[:5]), *REMOVING),
    ("roles marked by react", checks.check_permissions, put(*REACT_REMOVAL_MARK, [*NAMED, "role"]), *REMOVING),
    ("settling without the right to start", checks.check_permissions, drop(*SETTLE_STATEMENTS, sid("Start")), *REMOVING),
    ("settling any machine", checks.check_permissions, put(*SETTLE_STATEMENTS, sid("Start"), "Resource", "*"), *REMOVING),
    ("no word of what was not settled", checks.check_permissions, drop(*SETTLE_STATEMENTS, sid("Failures")), *REMOVING),
    ("a role without a schedule", checks.check_permissions, drop("SettleStartRole", "Condition"), *KEEPING),
    (
        "one role for both schedules",
        checks.check_permissions,
        put(*SETTLE, "Target", "RoleArn", {"Fn::GetAtt": ["ReconcileStartRole", "Arn"]}),
        *REMOVING,
    ),
    ("never settled", checks_reconcile.check_schedule, drop("SettleStart"), *REMOVING),
    ("settled though retained", checks_reconcile.check_schedule, drop("SettleStart", "Condition"), *KEEPING),
    ("settled daily", checks_reconcile.check_schedule, put(*SETTLE, "ScheduleExpression", "rate(1 day)"), *REMOVING),
    ("always settled", checks_reconcile.check_schedule, put(*SETTLE, "State", "ENABLED"), *REMOVING),
    ("a night every hour", checks_reconcile.check_schedule, put(*SETTLE, "Target", "Input", "{}"), *REMOVING),
    ("not settled in silence", checks_reconcile.check_schedule, drop(*SETTLE, "Target", "DeadLetterConfig"), *REMOVING),
    (
        "settled at night only",
        checks_reconcile.check_schedule,
        put("ReconcileStart", "Properties", "Target", "Input", '{"order":"purge_due"}'),
    ),
    ("no order", checks_reconcile.check_state_machine, put(*PAYLOAD, {})),
    ("always the same order", checks_reconcile.check_state_machine, put(*PAYLOAD, {"order": "purge_due"})),
    ("its answer for an order", checks_reconcile.check_state_machine, put(*PAYLOAD, "{% $states.input %}")),
]
