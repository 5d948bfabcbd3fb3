//! Whatever a history refuses, `rollcall explain` explains: no line about an entity is unknown, and what is said of the
//! event and of the row is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clerk_emulator::ApiFaults;
use proptest::prelude::*;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::explain::comparison::side_by_side;
use rollcall::core::explain::facts::{Facts, InClerk};
use rollcall::core::explain::finding::Finding;
use rollcall::core::explain::findings::findings;
use rollcall::core::explain::line::Line;
use rollcall::core::explain::need::{Need, headline};
use rollcall::core::explain::reason::Reason;
use rollcall::core::millis::Millis;
use rollcall_cli::operator::explain;
use rollcall_tests::{ATTEMPTS, Action, Fault, Land, World, deletion_event, event};
use serde_json::json;

use crate::properties::failures::Log;

/// What goes wrong between two deliveries.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Store(Fault),
    /// Clerk answers nothing that is of use.
    Clerk(ClerkIs),
    /// An event without the time that its rank needs.
    Undated,
    /// An event from the future.
    FromTheFuture,
    Unreadable,
    Foreign,
    Unsigned,
    /// A signed deletion of what Clerk still has.
    FalseDeletion,
    /// A caller whom nobody knows yet, while Clerk is silent.
    Stranger,
    /// A caller.
    Calls,
    /// The stream is processed.
    Follow,
    Run,
    Late,
}

#[derive(Clone, Copy, Debug)]
enum ClerkIs {
    Down,
    Closed,
}

#[derive(Clone, Debug)]
enum Step {
    Is(Action, bool),
    Goes(Trouble, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, organization) = (|| 0..4_usize, || 0..2_usize);
    let action = prop_oneof![
        2 => Just(Action::SignUp),
        1 => user().prop_map(Action::Found),
        3 => user().prop_map(Action::Rename),
        1 => user().prop_map(Action::Ban),
        1 => organization().prop_map(Action::RenameOrganization),
        2 => (user(), organization()).prop_map(|(user, organization)| Action::Join(user, organization)),
        1 => (user(), organization(), any::<bool>()).prop_map(|(user, of, admin)| Action::Role(user, of, admin)),
        2 => (user(), organization()).prop_map(|(user, organization)| Action::Leave(user, organization)),
        1 => user().prop_map(Action::DeleteUser),
        1 => organization().prop_map(Action::DeleteOrganization),
        60 => (0..64_usize).prop_map(Action::Deliver),
        2 => (user(), prop::option::of(organization())).prop_map(|(user, of)| Action::Ensure(user, of)),
        1 => Just(Action::Wait(11)),
    ];
    let trouble = prop::sample::select(vec![
        Trouble::Store(Fault::Unavailable),
        Trouble::Store(Fault::AccessDenied),
        Trouble::Clerk(ClerkIs::Down),
        Trouble::Clerk(ClerkIs::Closed),
        Trouble::Undated,
        Trouble::FromTheFuture,
        Trouble::Unreadable,
        Trouble::Foreign,
        Trouble::Unsigned,
        Trouble::FalseDeletion,
        Trouble::Stranger,
        Trouble::Calls,
        Trouble::Follow,
        Trouble::Run,
        Trouble::Late,
    ]);
    prop_oneof![
        12 => (action, prop::bool::weighted(0.8)).prop_map(|(action, ticks)| Step::Is(action, ticks)),
        1 => (trouble, 0..64_usize).prop_map(|(trouble, which)| Step::Goes(trouble, which)),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let beginning = [Action::SignUp, Action::Found(0), Action::SignUp, Action::Join(1, 0)];
    prop::collection::vec(step(), 60..160)
        .prop_map(move |then| beginning.map(|action| Step::Is(action, true)).into_iter().chain(then).collect())
}

/// Makes trouble, and ends it.
async fn go_wrong(land: &Land<'_>, trouble: Trouble, which: usize) {
    let world = land.world;
    let Some(told) = land.events.get(which % land.events.len().max(1)).cloned() else { return };
    world.set_now(world.now().get() + 1);
    let clerk = |down: f64, closed: f64| ApiFaults { server_error: down, unauthorized: closed, ..ApiFaults::default() };
    match trouble {
        Trouble::Store(fault) => {
            world.wire.fail(vec![fault; ATTEMPTS]);
            world.post(&told).await;
            world.wire.fail([]);
        }
        Trouble::Clerk(is) => {
            let mut asks = told;
            asks["data"]["updated_at"] = (world.now().get() + 3_600_000).into();
            world.set_faults(match is {
                ClerkIs::Down => clerk(1.0, 0.0),
                ClerkIs::Closed => clerk(0.0, 1.0),
            });
            world.post(&asks).await;
            world.set_faults(ApiFaults::default());
        }
        Trouble::Undated => {
            let mut undated = told;
            undated["data"]["created_at"] = json!(null);
            world.post(&undated).await;
        }
        Trouble::FromTheFuture => {
            let mut early = told;
            early["data"]["updated_at"] = (world.now().get() + 3_600_000).into();
            world.post(&early).await;
        }
        Trouble::Unreadable => {
            let mut unreadable = told;
            unreadable["data"]["updated_at"] = "yesterday".into();
            world.post(&unreadable).await;
        }
        Trouble::Foreign => {
            let mut foreign = told;
            foreign["instance_id"] = "ins_other".into();
            world.post(&foreign).await;
            world.post(&event("session.created", &json!({}), world.now().get())).await;
        }
        Trouble::Unsigned => {
            world.send(&world.sign(&told).with("svix-signature", Some("v1,AAAA"))).await;
        }
        Trouble::FalseDeletion => {
            let Some(id) = land.users.iter().chain(&land.organizations).nth(which) else { return };
            let kind = if id.starts_with("org_") { "organization.deleted" } else { "user.deleted" };
            world.post(&deletion_event(kind, id, world.now().get())).await;
        }
        Trouble::Stranger => {
            let Some(user) = land.users.get(which % land.users.len().max(1)) else { return };
            let session = world.session(user, None);
            world.set_faults(clerk(1.0, 0.0));
            world.ensure(&session).await;
            world.set_faults(ApiFaults::default());
        }
        Trouble::Calls => {
            let Some(user) = land.users.get(which % land.users.len().max(1)) else { return };
            let session = world.session(user, None);
            world.call("GET", "/me", &[("authorization", &format!("Bearer {session}"))]).await;
            let _ = world.authorize(crate::authorizer::simple(&session)).await;
        }
        Trouble::Follow => drop(world.follow().await),
        Trouble::Run => drop(world.reconcile().await),
        Trouble::Late => {
            world.set_now(world.now().get() + 16 * 60_000);
            world.post(&told).await;
        }
    }
}

/// What a history has shown.
#[derive(Default)]
struct Shown {
    refusals: usize,
    by_reason: BTreeMap<Reason, usize>,
    explanations: Vec<Explanation>,
}

/// What the command prints about one entity, at the end of a history.
struct Explanation {
    /// The names of its findings and of the reasons of its refusals.
    kinds: BTreeSet<String>,
    text: String,
}

impl Shown {
    /// So many explanations, each chosen for another kind, the rarest kinds first; of several the shortest one. No two
    /// have the same kinds.
    fn sample(&self, size: usize) -> Vec<&Explanation> {
        let mut number: BTreeMap<&String, usize> = BTreeMap::new();
        self.explanations.iter().flat_map(|one| &one.kinds).for_each(|kind| *number.entry(kind).or_default() += 1);
        let mut kinds: Vec<&String> = number.keys().copied().collect();
        kinds.sort_by_key(|kind| number[kind]);
        let mut shortest: Vec<&Explanation> = self.explanations.iter().collect();
        shortest.sort_by_key(|one| one.text.len());
        let mut sample: Vec<&Explanation> = Vec::new();
        for kind in kinds {
            let is_new = |one: &&&Explanation| sample.iter().all(|other| other.kinds != one.kinds);
            let chosen = shortest.iter().find(|one| one.kinds.contains(kind) && is_new(one)).copied();
            sample.extend(chosen);
        }
        sample.truncate(size);
        sample
    }
}

/// Everybody and everything that a history was about, as an operator names it.
fn subjects(land: &Land<'_>) -> Vec<Subject> {
    let mut ids: BTreeSet<String> = land.users.iter().chain(&land.organizations).cloned().collect();
    for user in &land.users {
        ids.extend(land.organizations.iter().map(|organization| format!("{organization}/{user}")));
    }
    ids.into_iter().map(|id| id.parse().unwrap()).collect()
}

async fn play(world: &World, history: &[Step], shown: &mut Shown) -> Result<(), TestCaseError> {
    let log = Log::default();
    let mut land = Land::populate(world).await;
    // The rows of the history before are removed, which is no part of this one.
    world.follow().await;
    let listening = log.listen();
    let mut lines: Vec<(Line, bool)> = Vec::new();
    let mut texts = Vec::new();
    for step in history {
        match step {
            Step::Is(action, ticks) => land.happen(*action, *ticks).await,
            Step::Goes(trouble, which) => go_wrong(&land, *trouble, *which).await,
        }
        // The lines have the machine's time; what is explained has the world's.
        let new = log.text().lines().skip(texts.len()).map(|text| (world.now(), text.to_owned())).collect::<Vec<_>>();
        texts.extend(new);
    }
    drop(listening);
    for (at, text) in &texts {
        let line = Line::read(text, Some(*at));
        let line = line.ok_or_else(|| TestCaseError::fail(format!("not a line: {text}")))?;
        prop_assert!(line.reason != Some(Reason::Unknown), "unknown: {}", text);
        let is_about_one = line.id.is_some() || line.pk.is_some();
        prop_assert!(line.level == "INFO" || !is_about_one || line.reason.is_some(), "no reason: {}", text);
        if let Some(reason) = line.reason {
            prop_assert!(is_true(reason, &line), "{} of {}", reason.name(), text);
            *shown.by_reason.entry(reason).or_default() += 1;
        }
        lines.push((line, false));
    }
    let operator = world.reconciler().await.into_operator();
    for subject in subjects(&land) {
        let Subject::Entity(entity) = &subject else { continue };
        let key = entity.key(&operator.applier.instance);
        if !lines.iter().any(|(line, _)| line.is_about(Some(entity), &key)) {
            continue;
        }
        let (named, mut facts) = operator.facts(&subject, a_day_before(world.now())).await.unwrap();
        for (line, is_explained) in &mut lines {
            if line.is_about(named.entity.as_ref(), &named.key) {
                facts.log.lines.push(line.clone());
                *is_explained = true;
            }
        }
        explain(&subject, &facts, shown)?;
    }
    for (line, is_explained) in lines {
        let is_about_one = line.id.is_some() || line.pk.is_some();
        prop_assert!(is_explained || !is_about_one, "about nobody: {:?}", line);
        shown.refusals += usize::from(line.reason.is_some());
    }
    Ok(())
}

fn a_day_before(now: Millis) -> Millis {
    i64::try_from(now.get().saturating_sub(24 * 60 * 60_000)).ok().and_then(|at| at.try_into().ok()).unwrap_or(now)
}

/// Whether a line about a refused event has the reason that its ranks prove.
fn is_true(reason: Reason, line: &Line) -> bool {
    let ranks = line.rank.zip(line.stored);
    match reason {
        Reason::Duplicate => ranks.is_none_or(|(offered, stored)| offered == stored),
        Reason::LaterState => ranks.is_some_and(|(offered, stored)| stored > offered),
        Reason::AlreadyDeleted => {
            ranks.is_some_and(|(offered, stored)| stored.is_deleted() && !offered.is_deleted() && stored > offered)
        }
        Reason::LaterMembership => ranks.is_some_and(|(offered, stored)| stored.generation > offered.generation),
        // Clerk is asked for a reason, and the line has it.
        Reason::Gone | Reason::NothingNewer => line.asked.is_some(),
        Reason::Tie | Reason::Unproven | Reason::Unknown => false,
        _ => true,
    }
}

/// The row explained: every refusal of its log is told, and the comparison with Clerk is true.
fn explain(subject: &Subject, facts: &Facts, shown: &mut Shown) -> Result<(), TestCaseError> {
    let found = findings(facts);
    let reasons: BTreeSet<Reason> = facts.log.lines.iter().filter_map(|line| line.reason).collect();
    let told: BTreeSet<Reason> = found
        .iter()
        .filter_map(|finding| match finding {
            Finding::Refused(refused) | Finding::EventFailed { refused, .. } => Some(refused.reason),
            _ => None,
        })
        .collect();
    prop_assert_eq!(&told, &reasons);
    let clerk = match &facts.clerk {
        InClerk::Has(clerk) => Some(&**clerk),
        InClerk::Nothing => None,
        other => return Err(TestCaseError::fail(format!("{other:?}"))),
    };
    let row = facts.row.row();
    let live = row.filter(|row| !row.is_deleted());
    // An event may lack a time, which is no part of the contents.
    let is_time = |name: &String| name == "created_at" || name == "updated_at";
    let are_equal = side_by_side(live, clerk).iter().all(|(name, (row, clerk))| row == clerk || is_time(name))
        && live.map(|row| row.rank) == clerk.map(|clerk| clerk.rank);
    let is_in_sync = found
        .iter()
        .any(|finding| matches!(finding, Finding::InSync { .. } | Finding::BothGone | Finding::NeverKnown { .. }));
    prop_assert_eq!(is_in_sync, are_equal, "{:?}", &found);
    // A mark is on what a person does, and one cause has one mark.
    let marked = |found: &[Finding]| found.iter().filter(|finding| finding.need() == Need::Act).count();
    prop_assert_eq!(headline(&found).starts_with("Something to do"), marked(&found) > 0, "{:?}", &found);
    let sentences: Vec<String> =
        found.iter().map(|finding| finding.sentence("ID", " --local", facts.policies.reconcile)).collect();
    prop_assert!(sentences.iter().all(|sentence| sentence.ends_with(['.', ')'])), "{:?}", &sentences);
    let Subject::Entity(entity) = subject else { return Ok(()) };
    let names = found.iter().map(|finding| json!(finding)["finding"].as_str().unwrap_or_default().to_owned());
    let kinds = names.chain(reasons.iter().map(|reason| reason.name().to_owned())).collect();
    let text = explain::text(&entity.to_string(), facts, &found, " --stack rollcall");
    shown.explanations.push(Explanation { kinds, text });
    Ok(())
}

/// Plays histories under each of these settings.
fn explains(histories: u32, settings: &[(&'static str, &'static str)]) -> Shown {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = std::cell::RefCell::new(Shown::default());
    for setting in settings {
        let world = runtime.block_on(World::with(&[*setting]));
        let (mut runner, seed) = rollcall_tests::runner(histories);
        let result =
            runner.run(&history(), |history| runtime.block_on(play(&world, &history, &mut shown.borrow_mut())));
        result.unwrap_or_else(|failure| panic!("with {setting:?}: {failure}\n{seed}"));
    }
    shown.into_inner()
}

const POLICIES: [(&str, &str); 3] =
    [("DELETION_POLICY", "redact"), ("DELETION_POLICY", "purge"), ("DELETION_POLICY", "retain")];

#[test]
fn every_refusal_of_a_history_is_explained() {
    let shown = explains(2, &POLICIES);
    assert!(shown.refusals > 100, "{} {:?}", shown.refusals, shown.by_reason);
    for reason in [Reason::Duplicate, Reason::LaterState, Reason::AlreadyDeleted] {
        assert!(shown.by_reason.contains_key(&reason), "{reason:?} in {:?}", shown.by_reason);
    }
}

/// `cargo test --test it -- --ignored thirty_explanations`. Writes the explanations, as the command prints them, into the
/// file that `ROLLCALL_EXPLANATIONS` names, for a reader who does not know the code.
#[test]
#[ignore = "takes some minutes"]
fn thirty_explanations_are_of_thirty_kinds() {
    let shown = explains(20, &[&POLICIES[..], &[("MIRROR", "off"), ("RECONCILE_POLICY", "report")]].concat());
    let sample = shown.sample(30);
    #[expect(clippy::disallowed_methods, reason = "the test is run by hand, with a file for its reader")]
    if let Some(file) = std::env::var_os("ROLLCALL_EXPLANATIONS") {
        let number = |(index, one): (usize, &&Explanation)| format!("{}.\n\n{}\n", index + 1, one.text);
        let texts: Vec<String> = sample.iter().enumerate().map(number).collect();
        std::fs::write(Path::new(&file), texts.join("\n\n")).unwrap();
    }
    let kinds: BTreeSet<&String> = sample.iter().flat_map(|one| &one.kinds).collect();
    assert!(sample.len() == 30 && kinds.len() >= 30, "{} of {kinds:?}", sample.len());
}

/// `cargo test --test it -- --ignored ten_thousand`.
#[test]
#[ignore = "takes some minutes"]
fn ten_thousand_refusals_are_explained() {
    let shown = explains(70, &POLICIES);
    println!("{} refusals: {:?}", shown.refusals, shown.by_reason);
    assert!(shown.refusals >= 10_000, "{}", shown.refusals);
}
