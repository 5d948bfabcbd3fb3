"""What must hold of how changes reach react and where it tells of them, as in checks.py."""

from checks import same, target
from translated import properties

STREAM = {
    "FunctionName": {"Ref": "ReactFunction"},
    "EventSourceArn": {"Fn::GetAtt": ["DirectoryTable", "StreamArn"]},
    "StartingPosition": "TRIM_HORIZON",
    "BatchSize": 100,
    "ParallelizationFactor": 2,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "BisectBatchOnFunctionError": True,
    "MaximumRetryAttempts": -1,
    # Two hours before the stream forgets them, read or not.
    "MaximumRecordAgeInSeconds": 22 * 3600,
    "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["ReactFailures", "Arn"]}}},
}

# Two weeks are the longest that SQS keeps a message.
QUEUE = {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
QUEUES = {"ReactFailures": QUEUE, "ReconcileFailures": QUEUE}

# Without a policy of its own nobody else's account may send to it.
BUSES = {"EventBus": {"Name": {"Fn::Sub": "${AWS::StackName}-changes"}}}

# What an application, or an operator, needs to find them.
TOLD = {"EventBus": "EventBus", "EventBusArn": "EventBus.Arn"} | {name: name for name in QUEUES}


def check_stream(resources):
    """Every change reaches react in its order, and what is given up is told before the stream forgets it."""
    mappings = properties(resources, "AWS::Lambda::EventSourceMapping")
    same("what functions read", list(mappings.values()), [STREAM])


def check_queues(resources):
    """Messages are encrypted, and kept until somebody reads them."""
    same("queues", properties(resources, "AWS::SQS::Queue"), QUEUES)


def check_event_bus(resources):
    """Changes are told on a bus of this stack's, and only this account tells them."""
    same("buses", properties(resources, "AWS::Events::EventBus"), BUSES)


def check_outputs(template):
    """Buses and queues are found without the console."""
    outputs = {name: target(it["Value"]) for name, it in template["Outputs"].items()}
    same("outputs", {name: outputs.get(name) for name in TOLD}, TOLD)
