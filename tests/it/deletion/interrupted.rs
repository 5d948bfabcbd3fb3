//! A purge that is killed, throttled, repeated, undone, and restored after it: whatever happens in whatever order, in
//! the end everything is there, or nothing is and all of it comes back from the backups.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rollcall::core::deletion::subject::Subject;
use rollcall::services::operator::OperatorError;
use rollcall_tests::owned::Row;
use rollcall_tests::{Fault, OWNED_TABLES, TABLES, World, deletion_event, killed_after, user_event};
use serde_json::{Value, json};

use crate::{state, user};

/// How an act is cut short.
#[derive(Clone, Copy, Debug)]
enum Cut {
    None,
    /// Killed at its nth await.
    Killed(usize),
    /// Twice refused by the store, after so many requests.
    Fails(Fault, usize),
    /// Refused until it gives up.
    Down(usize),
}

/// What may happen between a deletion and the end.
#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u64),
    /// The grace period is over, and the schedule fires.
    Due(Cut),
    Settle(Cut),
    Night(Cut),
    Follow,
    DeleteAgain,
    Late,
    Undo(Cut),
}

fn cut() -> impl Strategy<Value = Cut> {
    let fault = prop::sample::select(vec![Fault::Throttled, Fault::ServerError, Fault::LostAnswer]);
    prop_oneof![
        3 => Just(Cut::None),
        3 => (1..120_usize).prop_map(Cut::Killed),
        1 => (fault, 0..40_usize).prop_map(|(fault, after)| Cut::Fails(fault, after)),
        2 => (0..40_usize).prop_map(Cut::Down),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop::sample::select(vec![3, 20, 24, 25]).prop_map(Act::Wait),
        4 => cut().prop_map(Act::Due),
        2 => cut().prop_map(Act::Settle),
        1 => cut().prop_map(Act::Night),
        2 => Just(Act::Follow),
        2 => Just(Act::DeleteAgain),
        1 => Just(Act::Late),
        2 => cut().prop_map(Act::Undo),
    ]
}

/// One user of many in a world, with rows everywhere, whom Clerk has all the time: the deletion was a mistake.
struct Case<'a> {
    world: &'a World,
    ada: String,
    acme: String,
    policy: &'static str,
    copies: Vec<Value>,
    rows: Vec<(String, Row)>,
    bystanders: Vec<(String, Row)>,
    /// Whether any of the data were ever being removed.
    was_purged: bool,
}

async fn world(policy: &str) -> World {
    let settings = [("DELETION_POLICY", policy), ("OWNED_TABLES", OWNED_TABLES)];
    let clerk = clerk_emulator::Config { production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &settings).await;
    world.make_owned_tables().await;
    world
}

async fn id(world: &World, path: &str, body: Value) -> String {
    world.clerk("POST", path, body).await["id"].as_str().unwrap().to_owned()
}

impl<'a> Case<'a> {
    async fn open(world: &'a World, policy: &'static str) -> Case<'a> {
        world.set_now(world.now().get() + 60_000);
        let ada = id(world, "/users", json!({ "first_name": "Ada", "skip_user_requirement": true })).await;
        let acme = id(world, "/organizations", json!({ "name": "Acme", "created_by": ada })).await;
        let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let pk = format!("USER#{}", world.internal(&ada));
        let profiles = &world.stack.addresses.profiles_table;
        for mut row in world.profiles().await.into_iter().filter(|row| row["pk"] == pk.as_str()) {
            row["about"] = json!({ "of": ada, "list": [1, "two", null] });
            world.put(profiles, &row).await;
        }
        world.put(profiles, &json!({ "pk": pk, "sk": "NOTE#1", "text": "hers" })).await;
        world.give_rows(&ada, 17, "hers").await;
        world.follow().await;
        let mut case = Case {
            world,
            ada,
            acme,
            policy,
            copies: Vec::new(),
            rows: Vec::new(),
            bystanders: Vec::new(),
            was_purged: false,
        };
        case.copies = case.copies().await;
        (case.rows, case.bystanders) = case.split().await;
        assert_eq!((case.copies.len(), case.rows.len()), (2, 55));
        case.delete().await;
        world.follow().await;
        case
    }

    async fn delete(&self) {
        self.world.set_now(self.world.now().get() + 1_000);
        let deletion = deletion_event("user.deleted", &self.ada, self.world.now().get());
        assert_eq!(self.world.post(&deletion).await.status, 200);
    }

    /// The copies of the user and the membership, without how and when they came.
    async fn copies(&self) -> Vec<Value> {
        let [copy, _, member, _, _] = self.world.stored(&self.ada, &self.acme).await;
        copy.into_iter().chain(member).map(state).collect()
    }

    /// The rows of the user in Profiles and the four tables, and those of everybody else.
    async fn split(&self) -> (Vec<(String, Row)>, Vec<(String, Row)>) {
        let profiles = self.world.stack.addresses.profiles_table.as_str();
        let tables: Vec<&str> = TABLES.into_iter().chain([profiles]).collect();
        let internal = self.world.internal(&self.ada).to_string();
        let all = self.world.exactly(&tables).await;
        all.into_iter().partition(|(_, row)| {
            let text = format!("{row:?}");
            text.contains(&self.ada) || text.contains(&internal)
        })
    }

    async fn copy(&self) -> Value {
        self.world.item(&user(&self.ada)).await.unwrap()
    }

    /// Does something, cut short or not; nothing comes back if it was killed.
    async fn with<F: Future>(&self, cut: Cut, work: F) -> Option<F::Output> {
        let done = match cut {
            Cut::None => Some(work.await),
            Cut::Killed(polls) => killed_after(polls, work).await,
            Cut::Fails(fault, after) => {
                self.world.wire.fail_after(after, [fault; 2]);
                Some(work.await)
            }
            Cut::Down(after) => {
                self.world.wire.fail_after(after, [Fault::Throttled; 60]);
                Some(work.await)
            }
        };
        self.world.wire.fail([]);
        // What was on its way to the store when it was killed arrives, as it would.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        done
    }

    async fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        let world = self.world;
        match act {
            Act::Wait(hours) => world.wait_hours(hours),
            Act::Due(cut) | Act::Settle(cut) => {
                world.wait_hours(if matches!(act, Act::Due(_)) { 25 } else { 0 });
                let reconciler = world.reconciler().await;
                let _ = self.with(cut, reconciler.purge_due(None)).await;
            }
            Act::Night(cut) => {
                let reconciler = world.reconciler().await;
                let order = reconcile::Order::Run(reconciler.policy());
                let _ = self.with(cut, reconciler.run(&order, None, &|_| ())).await;
                // Its lease ends by itself.
                world.set_now(world.now().get() + 6 * 60 * 1000);
            }
            Act::Follow => {
                world.follow().await;
            }
            Act::DeleteAgain => {
                self.delete().await;
                world.follow().await;
            }
            Act::Late => {
                let older = self.copies[0]["updated_at"].as_u64().unwrap() - 1;
                let late = user_event("user.updated", &self.ada, "Late", older);
                world.post(&late).await;
            }
            Act::Undo(cut) => Box::pin(self.undo(cut)).await?,
        }
        let copy = self.copy().await;
        self.was_purged |=
            copy["purging_at"].is_u64() || (copy["consequences_at"].is_u64() && !copy["deleted_at"].is_null());
        // Until a purge has begun nothing is missing; whatever happens, nobody else is touched.
        let (rows, bystanders) = self.split().await;
        prop_assert!(self.was_purged || rows == self.rows, "{act:?} took rows away");
        prop_assert!(bystanders == self.bystanders, "{act:?} touched others");
        Ok(())
    }

    async fn undo(&self, cut: Cut) -> Result<(), TestCaseError> {
        let before = self.copy().await;
        let subject: Subject = self.ada.parse().unwrap();
        let reconciler = self.world.reconciler().await;
        let undone = self.with(cut, Box::pin(reconciler.into_operator().undo(&subject))).await;
        match (undone, cut) {
            (Some(Ok(_)), _) => {
                let now = self.copy().await;
                prop_assert!(now["deleted_at"].is_null(), "{now}");
                prop_assert!(before["purging_at"].is_null(), "undone in the middle of a purge");
                prop_assert_eq!(self.copies().await, self.copies.clone());
            }
            (Some(Err(OperatorError::Purging)), _) => {
                prop_assert!(before["purging_at"].is_u64(), "{before}");
                prop_assert_eq!(self.copy().await, before);
            }
            (Some(Err(error)), Cut::None) => prop_assert!(false, "{error} {before}"),
            (Some(Err(_)) | None, _) => {}
        }
        Ok(())
    }

    /// Puts all backups of the user back, the latest first if they replace what is there, so that the earliest counts.
    async fn restore(&self, replaces: bool) {
        let internal = self.world.internal(&self.ada).to_string();
        let backups = self.world.backups();
        let mut hers: Vec<&String> =
            backups.iter().filter(|(path, _)| path.contains(&internal)).map(|(_, text)| text).collect();
        if replaces {
            hers.reverse();
        }
        for text in hers {
            self.world.restore(text, replaces).await;
        }
    }

    async fn end(self) -> Result<(), TestCaseError> {
        let world = self.world;
        world.follow().await;
        if self.copy().await["deleted_at"].is_null() {
            // An undo that was cut short goes on with the memberships.
            let subject: Subject = self.ada.parse().unwrap();
            world.reconciler().await.into_operator().undo(&subject).await.unwrap();
            if self.was_purged {
                self.restore(true).await;
            }
            prop_assert_eq!(self.copies().await, self.copies.clone());
            let (rows, _) = self.split().await;
            prop_assert!(rows == self.rows, "not all came back");
            return Ok(());
        }
        world.wait_hours(25);
        world.purge_due().await;
        if self.copy().await["consequences_at"].is_null() {
            // Its note was too old for the hour, so it is the night's.
            world.reconcile().await;
        }
        let copy = self.copy().await;
        prop_assert!(copy["consequences_at"].is_u64() && copy["purging_at"].is_null(), "{copy}");
        prop_assert!(!format!("{:?}", world.directory().await).contains(&self.ada), "an id of Clerk's is left");
        let (left, bystanders) = self.split().await;
        prop_assert!(bystanders == self.bystanders, "others were touched");
        if self.policy == "purge" {
            prop_assert!(left.is_empty(), "{left:?}");
        } else {
            let profiles = &world.stack.addresses.profiles_table;
            let of_profiles: Vec<&Row> =
                left.iter().filter(|(table, _)| table == profiles).map(|(_, row)| row).collect();
            prop_assert_eq!((left.len(), of_profiles.len()), (55, 3));
            for row in of_profiles {
                prop_assert!(
                    row.contains_key("redacted_at") && !row.contains_key("about") && !row.contains_key("text")
                );
            }
        }
        // Once more changes nothing.
        world.purge_due().await;
        world.follow().await;
        let (again, _) = self.split().await;
        prop_assert!(again == left && self.copy().await == copy, "a second settling did something");
        self.restore(false).await;
        let (rows, bystanders) = self.split().await;
        prop_assert!(rows == self.rows, "not all came back:\n{rows:?}\n{:?}", self.rows);
        prop_assert!(bystanders == self.bystanders, "others were touched");
        Ok(())
    }
}

#[tokio::test]
async fn i7_a_purge_killed_between_any_two_calls_and_begun_again_ends_the_same_and_comes_back() {
    for policy in ["redact", "purge"] {
        let world = world(policy).await;
        let mut polls = 1;
        loop {
            let mut case = Case::open(&world, policy).await;
            world.wait_hours(25);
            let reconciler = world.reconciler().await;
            let whole = case.with(Cut::Killed(polls), reconciler.purge_due(None)).await.is_some();
            case.was_purged = true;
            Box::pin(case.end())
                .await
                .unwrap_or_else(|failure| panic!("{policy} killed after {polls} polls: {failure}"));
            if whole {
                break;
            }
            polls += 1;
        }
        println!("{policy}: {polls} awaits");
        assert!(polls > 30, "{polls}");
    }
}

#[tokio::test]
async fn i3_a_purge_that_others_have_overtaken_touches_nobody_who_lives_again() {
    let world = world("purge").await;
    let case = Case::open(&world, "purge").await;
    world.wait_hours(25);
    let slow = world.reconciler().await;
    let mut held = world.wire.hold();
    let overtaken = async {
        // It has claimed the tombstone and read everything, and is about to remove it.
        let (mut claimed, mut reads) = (false, 0);
        let waiting = loop {
            let request = held.recv().await.unwrap();
            claimed |= request.operation == "UpdateItem";
            reads += usize::from(claimed && request.operation == "BatchGetItem");
            if reads == 2 || request.operation == "BatchWriteItem" {
                break request;
            }
            request.release();
        };
        let others = world.beside(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)]).await;
        assert_eq!(others.purge_due().await.purges.unwrap().purged, 1);
        case.restore(false).await;
        let subject: Subject = case.ada.parse().unwrap();
        Box::pin(others.reconciler().await.into_operator().undo(&subject)).await.unwrap();
        drop(held);
        waiting.release();
    };
    let (settled, ()) = tokio::join!(slow.purge_due(None), overtaken);
    assert_eq!(settled.unwrap().purges.unwrap().purged, 0);
    assert!(case.copy().await["deleted_at"].is_null());
    assert_eq!(case.copies().await, case.copies);
    assert!(case.split().await.0 == case.rows, "rows of somebody who lives were removed");
}

#[test]
fn i3_a_deletion_undone_repeated_cut_short_and_restored_ends_as_it_should() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worlds = ["redact", "purge"].map(|policy| (policy, runtime.block_on(world(policy))));
    let (mut runner, seed) = rollcall_tests::runner(60);
    let counts = std::cell::Cell::new((0, 0, 0));
    let history = (any::<bool>(), prop::collection::vec(act(), 1..12));
    let result = runner.run(&history, |(purges, acts)| {
        let (policy, world) = &worlds[usize::from(purges)];
        runtime.block_on(async {
            let mut case = Case::open(world, policy).await;
            for act in acts {
                Box::pin(case.act(act)).await?;
            }
            let (cases, purged, alive) = counts.get();
            let is_alive = case.copy().await["deleted_at"].is_null();
            counts.set((cases + 1, purged + u32::from(case.was_purged), alive + u32::from(is_alive)));
            Box::pin(case.end()).await
        })
    });
    result.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
    let (cases, purged, alive) = counts.get();
    println!("{cases} cases, {purged} with a purge before their end, {alive} undone");
    assert!(purged > cases / 10 && alive > cases / 10, "{cases} {purged} {alive}");
}
