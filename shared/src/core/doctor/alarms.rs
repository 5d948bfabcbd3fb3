//! The alarms of the stack, and the topics that they notify.

use super::Finding;

const ALARMS: &str = "alarms";
const TOPICS: &str = "alarm-topics";

/// An alarm of the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    pub name: String,
    /// Whether a change of its state has an action.
    pub has_action: bool,
    /// Whether it is in the state `ALARM`.
    pub is_on: bool,
    /// The ARNs of the SNS topics among its actions; none if the actions are disabled.
    pub topics: Vec<String>,
}

/// Whether an action of an alarm is an SNS topic, by its ARN.
pub fn is_topic(action: &str) -> bool {
    action.split(':').nth(2) == Some("sns")
}

/// Judges the alarms of a stack.
pub fn alarms(alarms: &[Alarm]) -> Vec<Finding> {
    let named = |found: &[&Alarm]| found.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>().join(", ");
    let on: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.is_on).collect();
    let mute: Vec<&Alarm> = alarms.iter().filter(|alarm| !alarm.has_action).collect();
    let mut found = Vec::new();
    if alarms.is_empty() {
        found.push(
            Finding::problem(ALARMS, "the stack has no alarms")
                .cause("the alarms were deleted by hand, or another template than template.yaml was deployed")
                .mend("deploy template.yaml again"),
        );
    }
    if !on.is_empty() {
        found.push(
            Finding::problem(ALARMS, format!("{} of {} alarms are on: {}", on.len(), alarms.len(), named(&on)))
                .cause("each alarm has a section in docs/runbook.md, which lists its causes")
                .mend("do what the section of the alarm says"),
        );
    }
    if !mute.is_empty() {
        found.push(
            Finding::warning(
                ALARMS,
                format!("{} of {} alarms notify nobody: {}", mute.len(), alarms.len(), named(&mute)),
            )
            .cause("the parameter AlarmTopicArn is empty, or the actions of the alarm are disabled")
            .mend("deploy with AlarmTopicArn=<ARN of an SNS topic> and subscribe to the topic"),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(ALARMS, format!("{} alarms are off, and each has an action", alarms.len())));
    }
    found
}

/// The subscriptions of a topic, as SNS counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscriptions {
    Counted {
        confirmed: u64,
        /// The subscribers that have not confirmed: SNS sends them nothing.
        pending: u64,
    },
    /// The topic does not exist.
    NoTopic,
    /// The topic could not be read: why.
    NotRead(String),
}

/// A topic that alarms notify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub arn: String,
    pub subscriptions: Subscriptions,
}

/// Judges the topics that the alarms notify: each must exist and have a subscriber that has confirmed.
pub fn topics(topics: &[Topic]) -> Vec<Finding> {
    const SUBSCRIBE: &str = "`aws sns subscribe --topic-arn <ARN> --protocol email --notification-endpoint <address>`, then confirm by the \
         link in the message; `aws sns publish --topic-arn <ARN> --message test` sends a test";
    if topics.is_empty() {
        return vec![Finding::not_applicable(TOPICS, "no alarm notifies an SNS topic: see the check `alarms`")];
    }
    let mut subscribers = 0;
    let mut found = Vec::new();
    for Topic { arn, subscriptions } in topics {
        match subscriptions {
            Subscriptions::Counted { confirmed: 0, pending: 0 } => found.push(
                Finding::warning(TOPICS, format!("the topic {arn} has no subscriptions, so the alarms notify nobody"))
                    .cause("the stack creates no subscriptions, or the last one was removed")
                    .mend(SUBSCRIBE.replace("<ARN>", arn)),
            ),
            Subscriptions::Counted { confirmed: 0, pending } => found.push(
                Finding::warning(
                    TOPICS,
                    format!(
                        "the topic {arn} has no confirmed subscription, so the alarms notify nobody; subscriptions that \
                         await confirmation: {pending}"
                    ),
                )
                .cause("no subscriber has followed the link in the message of SNS, which is valid for two days")
                .mend(format!("confirm the subscription, or subscribe again: {}", SUBSCRIBE.replace("<ARN>", arn))),
            ),
            Subscriptions::Counted { confirmed, .. } => subscribers += confirmed,
            Subscriptions::NoTopic => found.push(
                Finding::problem(TOPICS, format!("the topic {arn} does not exist, so the alarms notify nobody"))
                    .cause("the topic was deleted, or AlarmTopicArn is misspelt")
                    .mend("deploy with AlarmTopicArn=<ARN of an SNS topic> and subscribe to the topic"),
            ),
            Subscriptions::NotRead(error) => found.push(Finding::not_checked(TOPICS, error.clone())),
        }
    }
    if found.is_empty() {
        let those = if topics.len() == 1 { "the topic of the alarms has" } else { "the topics of the alarms have" };
        found.push(Finding::ok(TOPICS, format!("{those} confirmed subscriptions: {subscribers}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict::{NotApplicable, NotChecked, Ok, Problem, Warning};

    #[test]
    fn an_alarm_that_is_on_and_one_that_nobody_hears_are_two_findings() {
        let alarm = |has_action, is_on| Alarm { name: "a".to_owned(), has_action, is_on, ..Alarm::default() };
        let of = |all: &[Alarm]| alarms(all).iter().map(|finding| finding.result).collect::<Vec<_>>();
        assert_eq!(of(&[alarm(true, false)]), [Ok]);
        assert_eq!(of(&[alarm(false, false), alarm(true, false)]), [Warning]);
        assert_eq!(of(&[alarm(false, true)]), [Problem, Warning]);
        assert_eq!(of(&[]), [Problem]);
    }

    fn topic(arn: &str, subscriptions: Subscriptions) -> Topic {
        Topic { arn: arn.to_owned(), subscriptions }
    }

    fn counted(confirmed: u64, pending: u64) -> Topic {
        topic("arn:ops", Subscriptions::Counted { confirmed, pending })
    }

    #[test]
    fn a_topic_without_a_confirmed_subscription_is_found_whether_or_not_one_is_pending() {
        let of = |one: Topic| topics(&[one]).remove(0);
        assert_eq!(of(counted(1, 0)).result, Ok);
        assert_eq!(of(counted(1, 3)).result, Ok);
        let empty = of(counted(0, 0));
        assert_eq!(empty.result, Warning);
        assert!(empty.message.contains("arn:ops has no subscriptions"), "{}", empty.message);
        let pending = of(counted(0, 2));
        assert_eq!(pending.result, Warning);
        assert!(pending.message.ends_with("await confirmation: 2"), "{}", pending.message);
        for finding in [empty, pending] {
            let mend = finding.mend.unwrap();
            assert!(
                finding.cause.is_some() && mend.contains("--topic-arn arn:ops") && !mend.contains("<ARN>"),
                "{mend}"
            );
        }
    }

    #[test]
    fn a_topic_that_does_not_exist_is_a_problem_and_one_that_cannot_be_read_is_none() {
        let gone = topics(&[topic("arn:gone", Subscriptions::NoTopic)]).remove(0);
        assert!(gone.result == Problem && gone.message.contains("arn:gone") && gone.mend.is_some(), "{gone:?}");
        let denied = topics(&[topic("arn:ops", Subscriptions::NotRead("your role needs x".to_owned()))]);
        assert_eq!(denied, [Finding::not_checked(TOPICS, "your role needs x")]);
        assert_eq!(topics(&[])[0].result, NotApplicable);
        assert!(is_topic("arn:aws:sns:eu-central-1:123456789012:ops"));
        assert!(!is_topic("arn:aws:lambda:eu-central-1:123456789012:function:sns"));
    }

    #[test]
    fn several_topics_are_judged_one_by_one() {
        let of = |all: &[Topic]| topics(all).iter().map(|finding| finding.result).collect::<Vec<_>>();
        assert_eq!(of(&[counted(1, 0), counted(2, 0)]), [Ok]);
        assert!(topics(&[counted(1, 0), counted(2, 0)])[0].message.ends_with(": 3"));
        assert_eq!(of(&[counted(1, 0), counted(0, 0)]), [Warning]);
        let unread = topic("arn:other", Subscriptions::NotRead(String::new()));
        assert_eq!(
            of(&[topic("arn:gone", Subscriptions::NoTopic), counted(0, 1), unread]),
            [Problem, Warning, NotChecked]
        );
    }
}
