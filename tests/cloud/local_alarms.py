"""Alarms as CloudWatch evaluates them: by their dimensions, period by period, and with what is missing.

MiniStack 1.5.33 evaluates each alarm over the metric's name in all dimensions, so that one stack's failures would set
off every other's, over all of its periods at once, and not at all while data are missing. Here each alarm has its own
metric, M of N periods, and TreatMissingData:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html

An alarm on a difference of two metrics, which MiniStack refuses, is one on the first, less what the second has had.

It is evaluated when it is created and whenever somebody publishes a metric, where CloudWatch does so every minute.
"""

import time

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

COMPARISONS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
MISSING = {"breaching": True, "notBreaching": False}


def evaluate(alarm):
    """Moves an alarm into the state that its metric calls for, and has it tell so."""
    if not alarm.get("MetricName"):
        return
    periods = alarm["EvaluationPeriods"]
    breaching = [breaches(alarm, points) for points in by_period(alarm, periods)]
    needed = alarm.get("DatapointsToAlarm") or periods
    state = "ALARM" if breaching.count(True) >= needed else "OK"
    before = alarm["StateValue"]
    if state == before:
        return
    reason = f"{breaching.count(True)} of {periods} periods were breaching"
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)


def by_period(alarm, periods):
    """The points of each period, the latest first."""
    now, length = time.time(), alarm["Period"]
    ages = [(int((now - point["Timestamp"]) // length), point) for point in points_of(alarm)]
    return [[point for age, point in ages if age == period] for period in range(periods)]


def points_of(metric):
    """All points of a metric under its dimensions; what is taken off has points below zero, so that sums are differences."""
    dimensions = {it["Name"]: it["Value"] for it in metric.get("Dimensions") or []}
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    points = list(cloudwatch._metrics.get(key) or [])
    if "Less" in metric:
        points += [negative(point) for point in points_of(metric["Less"])]
    return points


def negative(point):
    """What a point has had, below zero."""
    _, total, *_ = cloudwatch._point_stats(point)
    return {"Timestamp": point["Timestamp"], "Value": -total}


def recorded(record):
    """What MiniStack keeps of an alarm, for those on a difference as well."""

    def kept(name, props):
        if "Metrics" not in props:
            return record(name, props)
        whole, taken, difference = props["Metrics"]
        assert difference["Expression"] == "errors - FILL(expected, 0)", difference
        metric = whole["MetricStat"]["Metric"]
        one = {it: value for it, value in props.items() if it != "Metrics"}
        one |= metric | {"Statistic": whole["MetricStat"]["Stat"], "Period": whole["MetricStat"]["Period"]}
        return {**record(name, one), "Less": taken["MetricStat"]["Metric"]}

    return kept


def breaches(alarm, points):
    """Whether the points of a period are over the threshold; whether it counts as such if there are none."""
    if not points:
        return MISSING[alarm["TreatMissingData"]]
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    return COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def install():
    """Puts this in the place of MiniStack's own."""
    cloudwatch._evaluate_alarm = evaluate
    provisioners._cw_metric_alarm_record = recorded(provisioners._cw_metric_alarm_record)
