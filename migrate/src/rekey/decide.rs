//! The decision about one row: the new fields it gets, or why it is left.

use std::collections::BTreeMap;
use std::ops::Range;

use rollcall::core::id::UserId;

use super::outcome::{Cause, Outcome, Reason};
use super::terms::{Terms, beside, target};
use crate::ids::IdMap;
use crate::input::{Document, Field, InputError, Row, Value};
use crate::references::{self, Reference, Resolution, Unresolved, Users};

/// Where a new field goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Behind this byte of the row: behind the reference's value.
    After(usize),
    /// In the place of these bytes: the field is there and null.
    Instead(Range<usize>),
    /// The field is there with this value: nothing is written.
    Same,
    /// The row's bytes are not written again, as those of BSON.
    Nowhere,
}

/// A new field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewField {
    /// The index of the reference.
    pub reference: usize,
    /// With the indexes of arrays.
    pub path: String,
    pub users: Users,
    pub spot: Spot,
}

/// What happens to a row.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    /// In the order of the references. They are written if the row passes.
    pub fields: Vec<NewField>,
    pub causes: Vec<Cause>,
    pub is_loose: bool,
    /// The indexes of the references whose field the row has, with any value.
    pub found: Vec<usize>,
    /// The indexes of the references of which the row has the new field alone.
    pub alone: Vec<usize>,
}

impl Decision {
    /// The users that the row refers to, each with the index of the reference and the path.
    pub(crate) fn users(&self) -> impl Iterator<Item = (usize, &str, &UserId)> {
        self.fields.iter().flat_map(|field| {
            let users = match &field.users {
                Users::One(user) => std::slice::from_ref(user),
                Users::Several(users) => users.as_slice(),
            };
            users.iter().map(|user| (field.reference, field.path.as_str(), user))
        })
    }

    /// Whether something is written.
    pub(crate) fn changes(&self) -> bool {
        self.fields.iter().any(|field| field.spot != Spot::Same)
    }

    /// Leaves a row that cannot be written for a reason of its own.
    pub(crate) fn leave(&mut self, path: &str, reason: Reason) {
        self.outcome = Outcome::Unmatched;
        self.causes.push(Cause { path: path.to_owned(), id: None, clerk_user_id: None, reason });
    }
}

/// Decides about a row. It passes only if every reference leads to a user, or the terms say otherwise.
///
/// # Errors
///
/// As [`Row::fields`].
pub fn decide(row: &Row, terms: &Terms, map: &IdMap) -> Result<Decision, InputError> {
    let (mut fields, mut causes, mut is_loose, mut allowed) = (Vec::new(), Vec::new(), false, 0);
    let (mut has_field, mut alone) = (Vec::new(), Vec::new());
    for (number, reference) in terms.references.iter().enumerate() {
        let found = references::resolve(row, reference, map, terms.loose)?;
        let there = there(row, reference)?;
        let has_value = |path: &str| {
            let new = if row.is_record() { reference.target.clone() } else { beside(path, &reference.target) };
            there.get(&new).is_some_and(|field| has_users(field.value))
        };
        if !found.is_empty() {
            has_field.push(number);
        } else if absent(row, reference, false).iter().any(|path| has_value(path)) {
            alone.push(number);
        }
        for path in absent(row, reference, !found.is_empty()) {
            if has_value(&path) {
                // As a row of a user whom the old system never had: it has all that it needs.
            } else if terms.allow_missing {
                allowed += 1;
            } else {
                causes.push(cause(path, None, Reason::Missing));
            }
        }
        for resolution in found {
            match resolution.users {
                Ok(ref users) => {
                    is_loose |= resolution.is_loose;
                    let path = match row.is_record() {
                        true => reference.target.clone(),
                        false => beside(&resolution.field.path, &reference.target),
                    };
                    match new_field(number, path, &resolution.field, users, &there) {
                        Ok(field) => fields.push(field),
                        Err(conflict) => causes.push(conflict),
                    }
                }
                Err((reason, ref id)) => match resolution.field.value {
                    Value::Array(values) | Value::Set(values) => {
                        causes.extend(elements(&resolution, values, map, terms.loose));
                    }
                    _ if reason == Unresolved::Missing && has_value(&resolution.field.path) => {}
                    _ if reason == Unresolved::Missing && terms.allow_missing => allowed += 1,
                    _ => causes.push(cause(resolution.field.path.clone(), id.clone(), reason.into())),
                },
            }
        }
    }
    let has = |wanted: Outcome| causes.iter().any(|cause| result(cause.reason) == wanted);
    let outcome = match () {
        () if has(Outcome::Unmatched) && !terms.keep => Outcome::Unmatched,
        () if has(Outcome::Ambiguous) => Outcome::Ambiguous,
        () if has(Outcome::Conflict) => Outcome::Conflict,
        () if has(Outcome::Unmatched) => Outcome::Kept,
        () if allowed > 0 => Outcome::Skipped,
        () if fields.iter().any(|field: &NewField| field.spot != Spot::Same) => Outcome::Rekeyed,
        () => Outcome::Unchanged,
    };
    Ok(Decision { outcome, fields, causes, is_loose, found: has_field, alone })
}

/// Whether a value is a Clerk id, or a list of such.
fn has_users(value: &Value) -> bool {
    let is_user = |value: &Value| matches!(value, Value::Text(text) if text.parse::<UserId>().is_ok());
    match value {
        Value::Array(values) => !values.is_empty() && values.iter().all(is_user),
        value => is_user(value),
    }
}

fn result(reason: Reason) -> Outcome {
    match reason {
        // Clerk may have a user for a refused row.
        Reason::Ambiguous | Reason::RowRefused => Outcome::Ambiguous,
        Reason::OtherValue => Outcome::Conflict,
        // Said of a row that passes.
        Reason::SameUser => Outcome::Rekeyed,
        Reason::Missing | Reason::NotAnId | Reason::UnknownId | Reason::NoUser | Reason::Deleted | Reason::NoId => {
            Outcome::Unmatched
        }
    }
}

fn cause(path: String, id: Option<String>, reason: Reason) -> Cause {
    Cause { path, id, clerk_user_id: None, reason }
}

/// Each element of an array that leads to no user. A null among ids has no place in the new array, so it is never
/// allowed.
fn elements<'a>(
    resolution: &'a Resolution<'_>,
    values: &'a [Value],
    map: &'a IdMap,
    loose: bool,
) -> impl Iterator<Item = Cause> + 'a {
    values.iter().enumerate().filter_map(move |(at, value)| {
        let (reason, id) = references::user(value, map, loose, &mut false).err()?;
        Some(cause(format!("{}.{at}", resolution.field.path), id, reason.into()))
    })
}

/// The new fields that are there already, by their paths.
fn there<'a>(row: &'a Row, reference: &Reference) -> Result<BTreeMap<String, Field<'a>>, InputError> {
    let path = if row.is_record() { reference.target.clone() } else { target(reference) };
    Ok(row.fields(&path)?.into_iter().map(|field| (field.path.clone(), field)).collect())
}

fn new_field(
    number: usize,
    path: String,
    field: &Field<'_>,
    users: &Users,
    there: &BTreeMap<String, Field<'_>>,
) -> Result<NewField, Cause> {
    let spot = match (there.get(&path), &field.span) {
        (Some(Field { value: Value::Null, span, .. }), _) => span.clone().map_or(Spot::Nowhere, Spot::Instead),
        (Some(Field { value, .. }), _) if is_equal(value, users) => Spot::Same,
        (Some(_), _) => return Err(cause(path, None, Reason::OtherValue)),
        (None, Some(span)) => Spot::After(span.end),
        (None, None) => Spot::Nowhere,
    };
    Ok(NewField { reference: number, path, users: users.clone(), spot })
}

fn is_equal(value: &Value, users: &Users) -> bool {
    let is = |value: &Value, user: &UserId| matches!(value, Value::Text(text) if text == user.as_str());
    match (value, users) {
        (Value::Array(values), Users::Several(users)) => {
            values.len() == users.len() && values.iter().zip(users).all(|(value, user)| is(value, user))
        }
        (value, Users::One(user)) => is(value, user),
        (_, Users::Several(_)) => false,
    }
}

/// The places where a reference should be and is not: a document without the name, or no document at all. An empty array
/// has no place.
fn absent(row: &Row, reference: &Reference, is_found: bool) -> Vec<String> {
    if row.is_record() {
        return if is_found { Vec::new() } else { vec![reference.field.clone()] };
    }
    let names: Vec<&str> = reference.field.split('.').collect();
    let mut absent = Vec::new();
    in_document(&row.value, &names, "", &mut absent);
    absent
}

fn in_document(document: &Document, names: &[&str], path: &str, absent: &mut Vec<String>) {
    let Some((name, rest)) = names.split_first() else { return };
    let path = join(path, name);
    match document.get(name) {
        None => absent.push(std::iter::once(path.as_str()).chain(rest.iter().copied()).collect::<Vec<_>>().join(".")),
        Some(value) => in_value(value, rest, &path, absent),
    }
}

fn in_value(value: &Value, names: &[&str], path: &str, absent: &mut Vec<String>) {
    let missing = |path: &str| std::iter::once(path).chain(names.iter().copied()).collect::<Vec<_>>().join(".");
    match (value, names.first()) {
        (_, None) => {}
        (Value::Document(document), Some(_)) => in_document(document, names, path, absent),
        (Value::Array(values), Some(name)) => {
            if let Some(value) = name.parse().ok().and_then(|index: usize| values.get(index)) {
                return in_value(value, &names[1..], &join(path, name), absent);
            }
            for (index, value) in values.iter().enumerate() {
                let path = join(path, &index.to_string());
                match value {
                    Value::Document(document) => in_document(document, names, &path, absent),
                    _ => absent.push(missing(&path)),
                }
            }
        }
        (_, Some(_)) => absent.push(missing(path)),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether a path goes into an array.
pub(crate) fn is_in_array(document: &Document, path: &str) -> bool {
    let mut names = path.split('.');
    let mut value = names.next().and_then(|name| document.get(name));
    for name in names {
        match value {
            Some(Value::Array(_)) => return true,
            Some(Value::Document(document)) => value = document.get(name),
            _ => return false,
        }
    }
    false
}
