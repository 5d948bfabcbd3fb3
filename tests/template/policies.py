"""What is so where the stack is deployed with some parameters, and defaults for the rest."""


def chosen(given, parameter, usual):
    """What a parameter is, where `usual` is its default."""
    return given.get(parameter, usual)


def creates(given):
    """Whether ensure-profile creates what is missing."""
    return chosen(given, "EnsurePolicy", "create") == "create"


def account_asks_clerk(given):
    """Whether account sends requests to Clerk: about callers who are not copied, or to delete accounts."""
    return chosen(given, "Mirror", "on") == "off" or chosen(given, "AccountDeletion", "off") == "on"


def writes_back(given):
    """Whether Clerk is written."""
    return chosen(given, "MetadataWriteback", "on") == "on"


def repairs(given):
    """Whether anybody but the webhook may write the Directory."""
    return chosen(given, "ReconcilePolicy", "repair") == "repair"


def starts(given):
    """Whether reconcile starts by itself."""
    return chosen(given, "ReconcileState", "ENABLED") == "ENABLED"


def traces(given):
    """Whether invocations are traced whoever makes them."""
    return chosen(given, "Tracing", "Active") == "Active"


def removes(given):
    """Whether a deletion ends in the removal of data."""
    return repairs(given) and chosen(given, "DeletionPolicy", "redact") != "retain"


def only_marks(given):
    """Whether a deletion removes nothing, and is carried on all the same."""
    return repairs(given) and not removes(given)


def at_once(given):
    """Whether they are removed without a hold."""
    return removes(given) and chosen(given, "PurgeAfterHours", "24") == "0"


def owned(given):
    """Whether rows of the application's own tables are among them."""
    is_purged = removes(given) and chosen(given, "DeletionPolicy", "redact") == "purge"
    return is_purged and chosen(given, "OwnedTableArns", "") != ""


def owned_at_once(given):
    """Whether those, too, are removed without a hold."""
    return at_once(given) and owned(given)
