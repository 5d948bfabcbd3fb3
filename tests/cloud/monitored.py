"""A stack with somebody whom its alarms tell."""

import json
import time
from contextlib import contextmanager
from datetime import datetime, timezone

import emf
from queues import listening
from waits import until


class Monitored:
    """The alarms of a stack, and what reaches the topic that they tell."""

    def __init__(self, stack, queue):
        self.stack = stack
        self.queue = queue
        self.lines = {}
        self.told = set()
        self.published = []

    def emitted(self, log):
        """The lines with metrics that a function has written and that were not taken before."""
        lines = [it for it in self.stack.log(log) if "_aws" in it]
        taken = self.lines.get(log, 0)
        self.lines[log] = len(lines)
        return lines[taken:]

    def publish(self, log):
        """Publishes what a function has emitted since, as CloudWatch extracts it."""
        lines = until(f"{log} has metrics", lambda: self.emitted(log), 10)
        self.published = [one for line in lines for one in emf.data(line)]
        self.republish(0)

    def republish(self, *ages):
        """Publishes the same as of some seconds before."""
        for age in ages:
            for namespace, metrics in self.published:
                self.put(namespace, [{**it, "Timestamp": moment(it["Timestamp"] - age)} for it in metrics])

    def put(self, namespace, metrics):
        """Publishes metrics."""
        self.stack.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=metrics)

    def put_one(self, alarm, value, *ages):
        """Publishes a value of the very metric that an alarm is about, for what MiniStack does not measure."""
        it = self.alarm(alarm)
        metric = {"MetricName": it["MetricName"], "Dimensions": it["Dimensions"], "Value": value}
        for age in (0, *ages):
            self.put(it["Namespace"], [{**metric, "Timestamp": moment(time.time() - age)}])

    def evaluate(self):
        """Has all alarms looked at: CloudWatch does so by itself."""
        self.put("Nothing", [{"MetricName": "Nothing", "Value": 0}])

    def alarms(self):
        """The names of all alarms in the template, as far as they are deployed."""
        resources = self.stack.client("cloudformation").describe_stack_resources(StackName=self.stack.name)
        kind = "AWS::CloudWatch::Alarm"
        return [it["LogicalResourceId"] for it in resources["StackResources"] if it["ResourceType"] == kind]

    def alarm(self, name):
        """An alarm, as it was deployed and as it stands."""
        found = self.stack.client("cloudwatch").describe_alarms(AlarmNames=[self.stack.resources[name]])
        return found["MetricAlarms"][0]

    def state(self, name):
        """Whether it is OK or in ALARM."""
        return self.alarm(name)["StateValue"]

    def rings_if_it_stays(self, name):
        """Asserts that an alarm is silent about one period, and rings where the same happens in three of an hour: what a
        function has emitted is published again as of 5 and 10 minutes before."""
        assert self.state(name) == "OK", self.alarm(name)
        self.republish(5 * 60, 10 * 60)
        self.rings(name)

    def rings(self, name):
        """Asserts that an alarm is in ALARM, and that the topic was told."""
        assert self.state(name) == "ALARM", self.alarm(name)
        physical = self.stack.resources[name]

        def heard():
            messages = self.stack.messages(self.queue)
            states = [json.loads(it["Message"]) for it in messages]
            self.told |= {it["AlarmName"] for it in states if it["NewStateValue"] == "ALARM"}
            return physical in self.told

        until(f"the topic is told of {name}", heard, 10)


def topic(aws, name):
    """A topic, and the queue of somebody who has subscribed to it."""
    sns, sqs = aws.client("sns"), aws.client("sqs")
    arn = sns.create_topic(Name=name)["TopicArn"]
    queue, queue_arn = listening(sqs, name, "sns", arn)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    return arn, queue


@contextmanager
def notifying(stack, alarm, *topics):
    """An alarm of a stack that was deployed without a topic, changed by hand: it notifies these."""
    client = stack.client("cloudwatch")
    (before,) = client.describe_alarms(AlarmNames=[stack.resources[alarm]])["MetricAlarms"]
    keys = ["AlarmName", "MetricName", "Namespace", "Dimensions", "Statistic", "Period", "EvaluationPeriods"]
    keys += ["Threshold", "ComparisonOperator", "TreatMissingData"]
    same = {key: before[key] for key in keys if key in before}
    client.put_metric_alarm(**same, AlarmActions=list(topics))
    try:
        yield
    finally:
        client.put_metric_alarm(**same, AlarmActions=[])


def moment(seconds):
    """A time as boto3 sends it."""
    return datetime.fromtimestamp(seconds, timezone.utc)
