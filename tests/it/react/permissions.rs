//! react's role in template.yaml names the attributes of the tombstones that react may put: those that the code writes,
//! and no others. A field that is missing in the list would be refused on AWS alone, with the first deletion of a
//! member.

use std::collections::BTreeSet;

use rollcall::core::mirror::item::{CONSEQUENCES_AT, PURGING_AT};
use rollcall_tests::{SAMPLE_TIME, World, deletion_event, sample};
use serde_yaml_ng::Value;

use crate::{ACME, GRACE, membership};

/// The statement of a role, wherever an `!If` has put it.
fn statement<'a>(value: &'a Value, sid: &str) -> Option<&'a Value> {
    match value {
        Value::Mapping(map) if value["Sid"] == sid => Some(value).filter(|_| !map.is_empty()),
        Value::Mapping(map) => map.values().find_map(|value| statement(value, sid)),
        Value::Sequence(values) => values.iter().find_map(|value| statement(value, sid)),
        Value::Tagged(tagged) => statement(&tagged.value, sid),
        _ => None,
    }
}

fn allowed() -> BTreeSet<String> {
    let template = rollcall_cli::template::read().unwrap();
    let statement = statement(&template["Resources"]["ReactRole"], "Tombstones").unwrap();
    let names = &statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"];
    names.as_sequence().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_role_of_react_may_put_each_attribute_of_a_memberships_tombstone_and_no_other() {
    let mut written = BTreeSet::from([CONSEQUENCES_AT.to_owned(), PURGING_AT.to_owned()]);
    for policy in ["retain", "redact", "purge"] {
        let world = World::with(&[("DELETION_POLICY", policy)]).await;
        world.post(&sample("organizationMembership.created")).await;
        let live = world.item(&membership(GRACE, ACME)).await.unwrap();
        assert!(live["user_pk"].is_string(), "{live}");
        world.post(&deletion_event("user.deleted", GRACE, SAMPLE_TIME)).await;
        world.follow().await;
        let tombstone = world.item(&membership(GRACE, ACME)).await.unwrap();
        assert!(tombstone["deleted_at"].is_u64() && tombstone["applied_by"] == "cascade", "{policy}: {tombstone}");
        let names: BTreeSet<String> = tombstone.as_object().unwrap().keys().cloned().collect();
        if policy == "retain" {
            // Otherwise a new field of memberships, of which the sample says nothing, would be in no list.
            let kept: BTreeSet<&String> = live.as_object().unwrap().keys().collect();
            let lost: Vec<_> = kept.into_iter().filter(|name| !names.contains(*name)).collect();
            assert_eq!(lost, ["delivery_id", "user_pk"], "fields that a retained membership loses");
        }
        written.extend(names);
    }
    assert_eq!(allowed(), written, "template.yaml, ReactRole, Tombstones: dynamodb:Attributes");
}
