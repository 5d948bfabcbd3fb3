"""What the checks are run on: the template with these parameters, and defaults for the rest."""

TASKS = "arn:aws:dynamodb:eu-central-1:123456789012:table/tasks"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:operators"
OWNED = {"OwnedTableArns": f"{TASKS},{TASKS}/index/by_user"}

VARIANTS = {
    "create": {},
    "verify": {"EnsurePolicy": "verify"},
    "retained": {"DeletionPolicy": "retain", "PurgeAfterHours": "0", **OWNED},
    "report": {"ReconcilePolicy": "report", "DeletionPolicy": "retain"},
    # A rule refuses it. Without the rule, too, it would let nobody but the webhook write.
    "refused": {"ReconcilePolicy": "report", "DeletionPolicy": "purge", "PurgeAfterHours": "0", **OWNED},
    "purged": {"DeletionPolicy": "purge", "AlarmTopicArn": TOPIC, **OWNED},
    "purged at once": {"DeletionPolicy": "purge", "PurgeAfterHours": "0", **OWNED},
    "redacted at once": {"PurgeAfterHours": "0", **OWNED},
    "untouched": {"MetadataWriteback": "off", "ReconcileState": "DISABLED", "Tracing": "PassThrough"},
    "uncopied": {"Mirror": "off"},
    "deleting": {"AccountDeletion": "on"},
    "guarded": {"WebhookPath": "0123456789abcdef0123456789abcdef"},
    # Whose tables are not said.
    "emulated": {"AwsEndpointUrl": "http://localhost:4566", "DeletionPolicy": "purge", "PurgeAfterHours": "0"},
}


def all_but(*names):
    """The other variants."""
    return [it for it in VARIANTS if it not in names]


# Where ensure-profile creates, where reconcile and react repair, and where Clerk is written.
CREATING, REPAIRING, WRITING = all_but("verify"), all_but("report", "refused"), all_but("untouched")

# Where account sends requests to Clerk, and where it does not.
ASKING, SILENT = ["uncopied", "deleting"], all_but("uncopied", "deleting")

# Where a part of the webhook's path is not to be guessed, and where it has none.
GUARDED = ["guarded"]
BARE = all_but(*GUARDED)

# Where reconcile starts by itself, and where somebody is told of alarms.
STARTING, TELLING = all_but("untouched"), ["purged"]

# Where deletions remove nothing, and where they do; where that is at once; and where rows of the application's tables
# are among them.
KEEPING = ["retained", "report", "refused"]
REMOVING = all_but(*KEEPING)
AT_ONCE = ["purged at once", "redacted at once", "emulated"]
OWNING = ["purged", "purged at once"]
