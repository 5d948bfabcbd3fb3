//! What is changed at Svix so that the endpoint is the wanted one.

use std::collections::BTreeSet;

use super::{Endpoint, OWNER, Wanted, kept_types, missing_types};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// There is no endpoint with the uid.
    Create,
    /// The endpoint with this id gets these values.
    Change { id: String, changes: Vec<Change> },
    /// The endpoint with this id is as it should be.
    Nothing { id: String },
}

/// A value that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An endpoint that somebody made by hand gets the uid and the mark of its owner.
    Adopt,
    Url {
        before: String,
    },
    Enable,
    /// The endpoint gets these types. Further ones are removed.
    Types {
        types: BTreeSet<String>,
        missing: Vec<String>,
        further: Vec<String>,
    },
    /// Channels are removed, because Clerk's messages have none.
    Channels,
    /// The limit of messages in a second is removed.
    Throttle {
        before: u64,
    },
}

/// Why nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "endpoint {id} has the URL of this stack already, and was not made by this command: take it over with --adopt \
         {id}, or delete it in Clerk's dashboard"
    )]
    Unmanaged { id: String },
    #[error("endpoint {0} does not exist in this Clerk instance: check --adopt")]
    Unknown(String),
    #[error("endpoint {id} belongs to something else: its uid is {uid}. Choose another endpoint (--adopt)")]
    Owned { id: String, uid: String },
    #[error("endpoint {id} has another URL ({url}): only an endpoint with the URL of this stack is taken over")]
    OtherUrl { id: String, url: String },
    #[error("endpoint {own} is that of this stack already: leave --adopt out, and delete {id} in Clerk's dashboard")]
    Two { own: String, id: String },
}

/// Plans for all endpoints of the application. `adopted` is the id of an endpoint that the operator names.
///
/// # Errors
///
/// [`Refusal`]. An endpoint without the uid is changed only if the operator names it.
pub fn plan(all: &[Endpoint], wanted: &Wanted, adopted: Option<&str>) -> Result<Plan, Refusal> {
    let own = all.iter().find(|endpoint| endpoint.uid.as_deref() == Some(wanted.uid.as_str()));
    if let Some(adopted) = adopted {
        let found = all.iter().find(|endpoint| endpoint.id == adopted);
        let found = found.ok_or_else(|| Refusal::Unknown(adopted.to_owned()))?;
        let id = found.id.clone();
        return match (own, &found.uid) {
            (Some(own), _) if own.id == id => Ok(changed(own, wanted, false)),
            (Some(own), _) => Err(Refusal::Two { own: own.id.clone(), id }),
            (None, Some(uid)) => Err(Refusal::Owned { id, uid: uid.clone() }),
            (None, None) if found.url != wanted.url => Err(Refusal::OtherUrl { id, url: found.url.clone() }),
            (None, None) => Ok(changed(found, wanted, true)),
        };
    }
    if let Some(own) = own {
        return Ok(changed(own, wanted, false));
    }
    match all.iter().find(|endpoint| endpoint.url == wanted.url) {
        Some(other) => Err(Refusal::Unmanaged { id: other.id.clone() }),
        None => Ok(Plan::Create),
    }
}

fn changed(endpoint: &Endpoint, wanted: &Wanted, is_adopted: bool) -> Plan {
    let mut changes = Vec::new();
    if is_adopted || endpoint.metadata.get("owner").map(String::as_str) != Some(OWNER) {
        changes.push(Change::Adopt);
    }
    if endpoint.url != wanted.url {
        changes.push(Change::Url { before: endpoint.url.clone() });
    }
    if endpoint.is_disabled {
        changes.push(Change::Enable);
    }
    let missing = missing_types(endpoint);
    let further = match &endpoint.types {
        // Without a filter Clerk sends types that Rollcall ignores.
        None => Vec::new(),
        Some(types) => types.difference(&kept_types(endpoint)).cloned().collect(),
    };
    if endpoint.types.is_none() || !missing.is_empty() || !further.is_empty() {
        changes.push(Change::Types { types: kept_types(endpoint), missing, further });
    }
    if endpoint.channels.is_some() {
        changes.push(Change::Channels);
    }
    if let Some(before) = endpoint.throttle_rate {
        changes.push(Change::Throttle { before });
    }
    let id = endpoint.id.clone();
    if changes.is_empty() { Plan::Nothing { id } } else { Plan::Change { id, changes } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn wanted() -> Wanted {
        Wanted::of(&"ins_1".parse().unwrap(), "rollcall", "https://x/webhooks/clerk")
    }

    fn endpoint(id: &str, uid: Option<&str>) -> Endpoint {
        Endpoint {
            id: id.to_owned(),
            uid: uid.map(str::to_owned),
            url: wanted().url,
            is_disabled: false,
            types: Some(Wanted::types()),
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::from([("owner".to_owned(), OWNER.to_owned())]),
            updated_at: String::new(),
        }
    }

    const OWN: Option<&str> = Some("rollcall-ins_1-rollcall");

    #[test]
    fn the_endpoint_of_the_stack_is_made_once_and_others_are_left_alone() {
        let stranger = Endpoint { url: "https://other/".to_owned(), ..endpoint("ep_1", Some("theirs")) };
        assert_eq!(plan(&[], &wanted(), None), Ok(Plan::Create));
        assert_eq!(plan(std::slice::from_ref(&stranger), &wanted(), None), Ok(Plan::Create));
        let mut told = endpoint("ep_2", OWN);
        told.types.get_or_insert_default().insert("role.updated".to_owned());
        assert_eq!(plan(&[told], &wanted(), None), Ok(Plan::Nothing { id: "ep_2".to_owned() }));
        let all = [stranger, endpoint("ep_2", OWN)];
        assert_eq!(plan(&all, &wanted(), None), Ok(Plan::Nothing { id: "ep_2".to_owned() }));
    }

    #[test]
    fn whatever_is_different_is_changed() {
        let types = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let missing: Vec<String> = Wanted::types().into_iter().filter(|name| name != "user.created").collect();
        for (endpoint, change) in [
            (
                Endpoint { url: "https://y/".to_owned(), ..endpoint("ep", OWN) },
                Change::Url { before: "https://y/".to_owned() },
            ),
            (Endpoint { is_disabled: true, ..endpoint("ep", OWN) }, Change::Enable),
            (
                Endpoint { types: types(&["user.created", "session.created"]), ..endpoint("ep", OWN) },
                Change::Types { types: Wanted::types(), missing, further: vec!["session.created".to_owned()] },
            ),
            (
                Endpoint { types: None, ..endpoint("ep", OWN) },
                Change::Types { types: Wanted::types(), missing: vec![], further: vec![] },
            ),
            (Endpoint { channels: types(&["a"]), ..endpoint("ep", OWN) }, Change::Channels),
            (Endpoint { throttle_rate: Some(1), ..endpoint("ep", OWN) }, Change::Throttle { before: 1 }),
            (Endpoint { metadata: BTreeMap::new(), ..endpoint("ep", OWN) }, Change::Adopt),
        ] {
            assert_eq!(
                plan(&[endpoint], &wanted(), None),
                Ok(Plan::Change { id: "ep".to_owned(), changes: vec![change] })
            );
        }
    }

    #[test]
    fn an_endpoint_made_by_hand_is_taken_over_only_when_it_is_named() {
        let by_hand = endpoint("ep_1", None);
        let all = [by_hand.clone()];
        assert_eq!(plan(&all, &wanted(), None), Err(Refusal::Unmanaged { id: "ep_1".to_owned() }));
        let adopted = Plan::Change { id: "ep_1".to_owned(), changes: vec![Change::Adopt] };
        assert_eq!(plan(&all, &wanted(), Some("ep_1")), Ok(adopted));
        assert_eq!(plan(&all, &wanted(), Some("ep_9")), Err(Refusal::Unknown("ep_9".to_owned())));
        let theirs = [endpoint("ep_1", Some("theirs"))];
        assert!(matches!(plan(&theirs, &wanted(), Some("ep_1")), Err(Refusal::Owned { .. })));
        let elsewhere = [Endpoint { url: "https://y/".to_owned(), ..by_hand.clone() }];
        assert!(matches!(plan(&elsewhere, &wanted(), Some("ep_1")), Err(Refusal::OtherUrl { .. })));
        let two = [by_hand, endpoint("ep_2", OWN)];
        assert!(matches!(plan(&two, &wanted(), Some("ep_1")), Err(Refusal::Two { .. })));
        assert_eq!(plan(&two, &wanted(), Some("ep_2")), Ok(Plan::Nothing { id: "ep_2".to_owned() }));
    }
}
