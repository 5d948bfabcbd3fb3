//! What an operator's `list`, `find` and `get` show: a row as it is stored, which rows are wanted, and the position
//! after a row.
//!
//! Every row is shown, also one that cannot be read: whoever looks for a mistake must not be shown less than there is.

use serde_json::{Map, Value};
use strum::IntoStaticStr;

use super::id::{AnyUserId, InstanceId, InternalId, Key, Kind, OrganizationId};
use super::mirror::item::{Item, Whole};

/// A row of the Directory as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub key: Key,
    /// All attributes.
    pub row: Map<String, Value>,
    /// The row as the functions read it; nothing if its rank or digest is invalid, or if its key is not one of
    /// Rollcall's.
    pub item: Option<Item>,
    /// The names of further attributes that the functions cannot read.
    pub unreadable: Vec<String>,
}

/// The state of a row, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum SeenState {
    Live,
    /// Only the id is known.
    Placeholder,
    /// A tombstone.
    Deleted,
    /// The functions cannot read the row.
    Unreadable,
}

impl SeenState {
    /// The word in output.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

impl Seen {
    /// A row with these attributes; nothing without a key, which no row of a table lacks.
    pub fn new(row: Map<String, Value>) -> Option<Seen> {
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let key = Key { pk: text("pk")?, sk: text("sk")? };
        let (item, unreadable) = match Item::from_attributes(row.clone()) {
            Ok((item, whole)) if Kind::from_key(&key).is_some() => {
                let unreadable = if whole == Whole::Yes { Vec::new() } else { unread(&row, &item) };
                (Some(item), unreadable)
            }
            _ => (None, Vec::new()),
        };
        Some(Seen { key, row, item, unreadable })
    }

    pub fn state(&self) -> SeenState {
        match &self.item {
            None => SeenState::Unreadable,
            Some(item) if item.is_deleted() => SeenState::Deleted,
            Some(item) if item.is_placeholder() => SeenState::Placeholder,
            Some(_) => SeenState::Live,
        }
    }

    /// Whether the functions read the whole row.
    pub fn is_whole(&self) -> bool {
        self.item.is_some() && self.unreadable.is_empty()
    }

    /// The row without maps and lists, which may be large: enough for a line of a table.
    #[must_use]
    pub fn slim(mut self) -> Seen {
        let is_small = |_: &String, value: &mut Value| !value.is_object() && !value.is_array();
        self.row.retain(is_small);
        if let Some(item) = &mut self.item {
            item.fields.retain(is_small);
        }
        self
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.row.get(name).and_then(Value::as_str)
    }

    /// The id with which `get` shows this row: Clerk's id, as long as the row has it.
    pub fn id(&self) -> String {
        let entity = self.item.as_ref().and_then(Item::entity).map(|entity| entity.to_string());
        entity.unwrap_or_else(|| position(&self.key))
    }
}

/// The attributes that the item does not have as they are stored.
fn unread(row: &Map<String, Value>, item: &Item) -> Vec<String> {
    let read = item.to_attributes();
    let is_lost = |(name, value): &(&String, &Value)| !value.is_null() && read.get(*name) != Some(value);
    let mut names: Vec<String> = row.iter().filter(is_lost).map(|(name, _)| name.clone()).collect();
    let required = ["applied_at", "applied_by"].into_iter().filter(|name| row.get(*name).is_none_or(Value::is_null));
    names.extend(required.map(str::to_owned));
    names
}

/// Which states are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    Live,
    Deleted,
    Both,
}

/// A text that somebody looks for. Upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The whole primary e-mail address.
    Email(String),
    /// A part of a name, a user name or a slug.
    Name(String),
}

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub kind: Kind,
    pub which: Which,
    /// Only banned users.
    pub banned: bool,
    /// Only this role: of a user in the application, of a membership in its organization.
    pub role: Option<String>,
    /// Only memberships of this organization.
    pub organization: Option<OrganizationId>,
    /// Only memberships of this user.
    pub user: Option<InternalId>,
    pub text: Option<Text>,
}

impl Filter {
    /// All live entities of a kind.
    pub fn new(kind: Kind) -> Filter {
        Filter { kind, which: Which::default(), banned: false, role: None, organization: None, user: None, text: None }
    }

    /// Whether a row is wanted. A row that cannot be read is, whatever its state: nobody knows its state.
    pub fn wants(&self, seen: &Seen) -> bool {
        let of_organization =
            self.organization.as_ref().is_none_or(|organization| seen.key.sk == format!("ORG#{organization}"));
        let of_user = self.user.is_none_or(|user| seen.key.pk == format!("USER#{user}"));
        let is_state = match (seen.state(), self.which) {
            (SeenState::Unreadable, _) | (_, Which::Both) => true,
            (SeenState::Deleted, which) => which == Which::Deleted,
            (SeenState::Live | SeenState::Placeholder, which) => which == Which::Live,
        };
        let is_banned = !self.banned || seen.row.get("banned") == Some(&Value::Bool(true));
        let has_role = self.role.as_deref().is_none_or(|role| seen.text("role") == Some(role));
        let is_meant = seen.state() == SeenState::Unreadable || (is_banned && has_role);
        of_kind(self.kind, &seen.key) && of_organization && of_user && is_state && is_meant && self.has_text(seen)
    }

    fn has_text(&self, seen: &Seen) -> bool {
        match &self.text {
            None => true,
            Some(Text::Email(email)) => {
                seen.text("email").is_some_and(|stored| stored.to_lowercase() == email.to_lowercase())
            }
            Some(Text::Name(name)) => {
                let wanted = name.to_lowercase();
                let names = ["name", "first_name", "last_name", "username", "slug"];
                names.iter().filter_map(|name| seen.text(name)).any(|stored| stored.to_lowercase().contains(&wanted))
            }
        }
    }
}

/// Whether a key is one of a kind, by its sort key alone: the partition key may be damaged.
fn of_kind(kind: Kind, key: &Key) -> bool {
    match kind {
        Kind::User => key.sk == "USER",
        Kind::Organization => key.sk == "ORG",
        Kind::Membership => key.sk.starts_with("ORG#"),
    }
}

/// What separates the parts of the position after a row whose key is not one of Rollcall's.
const ODD: char = '|';

/// The position after a row, as a text for `--after`: the internal id of a user, the id of an organization, or
/// `<organization id>/<internal id>`.
pub fn position(key: &Key) -> String {
    let short = match Kind::from_key(key) {
        Some(Kind::User | Kind::Organization) => key.pk.split_once('#').map(|(_, id)| id.to_owned()),
        Some(Kind::Membership) => key
            .sk
            .split_once('#')
            .zip(key.pk.split_once('#'))
            .map(|((_, organization), (_, user))| format!("{organization}/{user}")),
        None => None,
    };
    let is_plain = |short: &String| !short.contains(ODD) && short.matches('/').count() < 2;
    short.filter(is_plain).unwrap_or_else(|| format!("{}{ODD}{}", key.pk, key.sk))
}

/// The key at a position. Clerk's id of a user stands for the internal id.
pub fn at_position(kind: Kind, text: &str, instance: &InstanceId) -> Option<Key> {
    if let Some((pk, sk)) = text.split_once(ODD) {
        return Some(Key { pk: pk.to_owned(), sk: sk.to_owned() });
    }
    let user = |id: &str| match id.parse::<AnyUserId>() {
        Ok(id) => id.internal(instance).to_string(),
        Err(_) => id.to_owned(),
    };
    match kind {
        Kind::User => Some(Key { pk: format!("USER#{}", user(text)), sk: "USER".to_owned() }),
        Kind::Organization => Some(Key { pk: format!("ORG#{text}"), sk: "ORG".to_owned() }),
        Kind::Membership => {
            let (organization, id) = text.split_once('/')?;
            Some(Key { pk: format!("USER#{}", user(id)), sk: format!("ORG#{organization}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";

    fn row(change: impl FnOnce(&mut Value)) -> Seen {
        let mut row = json!({
            "pk": format!("USER#{ID}"), "sk": "USER", "rank": "0000000000000.0.0000000000009", "digest": "x",
            "applied_at": 10, "applied_by": "webhook", "clerk_user_id": "user_1", "name": "Ada Lovelace",
            "email": "Ada@example.com", "role": "admin", "banned": true,
        });
        change(&mut row);
        Seen::new(row.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_row_is_said_in_one_word_and_what_cannot_be_read_is_named() {
        for (name, value, state, unreadable) in [
            ("name", json!("Grace"), SeenState::Live, &[][..]),
            ("rank", json!("0000000000000.0.0000000000000"), SeenState::Placeholder, &[]),
            ("rank", json!("0000000000000.1.0000000000009"), SeenState::Deleted, &[]),
            ("rank", json!(7), SeenState::Unreadable, &[]),
            ("digest", Value::Null, SeenState::Unreadable, &[]),
            ("pk", json!("ada@example.com"), SeenState::Unreadable, &[]),
            ("created_at", json!("yesterday"), SeenState::Live, &["created_at"]),
            ("delivery_id", json!({ "a": 1 }), SeenState::Live, &["delivery_id"]),
            ("applied_at", Value::Null, SeenState::Live, &["applied_by", "applied_at"]),
        ] {
            let seen = row(|row| row[name] = value.clone());
            assert_eq!(
                (seen.state(), &seen.unreadable[..]),
                (state, &unreadable.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
                "{name} {value}"
            );
            assert_eq!(seen.is_whole(), state != SeenState::Unreadable && unreadable.is_empty());
        }
    }

    #[test]
    fn a_filter_wants_what_it_names_and_never_drops_what_cannot_be_read() {
        let all = || Filter::new(Kind::User);
        let text = |text| Filter { text: Some(text), which: Which::Both, ..all() };
        let (ada, gone) = (row(|_| ()), row(|row| row["rank"] = json!("0000000000000.1.0000000000009")));
        let (plain, broken) = (row(|row| row["banned"] = json!(false)), row(|row| row["rank"] = json!("x")));
        for (filter, expected) in [
            (all(), [true, false, true, true]),
            (Filter { which: Which::Deleted, ..all() }, [false, true, false, true]),
            (Filter { which: Which::Both, ..all() }, [true; 4]),
            (Filter { banned: true, ..all() }, [true, false, false, true]),
            (Filter { role: Some("user".to_owned()), ..all() }, [false, false, false, true]),
            (Filter::new(Kind::Organization), [false; 4]),
            (Filter { user: Some("2c1157ac-33d3-5114-bbd8-09b23e2ca922".parse().unwrap()), ..all() }, [false; 4]),
            (text(Text::Email("ADA@EXAMPLE.COM".to_owned())), [true; 4]),
            (text(Text::Email("da@example.com".to_owned())), [false; 4]),
            (text(Text::Name("LOVE".to_owned())), [true; 4]),
            (text(Text::Name("Grace".to_owned())), [false; 4]),
        ] {
            assert_eq!([&ada, &gone, &plain, &broken].map(|seen| filter.wants(seen)), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_position_leads_back_to_its_key() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let user = format!("USER#{ID}");
        for (kind, pk, sk) in [
            (Kind::User, user.as_str(), "USER"),
            (Kind::User, "USER#ada", "USER"),
            (Kind::User, "ada", "USER"),
            (Kind::Organization, "ORG#org_1", "ORG"),
            (Kind::Membership, &user, "ORG#org_1"),
            (Kind::Membership, "USER#a/b", "ORG#org_1"),
        ] {
            let key = Key { pk: pk.to_owned(), sk: sk.to_owned() };
            assert_eq!(at_position(kind, &position(&key), &instance), Some(key));
        }
        let id = instance.internal_id(&"user_1".parse().unwrap());
        assert_eq!(at_position(Kind::User, "user_1", &instance).unwrap().pk, format!("USER#{id}"));
        assert_eq!(at_position(Kind::Membership, "org_1/user_1", &instance).unwrap().pk, format!("USER#{id}"));
        assert_eq!(at_position(Kind::Membership, "org_1", &instance), None);
    }
}
