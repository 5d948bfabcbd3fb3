//! The allowed roles of users in the application: the names in the setting `ROLES`.

use std::sync::LazyLock;

use serde_json::Value;

use super::item::Item;

/// The role of a user whose public metadata contains no role or an unknown one. It always exists.
pub const USER: &str = "user";

/// The allowed roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(Vec<String>);

impl Roles {
    /// The roles `admin` and `user`.
    pub fn usual() -> &'static Roles {
        static USUAL: LazyLock<Roles> = LazyLock::new(Roles::default);
        &USUAL
    }

    /// Names of roles, separated by commas or white space. Nothing if there is none, or if one is not a valid name.
    pub fn parse(text: &str) -> Option<Roles> {
        let is_name = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte);
            name.len() <= 64 && name.bytes().all(allowed)
        };
        let names = text.split([' ', ',', '\t', '\n']).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(|name| is_name(name).then(|| name.to_owned())).collect::<Option<_>>()?;
        (!names.is_empty()).then_some(Roles(names))
    }

    /// The names in the form of the setting.
    pub fn listed(&self) -> String {
        self.0.join(",")
    }

    /// Whether a name is an allowed role.
    pub fn knows(&self, name: &str) -> bool {
        name == USER || self.0.iter().any(|known| known == name)
    }

    /// The role for a name: itself if it is allowed, else [`USER`].
    pub fn named<'a>(&self, name: Option<&'a str>) -> &'a str {
        name.filter(|name| self.knows(name)).unwrap_or(USER)
    }

    /// Whether the public metadata of a live user contain a role that is not allowed.
    pub fn miss(&self, user: &Item) -> bool {
        let metadata = user.fields.get("public_metadata");
        let name = metadata.and_then(|metadata| metadata.get("role")).and_then(Value::as_str);
        user.key.sk == "USER" && !user.is_deleted() && name.is_some_and(|name| !self.knows(name))
    }
}

impl Default for Roles {
    fn default() -> Roles {
        Roles(["admin", USER].map(str::to_owned).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_a_user() {
        let roles = Roles::parse("owner, moderator\teditor:draft").unwrap();
        for (name, role) in [
            (Some("owner"), "owner"),
            (Some("moderator"), "moderator"),
            (Some("editor:draft"), "editor:draft"),
            (Some("user"), "user"),
            (Some("admin"), "user"),
            (Some("Owner"), "user"),
            (Some(""), "user"),
            (None, "user"),
        ] {
            assert_eq!(roles.named(name), role, "{name:?}");
        }
        assert_eq!(Roles::usual().named(Some("admin")), "admin");
        for wrong in ["", " , ", "a b/c", "ä", &"x".repeat(65)] {
            assert_eq!(Roles::parse(wrong), None, "{wrong:?}");
        }
    }
}
