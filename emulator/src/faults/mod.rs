//! The fault settings. `desk` selects with a seeded random generator which message, request or page gets a fault.

mod desk;
mod svix;

pub use svix::{Exchange, Once, SvixFaults, TaskFault};

pub(crate) use desk::{Fate, FaultDesk, Intrusion, RequestFate, Shift};
use serde::{Deserialize, Serialize};

/// The fault settings. By default no fault occurs.
///
/// Rates are probabilities from 0 to 1. Setting faults restarts the random sequence, so the same settings followed by
/// the same requests cause the same faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Seed of the random generator; default: the seed of the emulator.
    pub seed: Option<u64>,
    /// Faults of webhooks.
    pub webhooks: WebhookFaults,
    /// Faults of requests to the Backend API.
    pub api: ApiFaults,
    /// Faults of Svix.
    pub svix: SvixFaults,
    /// What Clerk does not document, the other way.
    pub variants: Variants,
}

/// Behaviour that Clerk does not document, each the other way than by default. They are no faults: a client must cope
/// with both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variants {
    /// Whether changes leave `updated_at` as it was.
    pub frozen_updated_at: bool,
    /// Whether a change that changes nothing leaves `updated_at` as it was and sends no event.
    pub quiet_unchanged: bool,
    /// Whether creating a session moves `updated_at` of its user and sends `user.updated`.
    pub sign_in_updates_user: bool,
    /// How long a new user is missing in the list and in the count of users, in ms.
    pub list_lag_ms: u64,
    /// How long a new user is missing in the count of users, in ms.
    pub count_lag_ms: u64,
}

/// Faults on the way from a change to its webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookFaults {
    /// The rate of messages that are never sent (a replay still sends them).
    pub drop: f64,
    /// The rate of messages that are sent once more after they have arrived.
    pub duplicate: f64,
    /// The rate of messages that are overtaken by one to three later ones.
    pub reorder: f64,
    /// How long every message waits before its first attempt, in ms.
    pub delay_ms: u64,
    /// Whether the sender ignores `webhook-delivery: abort-message`, as the open-source Svix server does (1.100): a
    /// rejected message is sent again all the same. Decided when a message enters the queue.
    pub ignore_abort: bool,
    /// Whether deleting a user or an organization also sends `organizationMembership.deleted` for each membership that
    /// is deleted with it. Clerk documents neither behaviour.
    pub cascade_membership_events: bool,
}

/// Faults in the answers of the Backend API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiFaults {
    /// The rate of requests answered with 429 and `Retry-After`.
    pub too_many_requests: f64,
    /// The `Retry-After` of such a 429, in seconds; 1 unless given.
    pub retry_after_s: Option<u64>,
    /// The rate of requests answered with 500.
    pub server_error: f64,
    /// The rate of requests answered with 401 although the key is right.
    pub unauthorized: f64,
    /// The rate of requests for one entity (`GET` of a user, an organization, or the membership of a `user_id` in an
    /// organization) answered with the 404 of a proxy: HTML, not Clerk's error object, and no word about the entity.
    pub not_found: f64,
    /// The operations to which the settings above apply, as method and route template (`GET /v1/users/{user_id}`);
    /// empty means all.
    pub requests: Vec<String>,
    /// The rate of lists that lose the second half of their page, which then looks like the last one.
    pub short_page: f64,
    /// The rate of lists that answer with no rows at all.
    pub empty_page: f64,
    /// The rate of lists in which one row shows up twice and pushes the last one out, as when rows shift under an
    /// offset.
    pub repeated_row: f64,
    /// The rate of lists without one row that look complete: the row after the page moves up.
    pub skipped_row: f64,
    /// The maximum number of rows in a list, whatever `limit` says, as behind a proxy with a lower limit.
    pub limit_clamp: Option<usize>,
    /// The lists to which the five settings above apply, as route templates (`/v1/users`); empty means all.
    pub lists: Vec<String>,
    /// The rate of lists after which a user or a membership is created or deleted, so that the rows of a listing in
    /// progress shift. The events are sent as always.
    pub churn: f64,
    /// Whether `GET /v1/instance` returns another instance, as with the secret key of another instance.
    pub wrong_instance: bool,
    /// Whether organizations are disabled in the instance: requests about them are answered 403.
    pub organizations_off: bool,
    /// The delay before each request is processed, in ms.
    pub slow_ms: u64,
    /// Whether both JWKS routes answer with 500.
    pub jwks_down: bool,
}

/// Every list of the Backend API.
const LISTS: [&str; 5] = [
    "/v1/users",
    "/v1/users/{user_id}/organization_memberships",
    "/v1/organizations",
    "/v1/organizations/{organization_id}/memberships",
    "/v1/organization_memberships",
];

const METHODS: [&str; 5] = ["GET", "POST", "PATCH", "PUT", "DELETE"];

/// A fault setting with an invalid value.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFaultSetting {
    /// A rate outside 0 to 1.
    #[error("{setting} is {value}, but a rate must be between 0 and 1")]
    Rate {
        /// The name of the setting, for example `api.short_page`.
        setting: &'static str,
        /// The invalid value.
        value: f64,
    },
    /// A list that does not exist: faults limited to it would never occur.
    #[error("api.lists contains {0}, but the known lists are {lists}", lists = LISTS.join(", "))]
    List(String),
    /// Text that is no operation, for the same reason.
    #[error("api.requests contains {0}, but an operation must look like GET /v1/users/{{user_id}}")]
    Operation(String),
}

impl Faults {
    /// Checks the rates and the names.
    pub(crate) fn check(&self) -> Result<(), InvalidFaultSetting> {
        let rates = [
            ("webhooks.drop", self.webhooks.drop),
            ("webhooks.duplicate", self.webhooks.duplicate),
            ("webhooks.reorder", self.webhooks.reorder),
            ("api.too_many_requests", self.api.too_many_requests),
            ("api.server_error", self.api.server_error),
            ("api.unauthorized", self.api.unauthorized),
            ("api.not_found", self.api.not_found),
            ("api.short_page", self.api.short_page),
            ("api.empty_page", self.api.empty_page),
            ("api.repeated_row", self.api.repeated_row),
            ("api.skipped_row", self.api.skipped_row),
            ("api.churn", self.api.churn),
            ("svix.too_many_requests", self.svix.too_many_requests),
            ("svix.server_error", self.svix.server_error),
        ];
        if let Some((setting, value)) = rates.into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(InvalidFaultSetting::Rate { setting, value });
        }
        if let Some(unknown) = self.api.lists.iter().find(|list| !LISTS.contains(&list.as_str())) {
            return Err(InvalidFaultSetting::List(unknown.clone()));
        }
        let operation = |text: &str| {
            text.split_once(' ').is_some_and(|(method, path)| METHODS.contains(&method) && path.starts_with("/v1/"))
        };
        match self.api.requests.iter().find(|text| !operation(text)) {
            Some(unknown) => Err(InvalidFaultSetting::Operation(unknown.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(api: ApiFaults) -> String {
        Faults { api, ..Faults::default() }.check().unwrap_err().to_string()
    }

    #[test]
    fn a_rate_outside_zero_to_one_is_refused_by_name() {
        for value in [-0.1, 1.1, f64::NAN] {
            for (setting, api) in [
                ("short_page", ApiFaults { short_page: value, ..ApiFaults::default() }),
                ("repeated_row", ApiFaults { repeated_row: value, ..ApiFaults::default() }),
                ("skipped_row", ApiFaults { skipped_row: value, ..ApiFaults::default() }),
                ("not_found", ApiFaults { not_found: value, ..ApiFaults::default() }),
                ("churn", ApiFaults { churn: value, ..ApiFaults::default() }),
            ] {
                let refused = refusal(api);
                assert!(refused.starts_with(&format!("api.{setting} is")), "{refused}");
            }
        }
    }

    #[test]
    fn faults_confined_to_what_is_not_there_are_refused() {
        for lists in ["/v1/user", "GET /v1/users", "/v1/users/{user_id}"] {
            let refused = refusal(ApiFaults { lists: vec![lists.to_owned()], ..ApiFaults::default() });
            assert!(
                refused.starts_with(&format!("api.lists contains {lists}, but the known lists are /v1/users, ")),
                "{refused}"
            );
        }
        for requests in ["/v1/users", "get /v1/users", "GET users"] {
            let refused = refusal(ApiFaults { requests: vec![requests.to_owned()], ..ApiFaults::default() });
            assert!(refused.starts_with(&format!("api.requests contains {requests}, but")), "{refused}");
        }
        let api = ApiFaults {
            lists: LISTS.map(str::to_owned).to_vec(),
            requests: vec!["PATCH /v1/users/{user_id}/metadata".to_owned()],
            ..ApiFaults::default()
        };
        Faults { api, ..Faults::default() }.check().unwrap();
    }
}
