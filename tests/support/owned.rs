//! Creates an application's own tables with rows of users, and reads the rows that remain.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, PutRequest, ScalarAttributeType, WriteRequest,
};
use reconcile::Report;
use rollcall::adapters::dynamo::directory::Directory;
use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::core::id::{InstanceId, InternalId, UserId};
use rollcall::services::operator::restore::{Backup, Places, Restored, Restorer};

use crate::world::World;

/// The four tables of the application of the preset `progress-and-purge`. They cover all kinds: found by key or by
/// index, with and without a sort key.
pub const TABLES: [&str; 4] = ["tasks", "user_progress", "daily_checkins", "moods"];

/// The value of `OWNED_TABLES` for these tables.
pub const OWNED_TABLES: &str = r#"[
    {"table":"tasks","key":"user_id","sort_key":"task_id","index":null,"id":"clerk","unique_per_user":false},
    {"table":"user_progress","key":"user_id","sort_key":null,"index":null,"id":"clerk","unique_per_user":true},
    {"table":"daily_checkins","key":"user_id","sort_key":"date","index":null,"id":"internal","unique_per_user":false},
    {"table":"moods","key":"user_id","sort_key":null,"index":"by_user","id":"clerk","unique_per_user":false}
]"#;

/// The names of all key attributes.
const KEYS: [&str; 6] = ["pk", "sk", "user_id", "task_id", "date", "mood_id"];

/// A row as the engine returns it, sorted by attribute.
pub type Row = BTreeMap<String, AttributeValue>;

impl World {
    /// Creates the four tables.
    ///
    /// # Panics
    ///
    /// If DynamoDB rejects a table.
    pub async fn make_owned_tables(&self) {
        let text = |name: &str| {
            let text = ScalarAttributeType::S;
            AttributeDefinition::builder().attribute_name(name).attribute_type(text).build().unwrap()
        };
        let part = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        for (table, hash, range) in [
            ("tasks", "user_id", Some("task_id")),
            ("user_progress", "user_id", None),
            ("daily_checkins", "user_id", Some("date")),
            ("moods", "mood_id", None),
        ] {
            let request = self.stack.dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
            let mut request = request.attribute_definitions(text(hash)).key_schema(part(hash, KeyType::Hash));
            if let Some(range) = range {
                request = request.attribute_definitions(text(range)).key_schema(part(range, KeyType::Range));
            }
            if table == "moods" {
                let keys = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
                let index = GlobalSecondaryIndex::builder().index_name("by_user").projection(keys);
                let index = index.key_schema(part("user_id", KeyType::Hash)).build().unwrap();
                request = request.attribute_definitions(text("user_id")).global_secondary_indexes(index);
            }
            request.send().await.unwrap();
        }
    }

    /// Makes a table with a key of texts.
    ///
    /// # Panics
    ///
    /// If DynamoDB rejects it.
    pub async fn make_table(&self, table: &str, hash: &str, range: Option<&str>) {
        let mut request = self.stack.dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [(Some(hash), KeyType::Hash), (range, KeyType::Range)] {
            let Some(name) = name else { continue };
            let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            let part = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            request = request.attribute_definitions(text.build().unwrap()).key_schema(part.build().unwrap());
        }
        request.send().await.unwrap();
    }

    /// The internal id of a user.
    ///
    /// # Panics
    ///
    /// If the id is invalid.
    pub fn internal(&self, user: &str) -> InternalId {
        let instance: InstanceId = self.stack.addresses.clerk_instance_id.parse().unwrap();
        instance.internal_id(&user.parse::<UserId>().unwrap())
    }

    /// Writes rows of a user: a number of rows into each table with a sort key or an index, one into the other. They
    /// contain values that JSON cannot express, and a note.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not take them.
    pub async fn give_rows(&self, user: &str, many: usize, note: &str) {
        let (s, n) =
            (|text: &str| AttributeValue::S(text.to_owned()), |digits: &str| AttributeValue::N(digits.to_owned()));
        let internal = self.internal(user).to_string();
        let row = |keys: &[(&str, String)]| {
            let mut row = Row::from([
                ("note".to_owned(), s(note)),
                ("bytes".to_owned(), AttributeValue::B(Blob::new([0, 159, 146, 150]))),
                ("exact".to_owned(), n("12345678901234567890123456789012345678")),
                ("words".to_owned(), AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()])),
                ("nothing".to_owned(), AttributeValue::Null(true)),
            ]);
            row.extend(keys.iter().map(|(name, value)| ((*name).to_owned(), s(value))));
            row
        };
        let mut rows = vec![("user_progress", row(&[("user_id", user.to_owned())]))];
        for at in 0..many {
            rows.push(("tasks", row(&[("user_id", user.to_owned()), ("task_id", format!("task-{at}"))])));
            rows.push(("daily_checkins", row(&[("user_id", internal.clone()), ("date", format!("day-{at}"))])));
            rows.push(("moods", row(&[("mood_id", format!("{user}-{at}")), ("user_id", user.to_owned())])));
        }
        self.put_rows(rows).await;
    }

    /// Puts rows into tables.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not take them.
    pub async fn put_rows(&self, rows: Vec<(&str, Row)>) {
        for some in rows.chunks(25) {
            let mut request = self.stack.dynamodb.batch_write_item();
            let mut by_table: BTreeMap<&str, Vec<WriteRequest>> = BTreeMap::new();
            for (table, row) in some {
                let put = PutRequest::builder().set_item(Some(row.clone().into_iter().collect())).build().unwrap();
                by_table.entry(table).or_default().push(WriteRequest::builder().put_request(put).build());
            }
            for (table, writes) in by_table {
                request = request.request_items(table, writes);
            }
            assert!(request.send().await.unwrap().unprocessed_items().is_none_or(HashMap::is_empty));
        }
    }

    /// All rows of some tables, unchanged, each with its table.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer.
    pub async fn exactly(&self, tables: &[&str]) -> Vec<(String, Row)> {
        let mut all = Vec::new();
        for table in tables {
            let scan = self.stack.dynamodb.scan().table_name(*table).consistent_read(true);
            let rows = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
            all.extend(rows.into_iter().map(|row| ((*table).to_owned(), row.into_iter().collect::<Row>())));
        }
        // Sorted by the keys: maps within a row have no fixed order.
        let key = |row: &Row| KEYS.map(|name| row.get(name).and_then(|value| value.as_s().ok()).cloned());
        all.sort_by_cached_key(|(table, row)| (table.clone(), key(row)));
        all
    }

    /// All rows of the four tables.
    pub async fn owned(&self) -> Vec<(String, Row)> {
        self.exactly(&TABLES).await
    }

    /// Carries out due purges, as the hourly schedule does.
    ///
    /// # Panics
    ///
    /// If the purge stops before its end.
    pub async fn purge_due(&self) -> Report {
        self.reconciler().await.purge_due(None).await.unwrap()
    }

    /// Advances the clock by a number of hours.
    pub fn wait_hours(&self, hours: u64) {
        self.set_now(self.now().get() + hours * 60 * 60 * 1000);
    }

    /// Restores a backup as `rollcall restore` does, into Profiles and the tables of [`OWNED_TABLES`].
    ///
    /// # Panics
    ///
    /// If the backup may not be restored, or DynamoDB rejects it.
    pub async fn restore(&self, text: &str, replaces: bool) -> Restored {
        let client = || self.stack.dynamodb.clone();
        let profiles = DynamoOwned::partition(client(), self.stack.addresses.profiles_table.clone());
        let owned: Vec<DynamoOwned> = rollcall::core::deletion::owned::owned_tables(OWNED_TABLES)
            .unwrap()
            .into_iter()
            .map(|table| DynamoOwned::new(client(), table))
            .collect();
        let instance = self.stack.addresses.clerk_instance_id.parse().unwrap();
        let places = Places::new(instance, &profiles, &owned).await.unwrap();
        let checked = Backup::parse(text).unwrap().check(&places).unwrap();
        let addresses = &self.stack.addresses;
        let restorer = Restorer {
            dynamodb: client(),
            directory: Directory::new(client(), addresses.directory_table.clone()),
            operations: Operations::new(client(), addresses.operations_table.clone()),
            clock: self.clock(),
        };
        let mut restored = Restored::default();
        checked.restore(&restorer, "backup", replaces, &mut restored).await.unwrap();
        restored
    }

    /// All backups, by their paths.
    ///
    /// # Panics
    ///
    /// If the backups cannot be read.
    pub fn backups(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![std::path::PathBuf::from(&self.stack.addresses.backups)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.insert(path.to_string_lossy().into_owned(), text);
                }
            }
        }
        found
    }
}
