//! What a row of a table becomes.

use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::adapters::dynamo::application::{Change, Item, Place};
use rollcall::core::id::UserId;

use super::item;
use super::outcome::{Outcome, Problem};
use crate::ids::IdMap;
use crate::input::InputError;
use crate::references::{Reference, Unresolved, Users, resolve};

/// How references are read.
#[derive(Debug)]
pub struct Rules {
    pub references: Vec<Reference>,
    pub map: IdMap,
    /// Whether an id of another type with the same text counts.
    pub loose: bool,
    /// Whether a row may lack a reference.
    pub allow_missing: bool,
}

/// What a row becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    pub problems: Vec<Problem>,
    /// Every reference of the row, if each leads to users; also those whose target is there already.
    pub changes: Vec<Change>,
    /// Whether an id was found only because types were not compared.
    pub is_loose: bool,
    /// The indexes of the references whose attribute the row has, with any value.
    pub found: Vec<usize>,
    /// The indexes of the references of which the row has the new attribute alone.
    pub alone: Vec<usize>,
}

/// Where the value of a path is.
enum Located<'a> {
    Absent,
    InList,
    At { around: &'a Item, value: &'a AttributeValue },
}

/// A path goes through maps only: the index of a list names another element when somebody inserts one.
fn locate<'a>(item: &'a Item, path: &[String]) -> Located<'a> {
    let Some((name, rest)) = path.split_first() else { return Located::Absent };
    match item.get(name) {
        None => Located::Absent,
        Some(value) if rest.is_empty() => Located::At { around: item, value },
        Some(AttributeValue::M(inner)) => locate(inner, rest),
        Some(AttributeValue::L(_)) => Located::InList,
        Some(_) => Located::Absent,
    }
}

/// Whether the row has Clerk ids beside the place of a reference.
fn beside(row: &Item, from: &[String], target: &str) -> bool {
    let mut to = from.to_vec();
    to.pop();
    to.push(target.to_owned());
    let is_user = |text: &String| text.parse::<UserId>().is_ok();
    match locate(row, &to) {
        Located::At { value: AttributeValue::S(text), .. } => is_user(text),
        Located::At { value: AttributeValue::Ss(texts), .. } => texts.iter().all(is_user),
        Located::At { value: AttributeValue::L(values), .. } => {
            !values.is_empty() && values.iter().all(|value| value.as_s().is_ok_and(is_user))
        }
        _ => false,
    }
}

/// Decides about a row.
///
/// # Errors
///
/// As [`item::row`].
pub fn decide(row: &Item, rules: &Rules, table: &Path) -> Result<Decision, InputError> {
    let as_exported = item::row(row, table)?;
    let (mut changes, mut problems, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut is_equal, mut is_loose, mut has_new) = (true, false, false);
    let (mut has, mut alone) = (Vec::new(), Vec::new());
    for (number, reference) in rules.references.iter().enumerate() {
        let problem = |reason: &str, id| Problem { path: reference.field.clone(), id, reason: reason.to_owned() };
        let from: Vec<String> = reference.field.split('.').map(str::to_owned).collect();
        let located = locate(row, &from);
        let is_new = beside(row, &from, &reference.target);
        if !matches!(located, Located::Absent) {
            has.push(number);
        } else if is_new {
            alone.push(number);
        }
        let (around, old) = match located {
            Located::At { around, value } => (around, value),
            Located::InList => {
                problems.push((Outcome::Refused, problem("in_list", None)));
                continue;
            }
            // As a row of a user whom the old system never had.
            Located::Absent if is_new => {
                has_new = true;
                continue;
            }
            Located::Absent => {
                if !rules.allow_missing {
                    problems.push((Outcome::Missing, problem(Unresolved::Missing.into(), None)));
                }
                continue;
            }
        };
        let Some(found) = resolve(&as_exported, reference, &rules.map, rules.loose)?.into_iter().next() else {
            problems.push((Outcome::Refused, problem(Unresolved::NotAnId.into(), None)));
            continue;
        };
        is_loose |= found.is_loose;
        let users = match found.users {
            Ok(users) => users,
            Err((Unresolved::Missing, _)) if is_new => {
                has_new = true;
                continue;
            }
            Err((Unresolved::Missing, _)) if rules.allow_missing => continue,
            Err((reason, id)) => {
                let outcome = match reason {
                    Unresolved::Missing => Outcome::Missing,
                    Unresolved::NotAnId => Outcome::Refused,
                    Unresolved::Ambiguous | Unresolved::RowRefused => Outcome::Ambiguous,
                    Unresolved::UnknownId | Unresolved::NoUser | Unresolved::Deleted => Outcome::Unmatched,
                };
                problems.push((outcome, problem(reason.into(), id)));
                continue;
            }
        };
        let new = value(users, old);
        let mut to = from.clone();
        to.pop();
        to.push(reference.target.clone());
        let place = match around.get(&reference.target) {
            Some(there) if same(there, &new) => Place::New,
            Some(AttributeValue::Null(_)) => Place::Null,
            Some(_) => {
                conflicts.push(Problem { path: to.join("."), id: None, reason: "other_value".to_owned() });
                continue;
            }
            None => Place::Absent,
        };
        is_equal &= place == Place::New;
        changes.push(Change { from, old: old.clone(), to, new, place });
    }
    let decision = |outcome, problems, changes| Decision {
        outcome,
        problems,
        changes,
        is_loose,
        found: has.clone(),
        alone: alone.clone(),
    };
    if !problems.is_empty() {
        let order = [Outcome::Ambiguous, Outcome::Refused, Outcome::Unmatched, Outcome::Missing];
        let rank = |outcome: Outcome| order.iter().position(|other| *other == outcome);
        problems.sort_by_key(|(outcome, _)| rank(*outcome));
        let worst = problems[0].0;
        return Ok(decision(worst, problems.into_iter().map(|(_, problem)| problem).collect(), Vec::new()));
    }
    if !conflicts.is_empty() {
        return Ok(decision(Outcome::Conflict, conflicts, Vec::new()));
    }
    let outcome = match (changes.is_empty(), is_equal) {
        (true, _) if !has_new => Outcome::Skipped,
        (_, true) => Outcome::Unchanged,
        _ => Outcome::Changed,
    };
    Ok(decision(outcome, Vec::new(), changes))
}

/// The value beside a reference: for a list of ids a list, for a set a set.
fn value(users: Users, old: &AttributeValue) -> AttributeValue {
    let texts = |users: Vec<rollcall::core::id::UserId>| users.into_iter().map(|user| user.as_str().to_owned());
    match (users, old) {
        (Users::One(user), _) => AttributeValue::S(user.as_str().to_owned()),
        (Users::Several(users), AttributeValue::L(_)) => {
            AttributeValue::L(texts(users).map(AttributeValue::S).collect())
        }
        (Users::Several(users), _) => {
            let mut texts: Vec<String> = texts(users).collect();
            texts.sort();
            texts.dedup();
            AttributeValue::Ss(texts)
        }
    }
}

/// Whether two values are equal for DynamoDB: the order of a set says nothing.
pub fn same(one: &AttributeValue, other: &AttributeValue) -> bool {
    fn sorted<T: Ord + Clone>(values: &[T]) -> Vec<T> {
        let mut values = values.to_vec();
        values.sort();
        values
    }
    match (one, other) {
        (AttributeValue::Ss(one), AttributeValue::Ss(other)) | (AttributeValue::Ns(one), AttributeValue::Ns(other)) => {
            sorted(one) == sorted(other)
        }
        (AttributeValue::Bs(one), AttributeValue::Bs(other)) => {
            let bytes = |all: &[aws_sdk_dynamodb::primitives::Blob]| {
                sorted(&all.iter().map(|one| one.as_ref().to_vec()).collect::<Vec<_>>())
            };
            bytes(one) == bytes(other)
        }
        (AttributeValue::L(one), AttributeValue::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (AttributeValue::M(one), AttributeValue::M(other)) => same_rows(one, other),
        (one, other) => one == other,
    }
}

/// The same for two rows.
pub fn same_rows(one: &Item, other: &Item) -> bool {
    one.len() == other.len() && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
}

/// The row with its Clerk ids.
pub fn with_changes(row: &Item, changes: &[Change]) -> Item {
    let mut row = row.clone();
    for change in changes {
        if let Some((name, around)) = change.to.split_last() {
            set(&mut row, around, name, &change.new);
        }
    }
    row
}

fn set(item: &mut Item, around: &[String], name: &str, value: &AttributeValue) {
    match around.split_first() {
        None => drop(item.insert(name.to_owned(), value.clone())),
        Some((first, rest)) => {
            if let Some(AttributeValue::M(inner)) = item.get_mut(first) {
                set(inner, rest, name, value);
            }
        }
    }
}
