"""What must hold of where the backups go, as in checks.py."""

from checks import same, target
from policies import removes
from translated import of_type

# Nobody but this account reads it, and what is in it goes by itself.
BUCKET = {
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    },
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "LifecycleConfiguration": {
        "Rules": [
            {"Id": "expire", "Status": "Enabled", "ExpirationInDays": {"Ref": "BackupDays"}},
            {"Id": "abort", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        ]
    },
}

# It refuses whatever is not encrypted on its way, and allows nothing.
POLICY = {
    "Bucket": {"Ref": "BackupBucket"},
    "PolicyDocument": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "EncryptedOnTheWay",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [{"Fn::GetAtt": ["BackupBucket", "Arn"]}, {"Fn::Sub": "${BackupBucket.Arn}/*"}],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    },
}

KINDS = {
    "AWS::S3::Bucket": ("BackupBucket", BUCKET),
    "AWS::S3::BucketPolicy": ("BackupBucketPolicy", POLICY),
}


def check_backups(resources, parameters):
    """There is a bucket where something is removed; it is nobody else's, and it outlives the stack as it is."""
    for kind, (name, expected) in KINDS.items():
        found = of_type(resources, kind)
        same(kind, set(found), {name} if removes(parameters) else set())
        for it in found.values():
            same(name, it.get("Properties"), expected)
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                same(f"{name}: {policy}", it.get(policy), "Retain")


def check_backups_are_found(template):
    """The bucket is found without the console, where there is one."""
    output = template["Outputs"].get("BackupBucket", {})
    same("output", target(output.get("Value")), "BackupBucket")
    same("condition of the output", output.get("Condition"), "Removes")
