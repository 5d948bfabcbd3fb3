//! Criterion 2 for one row: each listed reference has the new field beside it, with the Clerk id that the map has for the
//! old id.

use std::collections::HashSet;

use rollcall::core::id::UserId;
use uuid::Uuid;

use super::exceptions::{Exceptions, Seen};
use super::request::new_field;
use crate::ids::IdMap;
use crate::input::{InputError, Row, Value};
use crate::metadata::values::typed_id;
use crate::references::{Reference, Resolution, Unresolved, Users, id_of, resolve};

/// What the references are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    pub map: &'a IdMap,
    pub exceptions: &'a Exceptions,
    /// Users that Clerk does not have, as far as Clerk has been asked.
    pub missing: &'a HashSet<UserId>,
    pub loose_ids: bool,
}

/// What a reference is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new field has the Clerk id of the map.
    Right,
    /// There is neither an old id nor a new one.
    Empty,
    /// There is no old id, and the new field has an id: a row of a user who came later.
    NewOnly,
    /// There is no new field, or Clerk does not have its user any more, and the operator accepts the old id as it is.
    Excepted,
    Wrong(Wrong),
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub problem: &'static str,
    /// Whether there is an old id and no new field.
    pub lacks: bool,
    /// The old id with its type, if it is the id of an old user, or of a type that holds no personal data.
    pub legacy_id: Option<String>,
    pub clerk_user_id: Option<String>,
}

/// The verdict about one reference of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The path of the old field, or of the new one if there is no old one, with the indexes of arrays.
    pub path: String,
    pub verdict: Verdict,
    /// Whether the old id was found only because types were not compared.
    pub is_loose: bool,
    /// The Clerk ids of the new field.
    pub ids: Vec<UserId>,
}

/// What a new field has.
enum New {
    Absent,
    Ids {
        ids: Vec<UserId>,
        is_list: bool,
        has_order: bool,
    },
    /// Something else than Clerk ids.
    Other,
}

/// Judges all values at a reference's path.
///
/// # Errors
///
/// As [`Row::fields`].
pub fn judge<'a>(
    row: &'a Row,
    reference: &Reference,
    measure: Measure<'_>,
) -> Result<(Vec<Judged>, Vec<&'a Value>), InputError> {
    let old = resolve(row, reference, measure.map, measure.loose_ids)?;
    // The name of a column may have dots.
    let is_column = |field: &Resolution<'_>| {
        row.value.get(&reference.field).is_some_and(|value| std::ptr::eq(value, field.field.value))
    };
    let path = if old.first().is_some_and(is_column) { reference.target.clone() } else { new_field(reference) };
    let mut new = row.fields(&path)?;
    let (mut judged, mut values) = (Vec::new(), Vec::new());
    for old in old {
        values.push(old.field.value);
        let beside = match old.field.path.rsplit_once('.') {
            Some((parent, _)) if !is_column(&old) => format!("{parent}.{}", reference.target),
            _ => reference.target.clone(),
        };
        let beside = new.iter().position(|new| new.path == beside).map(|at| new.swap_remove(at).value);
        let (verdict, ids) = verdict(&old, &read(beside), measure);
        judged.push(Judged { path: old.field.path, verdict, is_loose: old.is_loose, ids });
    }
    for new in new {
        let (verdict, ids) = alone(&read(Some(new.value)), measure);
        judged.push(Judged { path: new.path, verdict, is_loose: false, ids });
    }
    Ok((judged, values))
}

fn read(value: Option<&Value>) -> New {
    let id = |value: &Value| if let Value::Text(text) = value { text.parse::<UserId>().ok() } else { None };
    match value {
        None | Some(Value::Null) => New::Absent,
        Some(Value::Text(text)) if text.is_empty() => New::Absent,
        Some(list @ (Value::Array(values) | Value::Set(values))) => match values.iter().map(id).collect() {
            Some(ids) => New::Ids { ids, is_list: true, has_order: matches!(list, Value::Array(_)) },
            None => New::Other,
        },
        Some(value) => match id(value) {
            Some(id) => New::Ids { ids: vec![id], is_list: false, has_order: true },
            None => New::Other,
        },
    }
}

fn verdict(old: &Resolution<'_>, new: &New, measure: Measure<'_>) -> (Verdict, Vec<UserId>) {
    let is_list = matches!(old.field.value, Value::Array(_) | Value::Set(_));
    let expected = match &old.users {
        Err((Unresolved::Missing, _)) if !is_list => return alone(new, measure),
        Ok(Users::Several(users)) if users.is_empty() => return alone(new, measure),
        // Of a list, one id is known to lead nowhere: the others would be accepted with it.
        Err((_, Some(id))) if matches!(new, New::Absent) && !is_list && measure.exceptions.has(id) => {
            return (Verdict::Excepted, Vec::new());
        }
        Err((reason, id)) => {
            let id = id.as_ref().filter(|id| is_impersonal(id) || measure.map.owner(id).is_some()).cloned();
            let (_, ids) = alone(new, measure);
            let (problem, lacks) = (reason.into(), matches!(new, New::Absent));
            return (Verdict::Wrong(Wrong { lacks, ..wrong(problem, id, &ids) }), ids);
        }
        Ok(Users::One(user)) => std::slice::from_ref(user),
        Ok(Users::Several(users)) => users,
    };
    let id = |at| old_id(old.field.value, at);
    match new {
        New::Absent => (Verdict::Wrong(Wrong { lacks: true, ..wrong("lacks_new_field", id(0), &[]) }), Vec::new()),
        New::Other => (Verdict::Wrong(wrong("new_field_is_no_clerk_id", id(0), &[])), Vec::new()),
        New::Ids { ids, is_list: is_new_list, has_order } => {
            let is_ordered = *has_order && !matches!(old.field.value, Value::Set(_));
            if *is_new_list != is_list || !same(expected, ids, is_ordered) {
                let (at, instead) = difference(expected, ids, is_ordered);
                return (Verdict::Wrong(wrong("not_the_user_of_the_map", id(at), instead)), ids.clone());
            }
            let Some(missing) = ids.iter().find(|id| measure.missing.contains(*id)) else {
                return (Verdict::Right, ids.clone());
            };
            let id = id(expected.iter().position(|user| user == missing).unwrap_or_default());
            // The person has left since, and the operator knows. Of a list, the others would be accepted as well.
            if !is_list && id.as_ref().is_some_and(|id| measure.exceptions.has(id)) {
                return (Verdict::Excepted, ids.clone());
            }
            (Verdict::Wrong(wrong("not_in_clerk", id, std::slice::from_ref(missing))), ids.clone())
        }
    }
}

/// The old id that a value is, or that a list has at a place, with its type.
fn old_id(value: &Value, at: usize) -> Option<String> {
    let value = match value {
        Value::Array(values) | Value::Set(values) => values.get(at)?,
        value => value,
    };
    typed_id(id_of(value)).ok().flatten().map(|id| id.typed)
}

/// Where the first user is whom the new field lacks, and what it has instead. If it lacks none but has more, or has them in
/// another form, it is the first user.
fn difference<'a>(expected: &[UserId], ids: &'a [UserId], is_ordered: bool) -> (usize, &'a [UserId]) {
    if is_ordered {
        let at = expected.iter().enumerate().position(|(at, user)| ids.get(at) != Some(user)).unwrap_or_default();
        return (at, ids.get(at..=at).unwrap_or_default());
    }
    let at = expected.iter().position(|user| !ids.contains(user)).unwrap_or_default();
    let other = ids.iter().find(|id| !expected.contains(id));
    (at, other.map(std::slice::from_ref).unwrap_or_default())
}

/// A new field without an old id.
fn alone(new: &New, measure: Measure<'_>) -> (Verdict, Vec<UserId>) {
    match new {
        New::Absent => (Verdict::Empty, Vec::new()),
        New::Ids { ids, .. } if ids.is_empty() => (Verdict::Empty, Vec::new()),
        New::Other => (Verdict::Wrong(wrong("new_field_is_no_clerk_id", None, &[])), Vec::new()),
        New::Ids { ids, .. } => match ids.iter().find(|id| measure.missing.contains(*id)) {
            Some(missing) => (Verdict::Wrong(wrong("not_in_clerk", None, std::slice::from_ref(missing))), ids.clone()),
            None => (Verdict::NewOnly, ids.clone()),
        },
    }
}

fn wrong(problem: &'static str, legacy_id: Option<String>, ids: &[UserId]) -> Wrong {
    // Another text in the new field, such as a name, may look like an id.
    let clerk_user_id = ids.iter().map(UserId::as_str).find(|id| id.starts_with("user_")).map(str::to_owned);
    Wrong { problem, lacks: false, legacy_id, clerk_user_id }
}

/// Whether an id can be shown although no old user has it: a text may be an e-mail address. A text in the form of another type
/// of id is not, as in a collection whose ids are compared without their types.
fn is_impersonal(typed: &str) -> bool {
    let is_form = |text: &str| {
        (text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            || text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
            || (text.len() == 36 && Uuid::try_parse(text).is_ok())
    };
    typed.strip_prefix("str:").is_none_or(is_form)
}

/// Notes the ids of a value at a listed reference.
pub fn note(value: &Value, exceptions: &Exceptions, seen: &mut Seen) {
    let values = match value {
        Value::Array(values) | Value::Set(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    for value in values {
        if let Ok(Some(id)) = typed_id(id_of(value)) {
            exceptions.note(&id.typed, seen);
        }
    }
}

fn same(expected: &[UserId], ids: &[UserId], is_ordered: bool) -> bool {
    if is_ordered {
        return expected == ids;
    }
    let sorted = |ids: &[UserId]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        ids
    };
    sorted(expected) == sorted(ids)
}
