//! Svix's answers, read tolerantly: unknown fields and values are ignored, fields with a new name are read under both.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::core::endpoint;

#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) iterator: Option<String>,
    #[serde(default)]
    pub(super) done: bool,
}

/// `filterTypes` and `rateLimit` are the names of before 2026-07-21; an answer may have both.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    id: String,
    #[serde(default)]
    uid: Option<String>,
    url: String,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    event_types: Option<BTreeSet<String>>,
    #[serde(default)]
    filter_types: Option<BTreeSet<String>>,
    #[serde(default)]
    channels: Option<BTreeSet<String>>,
    #[serde(default)]
    throttle_rate: Option<u64>,
    #[serde(default)]
    rate_limit: Option<u64>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    updated_at: String,
}

impl From<Endpoint> for endpoint::Endpoint {
    fn from(read: Endpoint) -> endpoint::Endpoint {
        let listed = |names: Option<BTreeSet<String>>| names.filter(|names| !names.is_empty());
        endpoint::Endpoint {
            id: read.id,
            uid: read.uid,
            url: read.url,
            is_disabled: read.disabled.unwrap_or(false),
            types: listed(read.event_types).or(listed(read.filter_types)),
            channels: listed(read.channels),
            throttle_rate: read.throttle_rate.or(read.rate_limit),
            metadata: read.metadata,
            updated_at: read.updated_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attempt {
    #[serde(default)]
    response_status_code: i64,
    #[serde(default)]
    response: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    response_duration_ms: u64,
    #[serde(default)]
    trigger_type: u64,
    /// 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
    #[serde(default)]
    status: u64,
}

impl From<Attempt> for endpoint::cause::Attempt {
    fn from(read: Attempt) -> endpoint::cause::Attempt {
        endpoint::cause::Attempt {
            status: u16::try_from(read.response_status_code).unwrap_or_default(),
            body: read.response,
            at: read.timestamp,
            url: read.url,
            duration_ms: read.response_duration_ms,
            is_manual: read.trigger_type == 1,
            is_settled: ![1, 3, 4].contains(&read.status),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Secret {
    pub(super) key: String,
}

#[derive(Deserialize)]
pub(super) struct Stats {
    #[serde(default)]
    pub(super) success: u64,
    #[serde(default)]
    pub(super) pending: u64,
    #[serde(default)]
    pub(super) sending: u64,
    #[serde(default)]
    pub(super) fail: u64,
}

#[derive(Deserialize)]
pub(super) struct Transformation {
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) enabled: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> endpoint::Endpoint {
        serde_json::from_value::<Endpoint>(value).unwrap().into()
    }

    #[test]
    fn an_endpoint_is_read_under_old_and_new_names_and_with_unknown_fields() {
        let types = || Some(BTreeSet::from(["user.created".to_owned()]));
        let base = json!({ "id": "ep_1", "url": "https://x/", "description": "", "aFieldOfTomorrow": [1] });
        assert_eq!(read(base.clone()).types, None);
        for (names, rate) in [("eventTypes", "throttleRate"), ("filterTypes", "rateLimit")] {
            let mut one = base.clone();
            (one[names], one[rate]) = (json!(["user.created"]), json!(5));
            let one = read(one);
            assert_eq!((one.types, one.throttle_rate, one.is_disabled), (types(), Some(5), false));
        }
        let mut both = base;
        (both["eventTypes"], both["filterTypes"]) = (json!(["user.created"]), json!(["user.created"]));
        (both["channels"], both["disabled"]) = (json!(null), json!(true));
        let both = read(both);
        assert_eq!((both.types, both.channels, both.is_disabled), (types(), None, true));
    }
}
