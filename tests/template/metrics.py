"""What there is to count: what the functions write into CloudWatch, and what AWS itself writes about them. An alarm, or a
graph, on anything else would say for ever that all is well.
"""

import re

from functions import ALL, FUNCTIONS, REACT

# Where the functions' own are.
NAMESPACE = "Rollcall"

# Which functions write each. All have the dimension FunctionName.
METRICS = sorted({metric for it in FUNCTIONS.values() for metric in it.counts})
WRITTEN_BY = {"Failures": ALL} | {
    metric: [name for name, it in FUNCTIONS.items() if metric in it.counts] for metric in METRICS
}

# The dimensions that some have beyond that: under FunctionName alone there is nothing of these.
FURTHER = {"Events": ["Type", "Outcome"], "Refusals": ["Reason"], "Drift": ["Kind"]}

OUTCOMES = ["applied", "duplicate", "superseded", "ignored", "quarantined", "failed"]

# AWS's own: the namespace, the dimension, and who has it. IteratorAge is of who reads a stream.
OF_FUNCTIONS = {"Errors": ALL, "Throttles": ALL, "Duration": ALL, "IteratorAge": [REACT]}
OF_APIS = {"5xx": ["Api"]}
OF_QUEUES = {"ApproximateNumberOfMessagesVisible": ["ReactFailures.QueueName", "ReconcileFailures.QueueName"]}

# For each namespace: the dimension, and whose each metric is.
KNOWN = {
    NAMESPACE: ("FunctionName", {name: whose for name, whose in WRITTEN_BY.items() if name not in FURTHER}),
    "AWS/Lambda": ("FunctionName", OF_FUNCTIONS),
    "AWS/ApiGateway": ("ApiId", OF_APIS),
    "AWS/SQS": ("QueueName", OF_QUEUES),
}


def unknown(namespace, metric, dimensions):
    """What is wrong with a metric, or nothing where there are data of it; its dimensions are names with references."""
    dimension, known = KNOWN.get(namespace, (None, {}))
    if metric not in known:
        return f"nobody writes {namespace} {metric} under one dimension"
    if dimensions not in [{dimension: whose} for whose in known[metric]]:
        return f"{namespace} {metric} has no data for {dimensions}"
    return None


def unfound(expression):
    """What is wrong with a search, or nothing where it finds the metrics of one name, of a function that writes them."""
    found = re.fullmatch(r"(?:SUM\()?SEARCH\('\{(\S+)\} (.+)', '(?:Sum|Maximum)', \d+\)\)?", expression)
    if not found or expression.count("(") != expression.count(")"):
        return f"this is no search: {expression}"
    namespace, *dimensions = found[1].split(",")
    terms = dict(re.findall(r'(\w+)="([^"]+)"', found[2]))
    if " ".join(f'{name}="{value}"' for name, value in terms.items()) != found[2]:
        return f"these are no terms: {found[2]}"
    metric, function = terms.pop("MetricName", None), terms.pop("FunctionName", "")
    if namespace != NAMESPACE or dimensions != ["FunctionName", *FURTHER.get(metric, ["nothing"])]:
        return f"nobody writes {namespace} {metric} with {dimensions}"
    if function not in [f"${{{name}}}" for name in WRITTEN_BY[metric]]:
        return f"{function} does not write {metric}"
    if terms and not (terms.keys() == {"Outcome"} and terms["Outcome"] in OUTCOMES):
        return f"{metric} has no {terms}"
    return None
