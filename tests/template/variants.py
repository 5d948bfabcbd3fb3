"""What the checks are run on: the template with these parameters, and defaults for the rest."""

VARIANTS = {
    "create": {},
    "verify": {"EnsurePolicy": "verify"},
    "report": {"ReconcilePolicy": "report"},
    "untouched": {"MetadataWriteback": "off"},
    "emulated": {"AwsEndpointUrl": "http://localhost:4566"},
}


def all_but(name):
    """The other variants."""
    return [it for it in VARIANTS if it != name]


# Where ensure-profile creates, where reconcile and react repair, and where Clerk is written.
CREATING, REPAIRING, WRITING = all_but("verify"), all_but("report"), all_but("untouched")
