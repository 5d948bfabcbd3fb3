//! An endpoint with all that Svix keeps of it, and the rules by which messages reach it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Endpoint;

/// An endpoint is disabled when every attempt has failed for so long, in ms.
pub(crate) const DISABLED_AFTER: i64 = 5 * 24 * 3_600_000;

/// An endpoint. Times are unix ms by the emulator's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) id: String,
    pub(crate) uid: Option<String>,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) disabled: bool,
    /// The types that are sent; all if absent.
    pub(crate) event_types: Option<BTreeSet<String>>,
    /// Clerk's messages have no channel: an endpoint with channels gets none.
    pub(crate) channels: Option<BTreeSet<String>>,
    /// Messages in a second at most.
    pub(crate) throttle_rate: Option<u16>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    /// Code that rewrites payloads. The emulator keeps it, and does not run it.
    pub(crate) transformation: Option<String>,
    pub(crate) secret: String,
    /// Earlier secrets, each with the time until which it signs along.
    pub(crate) past_secrets: Vec<(String, i64)>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// Since when every attempt has failed.
    pub(crate) failing_since: Option<i64>,
    /// Whether the endpoint is that of the configuration, which a snapshot does not have.
    #[serde(skip)]
    pub(crate) is_configured: bool,
}

impl Registered {
    /// An endpoint for all types, without options.
    pub(crate) fn new(id: String, url: String, secret: String, now: i64) -> Self {
        Self {
            id,
            uid: None,
            url,
            description: String::new(),
            disabled: false,
            event_types: None,
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::new(),
            headers: BTreeMap::new(),
            transformation: None,
            secret,
            past_secrets: Vec::new(),
            created_at: now,
            updated_at: now,
            failing_since: None,
            is_configured: false,
        }
    }

    /// Whether a message of this type is sent to the endpoint.
    pub(crate) fn accepts(&self, event_type: &str) -> bool {
        let is_type = self.event_types.as_ref().is_none_or(|types| types.contains(event_type));
        !self.disabled && self.channels.is_none() && is_type
    }

    /// The secrets that sign a message now, the current one first.
    pub(crate) fn secrets(&self, now: i64) -> impl Iterator<Item = &str> {
        let past = self.past_secrets.iter().filter(move |(_, until)| *until > now);
        std::iter::once(self.secret.as_str()).chain(past.map(|(secret, _)| secret.as_str()))
    }

    /// Makes a new secret current; the earlier one signs along for `grace` ms.
    pub(crate) fn rotate(&mut self, secret: String, grace: i64, now: i64) {
        let past = std::mem::replace(&mut self.secret, secret);
        self.past_secrets.retain(|(_, until)| *until > now);
        self.past_secrets.push((past, now + grace));
        self.updated_at = now;
    }

    /// Notes the result of an attempt. The endpoint is disabled when every attempt has failed for five days.
    pub(crate) fn attempted(&mut self, is_delivered: bool, at: i64) {
        if is_delivered {
            self.failing_since = None;
            return;
        }
        let since = *self.failing_since.get_or_insert(at);
        if at - since >= DISABLED_AFTER && !self.disabled {
            self.disabled = true;
            self.updated_at = at;
        }
    }

    pub(crate) fn shown(&self) -> Endpoint {
        Endpoint { id: self.id.clone(), url: self.url.clone(), secret: self.secret.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn endpoint() -> Registered {
        Registered::new("ep_1".to_owned(), "http://127.0.0.1:1/".to_owned(), "whsec_new".to_owned(), 0)
    }

    #[test]
    fn a_disabled_a_filtered_and_a_channelled_endpoint_gets_nothing() {
        let types = |types: &[&str]| Some(types.iter().map(|name| (*name).to_owned()).collect());
        assert!(endpoint().accepts("user.created"));
        assert!(!Registered { disabled: true, ..endpoint() }.accepts("user.created"));
        assert!(!Registered { channels: types(&["one"]), ..endpoint() }.accepts("user.created"));
        let filtered = Registered { event_types: types(&["user.updated"]), ..endpoint() };
        assert_eq!((filtered.accepts("user.created"), filtered.accepts("user.updated")), (false, true));
    }

    #[test]
    fn an_earlier_secret_signs_along_until_its_grace_ends() {
        let mut endpoint = endpoint();
        endpoint.rotate("whsec_2".to_owned(), HOUR, 0);
        endpoint.rotate("whsec_3".to_owned(), 2 * HOUR, 0);
        let secrets = |now: i64| endpoint.secrets(now).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(secrets(HOUR - 1), ["whsec_3", "whsec_new", "whsec_2"]);
        assert_eq!(secrets(HOUR), ["whsec_3", "whsec_2"]);
        assert_eq!(secrets(2 * HOUR), ["whsec_3"]);
    }

    #[test]
    fn five_days_of_failures_disable_an_endpoint_and_a_success_begins_anew() {
        let mut endpoint = endpoint();
        endpoint.attempted(false, 0);
        endpoint.attempted(false, DISABLED_AFTER - 1);
        assert!(!endpoint.disabled);
        endpoint.attempted(true, DISABLED_AFTER);
        endpoint.attempted(false, DISABLED_AFTER + HOUR);
        endpoint.attempted(false, 2 * DISABLED_AFTER);
        assert!(!endpoint.disabled);
        endpoint.attempted(false, 2 * DISABLED_AFTER + HOUR);
        assert_eq!((endpoint.disabled, endpoint.updated_at), (true, 2 * DISABLED_AFTER + HOUR));
    }
}
