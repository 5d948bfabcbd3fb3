//! What a deletion leaves under each policy set, through Clerk's own API: the signed event, the table, its stream, the
//! grace period, the hourly settling. Everything but the schedule runs by itself here.

use clerk_emulator::Config;
use reconcile::Outcome;
use rollcall::services::operator::restore::Backup;
use rollcall_cli::presets;
use rollcall_tests::{Fault, OWNED_TABLES, TABLES, World, deletion_event, membership_event, user_event};
use serde_json::{Value, json};

use crate::monitoring::metrics::counted;
use crate::{membership, organization, user};

/// Ada, her colleague, their organization, and rows of both of them in four tables of the application's.
struct Office {
    world: World,
    ada: String,
    grace: String,
    acme: String,
}

impl Office {
    /// A world as one of the presets has it; what `further` says counts more.
    async fn new(preset: &str, further: &[(&str, &str)]) -> Office {
        let mut settings = presets::read(preset).unwrap();
        settings.insert("OWNED_TABLES".to_owned(), OWNED_TABLES.to_owned());
        settings.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let world = World::live(Config::default(), &settings).await;
        world.make_owned_tables().await;
        let ada = sign_up(&world, "Ada").await;
        let grace = sign_up(&world, "Grace").await;
        let body = json!({ "name": "Acme", "created_by": ada });
        let acme = world.clerk("POST", "/organizations", body).await["id"].as_str().unwrap().to_owned();
        let member = json!({ "user_id": grace, "role": "org:member" });
        world.clerk("POST", &format!("/organizations/{acme}/memberships"), member).await;
        world.give_rows(&ada, 30, "Ada's").await;
        world.give_rows(&grace, 3, "Grace's").await;
        world.stack.settled().await;
        Office { world, ada, grace, acme }
    }

    /// Ada deletes her account, as Clerk's own user interface lets her.
    async fn ada_leaves(&self) {
        self.world.clerk("DELETE", &format!("/users/{}", self.ada), Value::Null).await;
        self.world.stack.settled().await;
    }

    async fn purge_due(&self) -> reconcile::Report {
        let report = self.world.stack.reconcile.purge_due(None).await.unwrap();
        self.world.stack.settled().await;
        report
    }

    /// Ada's copy, her membership, her record, and the membership's.
    async fn stored(&self) -> [Option<Value>; 4] {
        let [copy, _, member, record, of_member] = self.world.stored(&self.ada, &self.acme).await;
        [copy, member, record, of_member]
    }

    /// What is there of everybody else.
    async fn others(&self) -> (Vec<Value>, Vec<Value>, usize) {
        let ada = format!("USER#{}", self.world.internal(&self.ada));
        let but_ada = |rows: Vec<Value>| rows.into_iter().filter(|row| row["pk"] != ada.as_str()).collect();
        let owned = self.world.owned().await;
        let of_grace = owned.iter().filter(|(_, row)| row["note"].as_s().is_ok_and(|note| note == "Grace's")).count();
        (but_ada(self.world.directory().await), but_ada(self.world.profiles().await), of_grace)
    }

    /// Rows of Ada's in the four tables.
    async fn rows(&self) -> usize {
        let owned = self.world.owned().await;
        owned.iter().filter(|(_, row)| row["note"].as_s().is_ok_and(|note| note == "Ada's")).count()
    }

    /// Whether a note in Operations says that something of Ada's is due.
    async fn is_noted(&self) -> bool {
        let id = self.world.internal(&self.ada).to_string();
        let rows = self.world.operations().await;
        rows.iter().any(|row| row["pk"].as_str().unwrap().starts_with("PURGE#") && row["sk"] == id.as_str())
    }
}

async fn sign_up(world: &World, name: &str) -> String {
    let address = format!("{}@example.com", name.to_lowercase());
    let body = world.clerk("POST", "/users", json!({ "first_name": name, "email_address": [address] })).await;
    body["id"].as_str().unwrap().to_owned()
}

const HOUR: u64 = 60 * 60 * 1000;
/// Thirty in three of the tables, one in the fourth.
const ROWS: usize = 91;

#[tokio::test]
async fn c2_e8_the_read_only_copy_keeps_the_row_and_all_that_points_at_it() {
    let office = Office::new("read-only-copy", &[]).await;
    let before = office.stored().await;
    office.ada_leaves().await;
    office.world.wait_hours(49);
    let report = office.purge_due().await;
    assert_eq!((report.state, report.purges.unwrap().purged), (Outcome::Done, 0));
    let after = office.stored().await;
    let (copy, kept) = (after[0].as_ref().unwrap(), before[0].as_ref().unwrap());
    for field in ["id", "clerk_user_id", "name", "email", "first_name", "public_metadata", "created_at"] {
        assert_eq!(copy[field], kept[field], "{field}");
    }
    assert!(copy["deleted_at"].is_u64() && copy["applied_by"] == "webhook", "{copy}");
    // Nobody but the webhook has written, so the membership stands as it was; readers honour the user's tombstone.
    assert_eq!((&after[1..], office.rows().await), (&before[1..], ROWS));
    assert!(office.world.backups().is_empty() && !office.is_noted().await);
}

#[tokio::test]
async fn c2_where_everything_is_kept_and_ends_are_followed_a_deletion_is_done_at_once() {
    let office = Office::new("user-records", &[("DELETION_POLICY", "retain")]).await;
    let before = office.stored().await;
    office.ada_leaves().await;
    let after = office.stored().await;
    let (copy, member) = (after[0].as_ref().unwrap(), after[1].as_ref().unwrap());
    assert!(copy["consequences_at"].is_u64() && copy["name"] == "Ada", "{copy}");
    assert!(member["deleted_at"].is_u64() && member["clerk_user_id"] == office.ada.as_str(), "{member}");
    assert_eq!((&after[2..], office.rows().await), (&before[2..], ROWS));
    assert!(office.world.backups().is_empty() && !office.is_noted().await);
}

#[tokio::test]
async fn d4_e8_a_redacted_user_waits_a_day_and_then_nothing_personal_is_left() {
    for preset in ["user-records", "org-profiles"] {
        let office = Office::new(preset, &[]).await;
        let mut record = office.stored().await[2].clone().unwrap();
        record["nickname"] = "the Countess".into();
        office.world.put(&office.world.stack.addresses.profiles_table, &record).await;
        let others = office.others().await;
        office.ada_leaves().await;
        // At once she is nobody any more, and a member of nothing; what is hers waits.
        let [copy, member, kept, _] = office.stored().await.map(Option::unwrap);
        assert_eq!(
            (&copy["name"], &copy["email"]),
            (&json!("Deleted User"), &json!("redacted@deleted.com")),
            "{preset}"
        );
        assert!(copy["image_url"].is_null() && member["deleted_at"].is_u64(), "{copy} {member}");
        assert!(copy["consequences_at"].is_null() && copy["clerk_user_id"] == office.ada.as_str(), "{copy}");
        assert_eq!((&kept, office.is_noted().await), (&record, true));
        office.world.wait_hours(23);
        assert_eq!(office.purge_due().await.purges.unwrap().purged, 0, "the grace period is not over");
        assert_eq!(office.stored().await[2].as_ref(), Some(&record));

        office.world.wait_hours(2);
        let settled = office.purge_due().await.purges.unwrap();
        assert_eq!((settled.purged, settled.rows, settled.failed), (1, 2, 0), "{preset} {settled:?}");
        let [copy, member, record, of_member] = office.stored().await.map(Option::unwrap);
        assert_eq!((&copy["clerk_user_id"], &copy["id"]), (&json!("deleted"), &record["user_id"]));
        assert!(copy["consequences_at"].is_u64() && copy["purging_at"].is_null(), "{copy}");
        assert!(member["clerk_user_id"].is_null() && member["consequences_at"].is_u64(), "{member}");
        let names = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(&record), ["created_at", "pk", "redacted_at", "sk", "user_id"].map(str::to_owned).into());
        let expected = ["created_at", "organization_id", "pk", "redacted_at", "sk", "user_id"].map(str::to_owned);
        assert_eq!(names(&of_member), expected.into());
        // Rows of the application's stay, and so does everybody else.
        assert_eq!((office.rows().await, office.is_noted().await), (ROWS, false));
        assert_eq!(office.others().await, others);
    }
}

#[tokio::test]
async fn e2_e8_a_purged_user_leaves_the_bare_key_and_no_row_in_any_table() {
    let office = Office::new("progress-and-purge", &[]).await;
    let others = office.others().await;
    office.ada_leaves().await;
    assert_eq!((office.rows().await, office.is_noted().await), (ROWS, true), "all of it waits");
    office.world.wait_hours(25);
    let log = crate::properties::failures::Log::default();
    let listening = log.listen();
    let settled = office.purge_due().await.purges.unwrap();
    drop(listening);
    // The two records as well.
    assert_eq!((settled.purged, settled.rows, settled.failed), (1, ROWS as u64 + 2, 0), "{settled:?}");
    let [copy, member, record, of_member] = office.stored().await;
    let names: Vec<String> = copy.as_ref().unwrap().as_object().unwrap().keys().cloned().collect();
    let bare = ["applied_at", "applied_by", "consequences_at", "deleted_at", "delivery_id", "digest", "id", "pk"];
    assert_eq!(names, [&bare[..], &["rank", "sk"]].concat());
    assert!(member.unwrap()["clerk_user_id"].is_null() && record.is_none() && of_member.is_none());
    assert_eq!((office.rows().await, office.others().await), (0, others));
    // Every deletion is a line of the log, by its table and its number, without a word of hers.
    for (table, rows) in [("tasks", 30), ("user_progress", 1), ("daily_checkins", 30), ("moods", 30)] {
        let line = log.text().lines().find(|line| line.contains(&format!(r#""table":"{table}""#))).unwrap().to_owned();
        assert!(line.contains(&format!(r#""rows":{rows}"#)), "{line}");
    }
    assert!(!log.text().contains("Ada") && !log.text().contains(&office.ada), "{}", log.text());
}

#[tokio::test]
async fn e2_a_missing_table_is_reported_and_keeps_nobody_waiting() {
    let office = Office::new("progress-and-purge", &[]).await;
    office.world.stack.dynamodb.delete_table().table_name("user_progress").send().await.unwrap();
    office.ada_leaves().await;
    office.world.wait_hours(25);
    let report = office.purge_due().await;
    let settled = report.purges.unwrap();
    assert_eq!((report.state, settled.purged, settled.failed), (Outcome::Done, 1, 0), "{settled:?}");
    assert_eq!(settled.missing_tables, ["user_progress"]);
    assert_eq!(office.world.exactly(&["tasks", "daily_checkins", "moods"]).await.len(), 9, "Grace's");
}

#[tokio::test]
async fn e2_profiles_is_none_of_the_tables_that_may_be_missing() {
    let office = Office::new("progress-and-purge", &[]).await;
    office.ada_leaves().await;
    let profiles = &office.world.stack.addresses.profiles_table;
    office.world.stack.dynamodb.delete_table().table_name(profiles).send().await.unwrap();
    office.world.wait_hours(25);
    let settled = office.world.stack.reconcile.purge_due(None).await.unwrap().purges.unwrap();
    assert_eq!((settled.purged, settled.failed, office.rows().await), (0, 1, ROWS), "{settled:?}");
    assert!(office.is_noted().await);
}

#[tokio::test]
async fn e2_a_table_that_is_not_as_the_setting_says_leaves_the_purge_to_be_mended() {
    for (wrong, problem) in [
        (r#"[{"table":"tasks","key":"owner"}]"#, "the partition key is user_id, expected owner"),
        (r#"[{"table":"moods","key":"user_id"}]"#, "the partition key is mood_id, expected user_id"),
        (r#"[{"table":"moods","key":"user_id","index":"by_owner"}]"#, "index by_owner does not exist"),
        (r#"[{"table":"tasks","key":"user_id","sort_key":"id"}]"#, "id is not a key of the table or index"),
    ] {
        let office = Office::new("progress-and-purge", &[("OWNED_TABLES", wrong)]).await;
        office.ada_leaves().await;
        office.world.wait_hours(25);
        let log = crate::properties::failures::Log::default();
        let listening = log.listen();
        let (report, counts) = counted(office.purge_due()).await;
        drop(listening);
        assert_eq!((report.state, report.purges.unwrap().failed), (Outcome::Incomplete, 1), "{wrong}");
        assert_eq!((counts.get("PurgesLeft"), counts.get("Failures")), (Some(&1), None), "{counts:?}");
        assert!(log.text().contains(problem), "{}", log.text());
        let copy = office.stored().await[0].clone().unwrap();
        assert!(copy["consequences_at"].is_null() && office.is_noted().await, "{copy}");
        assert!(copy["purging_at"].is_null(), "nothing has begun that an undo could come too late for: {copy}");
        // Mended, the same purge goes on, whether by the hour or by night.
        let mended = office.world.beside(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)]).await;
        assert_eq!(mended.purge_due().await.purges.unwrap().purged, 1);
        assert_eq!(office.rows().await, 0);
    }
}

#[tokio::test]
async fn a6_e8_without_a_mirror_the_bare_tombstone_still_erases_the_users_own_rows() {
    let office = Office::new("clerk-only", &[("DELETION_POLICY", "purge")]).await;
    assert!(office.stored().await.iter().all(Option::is_none), "nobody is mirrored");
    office.ada_leaves().await;
    office.world.wait_hours(25);
    assert_eq!(office.purge_due().await.purges.unwrap().purged, 1);
    let copy = office.stored().await[0].clone().unwrap();
    assert!(copy["clerk_user_id"].is_null() && copy["consequences_at"].is_u64(), "{copy}");
    assert_eq!(office.rows().await, 0);
    // As the preset has it, redacting, the rows stay: there is nothing personal of hers here to remove.
    let office = Office::new("clerk-only", &[]).await;
    office.ada_leaves().await;
    office.world.wait_hours(25);
    assert_eq!(office.purge_due().await.purges.unwrap().purged, 1);
    let copy = office.stored().await[0].clone().unwrap();
    assert_eq!((copy["clerk_user_id"].as_str(), office.rows().await), (Some("deleted"), ROWS));
}

#[tokio::test]
async fn e8_without_a_hold_everything_is_gone_when_the_event_has_been_followed() {
    let office = Office::new("progress-and-purge", &[("PURGE_AFTER_HOURS", "0")]).await;
    let others = office.others().await;
    office.ada_leaves().await;
    let [copy, _, record, of_member] = office.stored().await;
    assert!(copy.unwrap()["consequences_at"].is_u64() && record.is_none() && of_member.is_none());
    assert_eq!((office.rows().await, office.is_noted().await), (0, false));
    assert_eq!(office.others().await, others);
}

#[tokio::test]
async fn e8_what_only_an_operator_can_mend_keeps_nobody_else_waiting() {
    let wrong = r#"[{"table":"tasks","key":"owner"}]"#;
    let office = Office::new("progress-and-purge", &[("PURGE_AFTER_HOURS", "0"), ("OWNED_TABLES", wrong)]).await;
    let left = tokio::time::timeout(std::time::Duration::from_mins(1), office.ada_leaves()).await;
    left.expect("the stream goes on, whatever is wrong with her tables");
    // To whoever came after her.
    let body = json!({ "first_name": "Late", "email_address": ["late@example.com"] });
    let late = office.world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    office.world.stack.settled().await;
    assert!(office.world.stored(&late, &office.acme).await[3].is_some(), "a record of her own");
    assert!(office.stored().await[0].as_ref().unwrap()["consequences_at"].is_null() && office.is_noted().await);
    let settings = [("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "0"), ("OWNED_TABLES", OWNED_TABLES)];
    office.world.wait_hours(1);
    assert_eq!(office.world.beside(&settings).await.purge_due().await.purges.unwrap().purged, 1);
    assert_eq!(office.rows().await, 0);
}

#[tokio::test]
async fn e10_a_hold_that_is_made_longer_holds_what_waits_already() {
    let office = Office::new("progress-and-purge", &[]).await;
    office.ada_leaves().await;
    let settings = [("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "72"), ("OWNED_TABLES", OWNED_TABLES)];
    let longer = office.world.beside(&settings).await;
    longer.wait_hours(25);
    let settled = longer.purge_due().await.purges.unwrap();
    assert_eq!((settled.purged, settled.obsolete, office.rows().await), (0, 1, ROWS));
    assert!(office.is_noted().await, "under the hour of the longer hold");
    longer.wait_hours(48);
    assert_eq!((longer.purge_due().await.purges.unwrap().purged, office.rows().await), (1, 0));
}

#[tokio::test]
async fn e2_a_row_that_two_settings_lead_to_is_removed_once() {
    let twice = r#"[{"table":"moods","key":"user_id","index":"by_user"},{"table":"moods","key":"mood_id"}]"#;
    let office = Office::new("progress-and-purge", &[("OWNED_TABLES", twice)]).await;
    // A mood that has the user's own id for its key, and is found by it.
    let mood = [("mood_id", office.ada.as_str()), ("user_id", office.ada.as_str()), ("note", "Ada's")];
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let mood = mood.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
    office.world.put_rows(vec![("moods", mood)]).await;
    office.ada_leaves().await;
    office.world.wait_hours(25);
    let settled = office.purge_due().await.purges.unwrap();
    assert_eq!((settled.purged, settled.rows), (1, 31 + 2), "{settled:?}");
}

#[tokio::test]
async fn e8_nothing_late_changes_anything_about_somebody_who_is_gone() {
    for policy in ["redact", "purge"] {
        let office = Office::new("progress-and-purge", &[("DELETION_POLICY", policy)]).await;
        let world = &office.world;
        let session = world.session(&office.ada, Some(&office.acme));
        office.ada_leaves().await;
        world.wait_hours(25);
        office.purge_due().await;
        let before = (office.stored().await, world.exactly(&TABLES).await, office.others().await);
        // What Clerk may send late, as it was or as if it had only happened now; a second deletion among it, and her
        // last session.
        let late = world.beside(&[("DELETION_POLICY", policy), ("OWNED_TABLES", OWNED_TABLES)]).await;
        let (was, now) = (world.now().get() - 26 * HOUR, world.now().get());
        for at in [was, now] {
            late.post(&user_event("user.created", &office.ada, "Ada", at)).await;
            late.post(&deletion_event("user.deleted", &office.ada, at + 1)).await;
            let acme = office.acme.as_str();
            for (kind, organization) in
                [("created", acme), ("updated", acme), ("deleted", acme), ("deleted", "org_elsewhere")]
            {
                let mut event =
                    membership_event(&format!("organizationMembership.{kind}"), "orgmem_late", at, at + 2, at + 2);
                event["data"]["organization"]["id"] = organization.into();
                event["data"]["public_user_data"]["user_id"] = office.ada.as_str().into();
                late.post(&event).await;
                world.stack.settled().await;
            }
        }
        late.ensure(&session).await;
        world.stack.settled().await;
        let names_her = |rows: Vec<Value>| rows.iter().any(|row| row.to_string().contains(&office.ada));
        assert!(!names_her(world.directory().await), "{policy}");
        late.wait_hours(1);
        late.reconcile().await;
        late.purge_due().await;
        world.stack.settled().await;
        let after = (office.stored().await, world.exactly(&TABLES).await, office.others().await);
        assert_eq!(after.0, before.0, "{policy}");
        assert_eq!(after.1, before.1, "{policy}");
        assert!(!names_her(world.directory().await), "{policy}");
    }
}

#[tokio::test]
async fn e10_what_cannot_be_backed_up_is_not_removed_and_what_is_removed_can_be_had_back() {
    for policy in ["redact", "purge"] {
        let office = Office::new("progress-and-purge", &[("DELETION_POLICY", policy)]).await;
        let world = &office.world;
        let before = (world.owned().await, world.exactly(&[&world.stack.addresses.profiles_table]).await);
        office.ada_leaves().await;
        world.wait_hours(25);
        // A file where the folder should be.
        let blocked = tempfile::NamedTempFile::new().unwrap();
        let nowhere = blocked.path().join("backups").to_string_lossy().into_owned();
        let settings = [("DELETION_POLICY", policy), ("OWNED_TABLES", OWNED_TABLES), ("BACKUP_BUCKET", &nowhere)];
        let without = world.beside(&settings).await;
        let report = without.purge_due().await;
        // The purge, and the look for old backups.
        assert_eq!((report.state, report.purges.unwrap().failed), (Outcome::Incomplete, 2));
        assert_eq!(world.owned().await, before.0, "{policy}");
        assert_eq!(world.exactly(&[&world.stack.addresses.profiles_table]).await, before.1, "{policy}");

        assert_eq!(office.purge_due().await.purges.unwrap().purged, 1);
        let backups = world.backups();
        assert_eq!(backups.len(), 1);
        let text = backups.values().next().unwrap();
        let backup = Backup::parse(text).unwrap();
        let rows: u64 = backup.rows().values().sum();
        assert_eq!(rows, if policy == "purge" { ROWS as u64 + 2 } else { 2 });
        let restored = world.restore(text, false).await;
        assert_eq!(restored.restored.values().sum::<u64>(), rows, "{restored:?}");
        assert_eq!(world.owned().await, before.0, "{policy}");
        assert_eq!(world.exactly(&[&world.stack.addresses.profiles_table]).await, before.1, "{policy}");
        // Until it expires.
        world.wait_hours(29 * 24);
        office.purge_due().await;
        assert_eq!(world.backups().len(), 1);
        world.wait_hours(2 * 24);
        assert_eq!(office.purge_due().await.purges.unwrap().expired_backups, 1);
        assert!(world.backups().is_empty());
    }
}

#[tokio::test]
async fn e10_a_failure_between_the_backup_and_the_last_batch_loses_nothing() {
    let mut first_batch = None;
    let faults = [Fault::Throttled, Fault::ServerError, Fault::Unprocessed, Fault::LostAnswer];
    for fault in std::iter::once(None).chain(faults.map(Some)) {
        let office = Office::new("progress-and-purge", &[]).await;
        let world = office.world.beside(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)]).await;
        office.ada_leaves().await;
        world.wait_hours(25);
        world.wire.fail_after(first_batch.unwrap_or_default(), fault.into_iter().flat_map(|fault| [fault; 2]));
        let _ = world.wire.take();
        let settled = world.purge_due().await.purges.unwrap();
        let calls = world.wire.take();
        first_batch = first_batch.or_else(|| calls.iter().position(|call| call.operation == "BatchWriteItem"));
        assert_eq!((settled.purged, settled.failed), (1, 0), "{fault:?} is waited out: {settled:?}");
        assert_eq!((office.rows().await, world.backups().len()), (0, 1), "{fault:?}");
    }
    assert!(first_batch.is_some());
}

#[tokio::test]
async fn an_organizations_end_removes_nothing_of_its_members() {
    let office = Office::new("progress-and-purge", &[]).await;
    let (profiles, owned) = (office.world.profiles().await, office.world.owned().await);
    office.world.clerk("DELETE", &format!("/organizations/{}", office.acme), Value::Null).await;
    office.world.stack.settled().await;
    office.world.wait_hours(49);
    office.purge_due().await;
    let acme = office.world.item(&organization(&office.acme)).await.unwrap();
    assert!(acme["consequences_at"].is_u64(), "{acme}");
    let member = office.world.item(&membership(&office.grace, &office.acme)).await.unwrap();
    assert!(member["deleted_at"].is_u64() && member["clerk_user_id"] == office.grace.as_str(), "{member}");
    assert!(office.world.item(&user(&office.grace)).await.unwrap()["deleted_at"].is_null());
    assert_eq!((office.world.profiles().await, office.world.owned().await), (profiles, owned));
}
