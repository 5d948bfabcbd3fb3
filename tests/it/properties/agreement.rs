//! The pure rule and the DynamoDB condition agree on every input.

use proptest::prelude::*;
use rollcall::adapters::dynamo::directory::Directory;
use rollcall::adapters::dynamo::directory::write::Put;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::digest::Digest;
use rollcall::core::mirror::item::{CONSEQUENCES_AT, Item, PURGING_AT, Provenance, Writer};
use rollcall::core::mirror::rank::{EntityState, Rank};
use rollcall::core::mirror::rule::{Exact, Guard, Stamp};
use rollcall_tests::World;
use serde_json::{Map, json};

/// Few values, so that they meet; the edges among them.
fn moment() -> impl Strategy<Value = Millis> {
    prop::sample::select(vec![0, 1, 9, 10, 1_767_225_600_000, 1_767_225_600_001, 9_999_999_999_999])
        .prop_map(|ms| Millis::try_from(ms).unwrap())
}

fn rank() -> impl Strategy<Value = Rank> {
    (moment(), any::<bool>(), moment()).prop_map(|(generation, deleted, version)| Rank {
        generation,
        state: if deleted { EntityState::Deleted } else { EntityState::Live },
        version,
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    prop::sample::select(vec![
        Digest::new("user", &Map::new()),
        Digest::new("membership", &Map::new()),
        Digest::tombstone(),
    ])
}

fn stamp() -> impl Strategy<Value = Stamp> {
    let membership = prop::sample::select(vec![None, Some("orgmem_1"), Some("orgmem_2")]);
    let marks = (prop::bool::weighted(0.15), prop::bool::weighted(0.15));
    let stored_at = prop::sample::select(vec![None, Some(1), Some(2), Some(2)]);
    let stored_at = stored_at.prop_map(|ms| ms.map(|ms| Millis::try_from(ms).unwrap()));
    let all = (rank(), digest(), membership, stored_at, marks);
    all.prop_map(|(rank, digest, membership, stored_at, (is_finished, is_purging))| Stamp {
        rank,
        digest,
        membership_id: membership.map(|id| id.parse().unwrap()),
        stored_at,
        is_finished,
        is_purging,
    })
}

fn guard() -> impl Strategy<Value = Guard> {
    prop_oneof![
        3 => Just(Guard::Newer),
        2 => Just(Guard::NewerAndKnown),
        2 => digest().prop_map(Guard::NewerOrSeen),
        1 => Just(Guard::Absent),
        2 => stamp().prop_map(|stamp| Guard::Exactly(Exact::from(stamp))),
    ]
}

/// The stored stamp is often the very one that an `Exactly` asks for, which chance alone would hardly bring about.
fn case() -> impl Strategy<Value = (Option<Stamp>, Stamp, Guard)> {
    (prop::option::weighted(0.9, stamp()), stamp(), guard(), any::<bool>()).prop_map(
        |(stored, offered, guard, meet)| {
            let guard = match (guard, &stored) {
                (Guard::Exactly(..), Some(stored)) if meet => Guard::Exactly(Exact::from(stored.clone())),
                (guard, _) => guard,
            };
            (stored, offered, guard)
        },
    )
}

fn item(stamp: &Stamp, sk: &str) -> Item {
    let mut fields = Map::new();
    fields.extend(stamp.membership_id.iter().map(|id| ("membership_id".to_owned(), json!(id))));
    for (mark, is_set) in [(CONSEQUENCES_AT, stamp.is_finished), (PURGING_AT, stamp.is_purging)] {
        fields.extend(is_set.then(|| (mark.to_owned(), json!(7))));
    }
    Item {
        key: rollcall::core::id::Key { pk: "AGREEMENT".to_owned(), sk: sk.to_owned() },
        rank: stamp.rank,
        digest: stamp.digest.clone(),
        // Without the moment the row has another writer, too.
        provenance: Provenance {
            applied_at: stamp.stored_at.unwrap_or(Millis::ZERO),
            applied_by: if stamp.stored_at.is_some() { Writer::Webhook } else { Writer::Unknown },
            delivery_id: None,
        },
        created_at: None,
        updated_at: None,
        deleted_at: None,
        fields,
    }
}

#[test]
fn i15_the_pure_rule_and_the_condition_agree_on_ten_thousand_pairs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let table = world.stack.addresses.directory_table.clone();
    let directory = Directory::new(world.stack.dynamodb.clone(), table.clone());
    let (cases, admitted) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    let (mut runner, seed) = rollcall_tests::runner(10_000);
    let result = runner.run(&case(), |(stored, offered, guard)| {
        cases.set(cases.get() + 1);
        let sk = format!("CASE#{}", cases.get());
        let put = runtime.block_on(async {
            if let Some(stored) = &stored {
                let row = serde_dynamo::to_item(item(stored, &sk).to_attributes()).unwrap();
                world.stack.dynamodb.put_item().table_name(&table).set_item(Some(row)).send().await.unwrap();
            }
            directory.put(&item(&offered, &sk), &guard).await.unwrap()
        });
        // A mark on a live row is stored and means nothing.
        let stored = stored.map(|stored| Stamp::from(&item(&stored, &sk)));
        let applied = matches!(put, Put::Applied { .. });
        admitted.set(admitted.get() + u32::from(applied));
        prop_assert_eq!(guard.admits(&offered, stored.as_ref()), applied);
        if let Put::ConditionFailed(found) = put {
            prop_assert_eq!(found.as_deref().map(Stamp::from), stored);
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
    assert!(cases.get() >= 10_000);
    let share = f64::from(admitted.get()) / f64::from(cases.get());
    assert!((0.2..0.8).contains(&share), "both verdicts must be common, but {share} were admitted");
}
