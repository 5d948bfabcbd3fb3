//! The fault dials, and the dice that decide, reproducibly, when a fault strikes.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// Everything that can be made to go wrong. All dials are at rest by default.
///
/// Rates are probabilities from 0 to 1. Setting faults starts the dice anew, so the same faults followed by the same
/// requests strike at the same places.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Where the dice start; without it the emulator's own seed.
    pub seed: Option<u64>,
    /// What happens to webhooks.
    pub webhooks: WebhookFaults,
    /// What happens to requests to the Backend API.
    pub api: ApiFaults,
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
    /// Whether deleting a user or an organization also sends `organizationMembership.deleted` for each membership
    /// that goes with it. Clerk documents neither answer.
    pub cascade_membership_events: bool,
}

/// Faults in the answers of the Backend API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiFaults {
    /// The rate of requests answered with 429 and `Retry-After`.
    pub too_many_requests: f64,
    /// The rate of requests answered with 500.
    pub server_error: f64,
    /// The rate of requests answered with 401 although the key is right.
    pub unauthorized: f64,
    /// The rate of lists that lose the second half of their page, which then looks like the last one.
    pub short_page: f64,
    /// The rate of lists that answer with no rows at all.
    pub empty_page: f64,
    /// How long every request waits before it is looked at, in ms.
    pub slow_ms: u64,
    /// Whether both JWKS routes answer with 500.
    pub jwks_down: bool,
}

/// A dial that was set to something that is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("{dial} is {value}, but a rate lies between 0 and 1")]
pub struct InvalidRate {
    dial: &'static str,
    value: f64,
}

impl Faults {
    /// Whether every rate is one.
    pub(crate) fn check(&self) -> Result<(), InvalidRate> {
        let rates = [
            ("webhooks.drop", self.webhooks.drop),
            ("webhooks.duplicate", self.webhooks.duplicate),
            ("webhooks.reorder", self.webhooks.reorder),
            ("api.too_many_requests", self.api.too_many_requests),
            ("api.server_error", self.api.server_error),
            ("api.unauthorized", self.api.unauthorized),
            ("api.short_page", self.api.short_page),
            ("api.empty_page", self.api.empty_page),
        ];
        match rates.into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            Some((dial, value)) => Err(InvalidRate { dial, value }),
            None => Ok(()),
        }
    }
}

/// What the dice decided for one message on its way to one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    pub(crate) delay: Duration,
    /// How many later messages are to go first.
    pub(crate) overtaken_by: u32,
    /// Sent a second time, after this many further messages.
    pub(crate) repeated_after: Option<u32>,
}

/// What the dice decided for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFate {
    Answered,
    Unauthorized,
    TooManyRequests,
    ServerError,
}

/// The faults in force and their dice. Webhooks and requests have dice of their own: how often a client asks does not
/// change which webhooks are lost.
pub(crate) struct FaultDesk {
    faults: Faults,
    default_seed: u64,
    messages: Rng,
    requests: Rng,
    pages: Rng,
}

impl FaultDesk {
    pub(crate) fn new(faults: Faults, default_seed: u64) -> Self {
        let seed = faults.seed.unwrap_or(default_seed);
        Self {
            faults,
            default_seed,
            messages: Rng::with_seed(seed ^ 0x6d65_7373_6167_6573),
            requests: Rng::with_seed(seed ^ 0x7265_7175_6573_7473),
            pages: Rng::with_seed(seed ^ 0x7061_6765_7300_0000),
        }
    }

    pub(crate) fn set(&mut self, faults: Faults) {
        *self = Self::new(faults, self.default_seed);
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every die is thrown for every message, whatever the dials say: moving one dial leaves the others' choices alone.
    pub(crate) fn message(&mut self) -> Fate {
        let webhooks = &self.faults.webhooks;
        let dice = &mut self.messages;
        let dropped = dice.f64() < webhooks.drop;
        let repeated = dice.f64() < webhooks.duplicate;
        let repeated_after = dice.u32(0..=2);
        let overtaken = dice.f64() < webhooks.reorder;
        let overtaken_by = dice.u32(1..=3);
        Fate {
            dropped,
            delay: Duration::from_millis(webhooks.delay_ms),
            overtaken_by: if overtaken { overtaken_by } else { 0 },
            repeated_after: repeated.then_some(repeated_after),
        }
    }

    pub(crate) fn request(&mut self) -> RequestFate {
        let api = &self.faults.api;
        let dice = &mut self.requests;
        let unauthorized = dice.f64() < api.unauthorized;
        let too_many = dice.f64() < api.too_many_requests;
        let broken = dice.f64() < api.server_error;
        if unauthorized {
            RequestFate::Unauthorized
        } else if too_many {
            RequestFate::TooManyRequests
        } else if broken {
            RequestFate::ServerError
        } else {
            RequestFate::Answered
        }
    }

    /// How many of a page's rows are shown.
    pub(crate) fn rows_shown(&mut self, rows: usize) -> usize {
        let empty = self.pages.f64() < self.faults.api.empty_page;
        let short = self.pages.f64() < self.faults.api.short_page;
        if empty {
            0
        } else if short {
            rows / 2
        } else {
            rows
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(webhooks: WebhookFaults) -> FaultDesk {
        FaultDesk::new(Faults { webhooks, ..Faults::default() }, 7)
    }

    #[test]
    fn moving_one_dial_leaves_the_choices_of_the_others_alone() {
        let mut plain = desk(WebhookFaults { drop: 0.3, ..WebhookFaults::default() });
        let mut busy = desk(WebhookFaults { drop: 0.3, duplicate: 1.0, reorder: 0.5, ..WebhookFaults::default() });
        let dropped = |desk: &mut FaultDesk| (0..100).map(|_| desk.message().dropped).collect::<Vec<_>>();
        assert_eq!(dropped(&mut plain), dropped(&mut busy));
    }

    #[test]
    fn setting_the_same_faults_again_starts_the_same_dice() {
        let mut desk = desk(WebhookFaults { drop: 0.5, ..WebhookFaults::default() });
        let first: Vec<_> = (0..50).map(|_| desk.message()).collect();
        desk.set(desk.faults().clone());
        assert_eq!(first, (0..50).map(|_| desk.message()).collect::<Vec<_>>());
    }

    #[test]
    fn a_rate_outside_zero_to_one_is_refused_by_name() {
        for value in [-0.1, 1.1, f64::NAN] {
            let api = ApiFaults { short_page: value, ..ApiFaults::default() };
            let refused = Faults { api, ..Faults::default() }.check().unwrap_err();
            assert!(refused.to_string().starts_with("api.short_page is"), "{refused}");
        }
    }
}
