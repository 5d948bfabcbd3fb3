"""`rollcall doctor` on the deployed stack: what only AWS knows is judged, and each judgement is seen to change."""

import json

from monitored import notifying
from operator_cli import rollcall, run
from queues import listening


def results(report, check):
    """The results of a check, with what they say."""
    return {it["result"]: it["message"] for it in report["findings"] if it["check"] == check}


def doctor(stack, **options):
    """Runs doctor; answers with its report."""
    status, report = rollcall(stack, "doctor", **options)
    assert status == (2 if report["problems"] + report["warnings"] else 1 if report["not_checked"] else 0), report
    return report


def test_e6_doctor_reads_the_stack_by_its_name_alone(stack):
    report = doctor(stack)
    for check in ("credentials", "stack", "release", "functions", "settings-alike", "environment-size", "policies"):
        assert set(results(report, check)) == {"ok"}, (check, results(report, check))
    for check in ("secret", "instance", "clock", "tables"):
        assert set(results(report, check)) == {"ok"}, (check, results(report, check))
    assert "6 functions" in results(report, "functions")["ok"]
    # The tests deploy without a schedule and without a topic.
    assert "ReconcileState is DISABLED" in json.dumps(report)
    assert "notify nobody" in results(report, "alarms")["warning"]
    assert set(results(report, "alarm-topics")) == {"not_applicable"}
    assert set(results(report, "executions")) == {"ok"}
    # Each function may use the whole of Clerk's limit here.
    assert "400 %" in results(report, "rate-share")["warning"]


def test_e6_a_function_that_was_changed_by_hand_is_found(stack):
    functions, name = stack.client("lambda"), stack.resources["WebhookFunction"]
    before = stack.function("WebhookFunction")["Environment"]["Variables"]
    try:
        changed = {**before, "DELETION_POLICY": "retain", "MIRROR": "maybe"}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
        report = doctor(stack)
        differing = [it["message"] for it in report["findings"] if it["check"] == "settings-alike"]
        assert any("DELETION_POLICY differs" in it and "retain in webhook" in it for it in differing), differing
        assert "MIRROR is invalid" in results(report, "functions")["problem"]
        full = {**before, "PADDING": "x" * 4000}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": full})
        assert "of 4096 bytes" in json.dumps(results(doctor(stack), "environment-size"))
        assert "ok" not in results(doctor(stack), "environment-size")
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})
    assert set(results(doctor(stack), "settings-alike")) == {"ok"}


def test_e6_an_alarm_that_is_on_is_found(stack):
    name = stack.resources["WebhookErrors"]
    alarms = stack.client("cloudwatch")
    alarms.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    try:
        assert name in results(doctor(stack), "alarms")["problem"]
    finally:
        alarms.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")


def test_e6_a_topic_without_a_confirmed_subscription_is_found(stack):
    sns, sqs = stack.client("sns"), stack.client("sqs")
    topic = sns.create_topic(Name="doctor")["TopicArn"]

    def found():
        return results(doctor(stack), "alarm-topics")

    with notifying(stack, "WebhookErrors", topic):
        assert f"{topic} has no subscriptions" in found()["warning"]
        # This subscriber does not confirm, because nothing listens there.
        sns.subscribe(TopicArn=topic, Protocol="https", Endpoint="https://127.0.0.1:1/hook")
        assert "await confirmation: 1" in found()["warning"]
        _, queue = listening(sqs, "doctor", "sns", topic)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        assert found() == {"ok": "the topic of the alarms has confirmed subscriptions: 1"}
        sns.delete_topic(TopicArn=topic)
        assert f"{topic} does not exist" in found()["problem"]


def test_e6_a_table_without_recovery_is_found(stack):
    tables, name = stack.client("dynamodb"), stack.outputs["ProfilesTable"]
    recovery = {"PointInTimeRecoveryEnabled": False}
    tables.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    try:
        found = [it["message"] for it in doctor(stack)["findings"] if it["check"] == "table-protection"]
        assert any(it.startswith("PROFILES_TABLE") and "point-in-time recovery" in it for it in found), found
    finally:
        recovery["PointInTimeRecoveryEnabled"] = True
        tables.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)


def test_e6_a_secret_that_cannot_be_read_is_a_finding_and_not_the_end(stack):
    secrets = stack.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=stack.secret)["SecretString"]
    secrets.put_secret_value(SecretId=stack.secret, SecretString="no JSON")
    try:
        report = doctor(stack)
        assert "is not a JSON object" in results(report, "secret")["problem"]
        assert set(results(report, "tables")) == {"ok"}
    finally:
        secrets.put_secret_value(SecretId=stack.secret, SecretString=before)


def test_e6_a_stack_that_does_not_exist_cannot_be_looked_at(stack):
    ran = run(stack, "doctor", "--json", deployment=["--stack", "production"])
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr


def test_e6_the_probe_sees_events_in_the_directory(stack):
    ran = run(stack, "doctor", "--probe", "--yes", "--json", "--wait", "15")
    assert ran.returncode == 2, ran.stderr
    report = json.loads(ran.stdout)
    answers = {it["question"]: it["answer"] for it in report["answers"]}
    assert answers["webhook_connected"] == "yes" and answers["ban_emits_event"] == "yes", answers
    # Without the emulator's deliveries nothing shows that an event was not sent.
    assert answers["user_delete_emits_membership_deletes"] == "not_known", answers
    assert report["left"] == []
