"""Embedded metrics: how CloudWatch makes metrics of a log line. MiniStack keeps the lines and makes none.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""


def data(line):
    """What CloudWatch extracts from a line: (namespace, [what PutMetricData takes]), for each directive in it."""
    return [(directive["Namespace"], list(of(line, directive))) for directive in line["_aws"]["CloudWatchMetrics"]]


def of(line, directive):
    """Each metric that a directive defines, once for each of its sets of dimensions."""
    for names in directive["Dimensions"]:
        dimensions = [{"Name": name, "Value": line[name]} for name in names]
        for metric in directive["Metrics"]:
            yield {
                "MetricName": metric["Name"],
                "Dimensions": dimensions,
                "Timestamp": line["_aws"]["Timestamp"] / 1000,
                "Unit": metric.get("Unit", "None"),
                **value(line[metric["Name"]]),
            }


def value(target):
    """A number, an array of numbers, or values with how often each came."""
    match target:
        case int() | float():
            return {"Value": target}
        case list():
            return {"Values": target}
        case {"Values": values, "Counts": counts}:
            return {"Values": values, "Counts": counts}
    raise ValueError(f"CloudWatch makes no metric of {target!r}")
