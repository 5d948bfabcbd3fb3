//! What `rollcall doctor --probe` asks of an instance of Clerk: the names and marks of its test entities, its requests,
//! and what an observation answers.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::core::millis::Millis;

/// The beginning of the names of all test entities.
pub const PREFIX: &str = "rollcall-probe-";
/// The key in the private metadata of every test entity, beside which its name stands.
const MARK: &str = "rollcall_probe";
/// The digits of a name, to the millisecond.
const DIGITS: usize = 17;
const MOMENT: &[FormatItem<'_>] = format_description!("[year][month][day][hour][minute][second][subsecond digits:3]");

/// The name of a run: `rollcall-probe-` and the time of its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeName(String);

impl ProbeName {
    pub fn at(start: Millis) -> ProbeName {
        let nanoseconds = i128::from(start.get()) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        ProbeName(format!("{PREFIX}{}", at.format(MOMENT).unwrap_or_default()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this is the name of a run.
fn is_name(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The run that created a user, if a run did. A person may have chosen such a name; nobody but a probe sets the external
/// id and the private metadata as well.
pub fn run_of_user(user: &Value) -> Option<&str> {
    let name = user["first_name"].as_str().filter(|name| is_name(name))?;
    let number = user["external_id"].as_str()?.strip_prefix(name)?.strip_prefix('-')?;
    let is_marked = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_marked && user["private_metadata"][MARK] == name).then_some(name)
}

/// The run that created an organization, if a run did.
pub fn run_of_organization(organization: &Value) -> Option<&str> {
    let name = organization["name"].as_str()?;
    let run = name.get(..PREFIX.len() + DIGITS).filter(|run| is_name(run))?;
    (organization["private_metadata"][MARK] == run).then_some(run)
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

/// A request of the probe to Clerk's Backend API.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub verb: Verb,
    /// Below `/v1`.
    pub path: Vec<String>,
    pub query: Vec<(&'static str, String)>,
    pub body: Value,
}

fn request(verb: Verb, path: &[&str], body: Value) -> Question {
    Question { verb, path: path.iter().map(|part| (*part).to_owned()).collect(), query: Vec::new(), body }
}

/// The users whose names or addresses contain [`PREFIX`], or all, the newest first.
pub fn users(only_test_users: bool, limit: usize) -> Question {
    let query = only_test_users.then(|| ("query", PREFIX.to_owned()));
    let query = query.into_iter().chain([("order_by", "-created_at".to_owned()), ("limit", limit.to_string())]);
    Question { query: query.collect(), ..request(Verb::Get, &["users"], Value::Null) }
}

/// The organizations whose names contain [`PREFIX`].
pub fn organizations(limit: usize) -> Question {
    let query = vec![("query", PREFIX.to_owned()), ("limit", limit.to_string())];
    Question { query, ..request(Verb::Get, &["organizations"], Value::Null) }
}

pub fn count_users() -> Question {
    request(Verb::Get, &["users", "count"], Value::Null)
}

pub fn user(id: &str) -> Question {
    request(Verb::Get, &["users", id], Value::Null)
}

/// A test user. Clerk sends no messages to addresses with `+clerk_test`.
pub fn create_user(run: &ProbeName, number: u32) -> Question {
    let name = run.as_str();
    let address = |which: &str| format!("{name}-{number}-{which}+clerk_test@example.com");
    request(
        Verb::Post,
        &["users"],
        json!({
            "first_name": name, "external_id": format!("{name}-{number}"), "private_metadata": { MARK: name },
            "email_address": [address("a"), address("b")], "skip_password_requirement": true,
        }),
    )
}

pub fn create_organization(run: &ProbeName, number: u32, creator: &str) -> Question {
    let name = run.as_str();
    let body = json!({ "name": format!("{name}-{number}"), "created_by": creator, "private_metadata": { MARK: name } });
    request(Verb::Post, &["organizations"], body)
}

pub fn add_member(organization: &str, user: &str) -> Question {
    let body = json!({ "user_id": user, "role": "org:member" });
    request(Verb::Post, &["organizations", organization, "memberships"], body)
}

/// A session, as at a sign-in. Clerk creates none for production instances.
pub fn sign_in(user: &str) -> Question {
    request(Verb::Post, &["sessions"], json!({ "user_id": user }))
}

pub fn delete_user(id: &str) -> Question {
    request(Verb::Delete, &["users", id], Value::Null)
}

pub fn delete_organization(id: &str) -> Question {
    request(Verb::Delete, &["organizations", id], Value::Null)
}

/// A change of a test entity. Clerk answers with the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    LastName { user: &'a str, name: &'a str },
    PublicMetadata { user: &'a str },
    PrivateMetadata { user: &'a str },
    PrimaryAddress { user: &'a str, address: &'a str },
    Ban { user: &'a str },
    Unban { user: &'a str },
    OrganizationName { organization: &'a str, name: &'a str },
    OrganizationMetadata { organization: &'a str },
    Role { organization: &'a str, user: &'a str },
    MembershipMetadata { organization: &'a str, user: &'a str },
}

impl Change<'_> {
    pub fn request(self) -> Question {
        let step = json!({ "rollcall_probe_step": 1 });
        match self {
            Change::LastName { user, name } => request(Verb::Patch, &["users", user], json!({ "last_name": name })),
            Change::PublicMetadata { user } => {
                request(Verb::Patch, &["users", user, "metadata"], json!({ "public_metadata": step }))
            }
            Change::PrivateMetadata { user } => {
                request(Verb::Patch, &["users", user, "metadata"], json!({ "private_metadata": step }))
            }
            Change::PrimaryAddress { user, address } => {
                request(Verb::Patch, &["users", user], json!({ "primary_email_address_id": address }))
            }
            Change::Ban { user } => request(Verb::Post, &["users", user, "ban"], json!({})),
            Change::Unban { user } => request(Verb::Post, &["users", user, "unban"], json!({})),
            Change::OrganizationName { organization, name } => {
                request(Verb::Patch, &["organizations", organization], json!({ "name": name }))
            }
            Change::OrganizationMetadata { organization } => {
                request(Verb::Patch, &["organizations", organization, "metadata"], json!({ "public_metadata": step }))
            }
            Change::Role { organization, user } => request(
                Verb::Patch,
                &["organizations", organization, "memberships", user],
                json!({ "role": "org:admin" }),
            ),
            Change::MembershipMetadata { organization, user } => request(
                Verb::Patch,
                &["organizations", organization, "memberships", user, "metadata"],
                json!({ "public_metadata": step }),
            ),
        }
    }
}

/// The answer to a question about Clerk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    NotKnown,
}

impl Answer {
    pub fn name(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::NotKnown => "not known",
        }
    }
}

impl From<bool> for Answer {
    fn from(is: bool) -> Answer {
        if is { Answer::Yes } else { Answer::No }
    }
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Unix ms, by the clock of this machine.
    pub at: Millis,
    pub question: &'static str,
    pub answer: Answer,
    pub detail: String,
}

/// Whether a change moved `updated_at`, as far as two answers of Clerk tell.
pub fn moved(before: Option<i64>, after: Option<i64>) -> (Answer, String) {
    match (before, after) {
        (Some(before), Some(after)) if after > before => (Answer::Yes, format!("by {} ms", after - before)),
        (Some(before), Some(after)) if after < before => (Answer::Yes, format!("back by {} ms", before - after)),
        (Some(_), Some(_)) => (Answer::No, "it kept its value".to_owned()),
        _ => (Answer::NotKnown, "the answer has no updated_at".to_owned()),
    }
}

/// What the places showed in which an event can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The Directory has a state that only the event can have brought.
    pub in_directory: bool,
    /// The event is among the deliveries; nothing if the deliveries cannot be read.
    pub in_deliveries: Option<bool>,
    /// An event would have changed the Directory.
    pub would_show: bool,
}

/// Whether Clerk sent an event.
pub fn emitted(seen: Seen) -> (Answer, String) {
    match seen {
        Seen { in_deliveries: Some(true), .. } => (Answer::Yes, "seen among the deliveries".to_owned()),
        Seen { in_directory: true, .. } => (Answer::Yes, "seen in the Directory".to_owned()),
        Seen { in_deliveries: Some(false), .. } => (Answer::No, "there was no delivery".to_owned()),
        Seen { would_show: true, .. } => (Answer::No, "the Directory did not change".to_owned()),
        Seen { .. } => (
            Answer::NotKnown,
            "the Directory does not show it: look for the id in the log of the webhook, or at the endpoint's messages \
             in Clerk's dashboard"
                .to_owned(),
        ),
    }
}

/// Whether Clerk's count is exact: two users more than before, and as many as are listed, if the list is short enough.
pub fn counted(before: Option<u64>, after: Option<u64>, created: u64, listed: Option<u64>) -> (Answer, String) {
    let (Some(before), Some(after)) = (before, after) else {
        return (Answer::NotKnown, "the count cannot be read".to_owned());
    };
    if let Some(listed) = listed.filter(|listed| *listed != after) {
        return (Answer::No, format!("{after} counted, but {listed} listed"));
    }
    let detail = format!("{before} before and {after} after {created} were created");
    (Answer::from(before + created == after), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(first_name: &str, external_id: &str, mark: &str) -> Value {
        json!({ "first_name": first_name, "external_id": external_id, "private_metadata": { MARK: mark } })
    }

    #[test]
    fn only_what_a_run_has_marked_three_times_is_a_test_user() {
        let run = ProbeName::at(Millis::try_from(1_767_225_600_015).unwrap());
        let name = run.as_str();
        assert_eq!(name, "rollcall-probe-20260101000000015");
        assert_eq!(run_of_user(&user(name, &format!("{name}-1"), name)), Some(name));
        for real in [
            user("Ada", &format!("{name}-1"), name),
            user(name, name, name),
            user(name, "7", name),
            user(name, &format!("{name}-x"), name),
            user(name, &format!("{name}-1"), "rollcall-probe-20260101000000016"),
            user("rollcall-probe-fan", "rollcall-probe-fan-1", "rollcall-probe-fan"),
            json!({ "first_name": name, "external_id": format!("{name}-1") }),
            json!({}),
        ] {
            assert_eq!(run_of_user(&real), None, "{real}");
        }
        let created = create_user(&run, 2).body;
        assert_eq!(run_of_user(&created), Some(name));
    }

    #[test]
    fn only_what_a_run_has_marked_is_a_test_organization() {
        let run = ProbeName::at(Millis::ZERO);
        let created = create_organization(&run, 1, "user_1").body;
        assert_eq!(run_of_organization(&created), Some(run.as_str()));
        let renamed =
            json!({ "name": format!("{}-1-renamed", run.as_str()), "private_metadata": { MARK: run.as_str() } });
        assert_eq!(run_of_organization(&renamed), Some(run.as_str()));
        for real in [
            json!({ "name": run.as_str() }),
            json!({ "name": "rollcall-probe-", "private_metadata": { MARK: "rollcall-probe-" } }),
            json!({ "name": "Acme", "private_metadata": { MARK: run.as_str() } }),
        ] {
            assert_eq!(run_of_organization(&real), None, "{real}");
        }
    }

    #[test]
    fn an_answer_says_no_more_than_was_seen() {
        let of = |seen| emitted(seen).0;
        let unseen = Seen::default();
        assert_eq!(of(unseen), Answer::NotKnown);
        assert_eq!(of(Seen { would_show: true, ..unseen }), Answer::No);
        assert_eq!(of(Seen { in_directory: true, ..unseen }), Answer::Yes);
        assert_eq!(of(Seen { in_deliveries: Some(false), ..unseen }), Answer::No);
        assert_eq!(of(Seen { in_deliveries: Some(true), ..unseen }), Answer::Yes);
        assert_eq!([moved(Some(1), Some(2)).0, moved(Some(1), Some(1)).0, moved(None, Some(1)).0], {
            [Answer::Yes, Answer::No, Answer::NotKnown]
        });
        assert_eq!(counted(Some(1), Some(3), 2, Some(3)).0, Answer::Yes);
        assert_eq!(counted(Some(1), Some(3), 2, Some(2)).0, Answer::No);
        assert_eq!(counted(Some(1), Some(2), 2, None).0, Answer::No);
        assert_eq!(counted(None, Some(2), 2, None).0, Answer::NotKnown);
    }
}
