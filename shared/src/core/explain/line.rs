//! Reads one line of a function's log.

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reason::{Asked, Reason};
use crate::core::id::{EntityId, InstanceId, Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::rank::Rank;

/// A line, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Unix ms.
    pub at: Millis,
    /// The function, by its name in the registry; empty for a line that several functions share.
    pub function: String,
    /// `ERROR`, `WARN` or `INFO`.
    pub level: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The type of the event.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The entity: an id of Clerk, an internal id, or both ids of a membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The organization of a caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svix_id: Option<String>,
    /// The rank that was offered or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<Rank>,
    /// The rank of the row that an event met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Rank>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why something was not applied, answered or done; nothing for a line about something that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Why Clerk was asked about an event that was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl Line {
    /// Reads a line. `at` is the log's own time of it, in Unix ms; without it the time in the line counts. Nothing for
    /// what is no line of a function: metrics, lines of Lambda itself, other text.
    pub fn read(text: &str, at: Option<Millis>) -> Option<Line> {
        let fields: Map<String, Value> = serde_json::from_str(text.trim()).ok()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let (target, message) = (text("target")?, text("message")?);
        let written = text("timestamp").and_then(|written| OffsetDateTime::parse(&written, &Rfc3339).ok());
        let written = written.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
        let rank = |name: &str| text(name).and_then(|rank| rank.parse().ok());
        let line = Line {
            at: at.or_else(|| Millis::try_from(written?).ok())?,
            function: function(&target).to_owned(),
            level: text("level").unwrap_or_default(),
            message,
            outcome: text("outcome"),
            kind: text("type"),
            id: text("id"),
            organization: text("organization"),
            pk: text("pk"),
            sk: text("sk"),
            svix_id: text("svix_id"),
            rank: rank("rank"),
            stored: rank("stored"),
            error: text("error"),
            reason: None,
            asked: text("asked").and_then(|asked| asked.parse().ok()),
        };
        let reason = line.reason(text("reason").as_deref(), text("code").as_deref());
        Some(Line { reason, ..line })
    }

    fn reason(&self, reason: Option<&str>, code: Option<&str>) -> Option<Reason> {
        // A line that names its reason; callers are refused by the code of the answer.
        let named = [reason, self.outcome.as_deref(), code].into_iter().flatten().find_map(|name| name.parse().ok());
        if named.is_some() {
            return named;
        }
        match self.outcome.as_deref() {
            Some("ignored") => Some(Reason::TypeIgnored),
            Some("rejected" | "refused") => Some(Reason::RequestRejected),
            Some("failed" | "deadline") => Some(Reason::RequestFailed),
            Some("complete" | "created") if self.error.is_some() => Some(Reason::ServedFromCopy),
            Some(
                "applied" | "complete" | "created" | "done" | "continue" | "busy" | "pending_approval" | "incomplete"
                | "prefetch" | "signed_out",
            ) => None,
            // Of an earlier release, which did not name the reason.
            Some(_) => Some(Reason::Unknown),
            None if self.level == "ERROR" => Some(Reason::Unknown),
            None => None,
        }
    }

    /// Whether the line is about this entity, whose row has this key.
    pub fn is_about(&self, entity: Option<&EntityId>, key: &Key) -> bool {
        let is_row = self.pk.as_deref() == Some(&key.pk)
            && match &self.sk {
                Some(sk) => *sk == key.sk,
                None => Kind::from_key(key) != Some(Kind::Membership),
            };
        let is_named = |id: &str| {
            entity.is_some_and(|entity| entity.to_string() == id)
                || match (key.pk.split_once('#'), key.sk.split_once('#')) {
                    (Some((_, user)), Some((_, organization))) => id == format!("{organization}/{user}"),
                    (Some((_, id_of_row)), None) => id == id_of_row,
                    (None, _) => false,
                }
        };
        is_row
            || self.id.as_deref().is_some_and(is_named)
            || matches!(entity, Some(EntityId::Organization(id)) if self.organization.as_deref() == Some(id.as_str()))
    }
}

/// The strings of which a line about the entity contains one: what a log is searched for.
pub fn terms(entity: Option<&EntityId>, key: &Key, instance: &InstanceId) -> Vec<String> {
    let internal = key.pk.split_once('#').map(|(_, id)| id.to_owned());
    match entity {
        Some(EntityId::User(user)) => vec![user.to_string(), instance.internal_id(user).to_string()],
        Some(EntityId::Organization(organization)) => vec![organization.to_string()],
        Some(entity @ EntityId::Membership { .. }) => {
            vec![entity.to_string(), internal.unwrap_or_default()]
        }
        None => internal.into_iter().collect(),
    }
}

/// The function that writes lines of a target.
fn function(target: &str) -> &str {
    let mut parts = target.split("::");
    match parts.next() {
        Some("rollcall") => match (parts.next(), parts.next()) {
            (Some("services"), Some("react" | "write_back")) => "react",
            (Some("services"), Some("reconcile" | "deletion")) => "reconcile",
            _ => "",
        },
        Some("ensure_profile") => "ensure-profile",
        Some(function) => function,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut fields: Value) -> Option<Line> {
        let usual = json!({ "timestamp": "2026-01-01T00:00:00.015Z", "level": "INFO", "target": "webhook", "message": "event" });
        for (name, value) in usual.as_object().unwrap() {
            fields.as_object_mut().unwrap().entry(name).or_insert(value.clone());
        }
        Line::read(&fields.to_string(), None)
    }

    #[test]
    fn a_line_is_read_with_its_reason() {
        let line = read(json!({ "id": "user_1", "outcome": "superseded", "reason": "later_state" })).unwrap();
        assert_eq!((line.at.get(), line.reason), (1_767_225_600_015, Some(Reason::LaterState)));
        for (fields, expected) in [
            (json!({ "outcome": "applied" }), None),
            (json!({ "outcome": "user_banned" }), Some(Reason::UserBanned)),
            (json!({ "outcome": "untrusted", "reason": "not a POST" }), Some(Reason::Untrusted)),
            (json!({ "outcome": "quarantined", "failed_at": "data.id" }), Some(Reason::Quarantined)),
            (json!({ "outcome": "rejected", "code": "body_invalid" }), Some(Reason::RequestRejected)),
            (json!({ "outcome": "failed", "reason": "clerk_behind" }), Some(Reason::ClerkBehind)),
            (json!({ "outcome": "complete", "error": "x" }), Some(Reason::ServedFromCopy)),
            (json!({ "outcome": "complete" }), None),
            (json!({ "outcome": "superseded" }), Some(Reason::Unknown)),
            (json!({ "message": "change" }), None),
        ] {
            assert_eq!(read(fields.clone()).unwrap().reason, expected, "{fields}");
        }
        for other in ["", "START RequestId: 1", r#"{"_aws":{}}"#, r#"{"time":"x","type":"platform.start"}"#] {
            assert_eq!(Line::read(other, Some(Millis::ZERO)), None, "{other}");
        }
    }

    #[test]
    fn a_line_is_about_the_entity_that_it_names_by_any_id_or_key() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let user = EntityId::User("user_1".parse().unwrap());
        let membership =
            EntityId::Membership { user: "user_1".parse().unwrap(), organization: "org_1".parse().unwrap() };
        let (of_user, of_membership) = (user.key(&instance), membership.key(&instance));
        let internal = of_user.pk.split_once('#').unwrap().1.to_owned();
        for (fields, about_user, about_membership) in [
            (json!({ "id": "user_1" }), true, false),
            (json!({ "id": internal }), true, false),
            (json!({ "pk": of_user.pk }), true, false),
            (json!({ "pk": of_user.pk, "sk": "ORG#org_1" }), false, true),
            (json!({ "id": "org_1/user_1" }), false, true),
            (json!({ "id": format!("org_1/{internal}") }), false, true),
            (json!({ "id": "user_12" }), false, false),
            (json!({}), false, false),
        ] {
            let line = read(fields.clone()).unwrap();
            let found = (line.is_about(Some(&user), &of_user), line.is_about(Some(&membership), &of_membership));
            assert_eq!(found, (about_user, about_membership), "{fields}");
        }
        assert_eq!(terms(Some(&user), &of_user, &instance), ["user_1".to_owned(), internal]);
    }
}
