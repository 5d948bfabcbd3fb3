//! Computes users, organizations and memberships on demand from the seed and an index, so that a million users need no
//! memory.
//!
//! User `n` was created `n` ms after [`EPOCH_MS`], and so were organization and membership `n`. An id contains its
//! number in a reversible form and check letters that distinguish it from an invented id. Membership `n` belongs to
//! user `n % users`, who joins the next organization in every round over all users: no pair occurs twice, no membership
//! is older than its user or its organization, and the number of members of an organization is computed, not counted.

use fastrand::Rng;

use super::model::{Contact, Membership, Organization, Proof, User, identifier_key};
use crate::{config::Generated, samples};

/// The time of the first generated entity: 2024-01-01, Unix ms. Fixed, because the same seed must give the same
/// population.
pub(super) const EPOCH_MS: i64 = 1_704_067_200_000;

/// The maximum of each kind. The creation time of a later entity would be in the future.
const MOST: u64 = 1_000_000_000;

const EMAIL_DOMAIN: &str = "@generated.example.com";

/// The reasons for which a population cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum GeneratedError {
    /// The number of users, organizations or memberships exceeds the maximum.
    #[error("{0} cannot be generated: the maximum of each kind is 1000000000")]
    TooMany(u64),
    /// More memberships than pairs of a user and an organization.
    #[error(
        "{memberships} memberships cannot be generated: {users} users and {organizations} organizations allow at most \
         {}",
        users * organizations
    )]
    TooFewPairs {
        /// The requested number of memberships.
        memberships: u64,
        /// The number of users.
        users: u64,
        /// The number of organizations.
        organizations: u64,
    },
    /// A snapshot contains all entities, which a generated population avoids.
    #[error("generated entities cannot be stored in a snapshot: set either `generated` or `snapshot`, not both")]
    Snapshot,
}

/// The population as generated, without later changes.
#[derive(Clone, Copy)]
pub(crate) struct Population {
    seed: u64,
    size: Generated,
}

/// Base 62, in the order of ASCII.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// So many digits represent any `u64`; the rest of the 26 characters of a Clerk id are check letters.
const NUMBER_LENGTH: usize = 11;
const CHECK_LENGTH: usize = 15;

/// Makes the ids of successive numbers differ in all digits. The factor is odd, so it has an inverse modulo 2^64.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const GATHER: u64 = 0xf1de_83e1_9937_733d;

impl Population {
    pub(super) fn new(seed: u64, size: Generated) -> Result<Self, GeneratedError> {
        let Generated { users, organizations, memberships } = size;
        if let Some(count) = [users, organizations, memberships].into_iter().find(|count| *count > MOST) {
            return Err(GeneratedError::TooMany(count));
        }
        if memberships > users * organizations {
            return Err(GeneratedError::TooFewPairs { memberships, users, organizations });
        }
        Ok(Self { seed, size })
    }

    pub(super) fn empty() -> Self {
        Self { seed: 0, size: Generated::default() }
    }

    pub(super) fn size(&self) -> Generated {
        self.size
    }

    pub(super) fn user(&self, number: u64) -> User {
        let at = created_at(number);
        let (first, last) = samples::names(position(number));
        let id = self.id("idn", number);
        let (value, proof) = (email(number), Proof::Code);
        User {
            id: self.id("user", number),
            first_name: Some(first.to_owned()),
            last_name: Some(last.to_owned()),
            primary_email_address_id: Some(id.clone()),
            emails: vec![Contact { id, value, proof, created_at: at, updated_at: at }],
            public_metadata: samples::role(position(number)),
            password_enabled: true,
            delete_self_enabled: true,
            create_organization_enabled: true,
            created_at: at,
            updated_at: at,
            ..User::default()
        }
    }

    pub(super) fn organization(&self, number: u64) -> Organization {
        let at = created_at(number);
        let (name, slug) = organization_names(number);
        // In the first round the memberships up to the number of organizations are one for each organization.
        let has_creator = number < self.size.users && number < self.size.memberships;
        Organization {
            id: self.id("org", number),
            name,
            slug,
            created_by: has_creator.then(|| self.id("user", number)),
            max_allowed_memberships: 0,
            admin_delete_enabled: true,
            public_metadata: serde_json::Map::new(),
            private_metadata: serde_json::Map::new(),
            created_at: at,
            updated_at: at,
        }
    }

    pub(super) fn membership(&self, number: u64) -> Membership {
        let at = created_at(number);
        let (organization, user) = self.pair(number);
        let founder = number == organization;
        Membership {
            id: self.id("orgmem", number),
            organization_id: self.id("org", organization),
            user_id: self.id("user", user),
            role: if founder { "org:admin" } else { "org:member" }.to_owned(),
            public_metadata: serde_json::Map::new(),
            private_metadata: serde_json::Map::new(),
            created_at: at,
            updated_at: at,
        }
    }

    /// The id: Clerk's prefix, a `2`, the encoded number and the check letters.
    pub(super) fn id(&self, prefix: &str, number: u64) -> String {
        let key = self.key(prefix);
        let disguised = (number ^ key).wrapping_mul(SPREAD);
        let mut id = format!("{prefix}_2");
        // The last digit first: the first digits would often be equal.
        let places = (0..NUMBER_LENGTH).scan(disguised, |rest, _| {
            let digit = *rest % 62;
            *rest /= 62;
            Some(char::from(DIGITS[position(digit)]))
        });
        id.extend(places);
        let mut random = Rng::with_seed(disguised ^ key);
        id.extend(std::iter::repeat_with(|| random.alphanumeric()).take(CHECK_LENGTH));
        id
    }

    /// The number in an id of this population, if it is below `count`.
    pub(super) fn number(&self, prefix: &str, id: &str, count: u64) -> Option<u64> {
        let digits = id.strip_prefix(prefix)?.strip_prefix("_2")?.get(..NUMBER_LENGTH)?;
        let disguised = digits.bytes().rev().try_fold(0_u64, |number, digit| {
            let value = DIGITS.binary_search(&digit).ok()?;
            number.checked_mul(62)?.checked_add(value as u64)
        })?;
        let number = disguised.wrapping_mul(GATHER) ^ self.key(prefix);
        (number < count && self.id(prefix, number) == id).then_some(number)
    }

    pub(super) fn user_number(&self, id: &str) -> Option<u64> {
        self.number("user", id, self.size.users)
    }

    pub(super) fn organization_number(&self, id: &str) -> Option<u64> {
        self.number("org", id, self.size.organizations)
    }

    /// The user that was generated with this key of the index of identifiers.
    pub(super) fn user_with(&self, identifier: &str) -> Option<u64> {
        let name = identifier.strip_suffix(EMAIL_DOMAIN)?;
        let number = name.rsplit_once('.')?.1.parse::<u64>().ok()?.checked_sub(1)?;
        let same = identifier_key("email_address", &email(number)) == identifier;
        (number < self.size.users && same).then_some(number)
    }

    pub(super) fn organization_with_slug(&self, slug: &str) -> Option<u64> {
        let number = slug.rsplit_once('-')?.1.parse::<u64>().ok()?.checked_sub(1)?;
        (number < self.size.organizations && organization_names(number).1 == slug).then_some(number)
    }

    /// The organization and the user of a membership.
    pub(super) fn pair(&self, membership: u64) -> (u64, u64) {
        let (round, user) = (membership / self.size.users, membership % self.size.users);
        ((user + round) % self.size.organizations, user)
    }

    pub(super) fn membership_number(&self, organization: u64, user: u64) -> Option<u64> {
        let organizations = self.size.organizations;
        let round = (organization + organizations - user % organizations) % organizations;
        let number = round * self.size.users + user;
        (number < self.size.memberships).then_some(number)
    }

    pub(super) fn memberships_of(&self, user: u64) -> impl Iterator<Item = u64> + use<> {
        let Generated { users, memberships, .. } = self.size;
        (0..).map(move |round| round * users + user).take_while(move |number| *number < memberships)
    }

    /// The number of memberships of the organization below `number`.
    pub(super) fn members_before(&self, organization: u64, number: u64) -> u64 {
        let Generated { users, organizations, .. } = self.size;
        if users == 0 || organizations == 0 {
            return 0;
        }
        let (rounds, rest) = (number / users, number % users);
        // In round r the members of the organization are the users with number modulo organizations = organization - r.
        // A round has `users / organizations` users of each remainder, and one more of the remainders below `more`.
        let more = users % organizations;
        let (low, high) = (organization + 1 + organizations - rounds, organization + 1 + organizations);
        let below_more = |end: u64| end / organizations * more + (end % organizations).min(more);
        let full = rounds * (users / organizations) + below_more(high) - below_more(low);
        let first = (organization + organizations - rounds % organizations) % organizations;
        full + if first < rest { (rest - 1 - first) / organizations + 1 } else { 0 }
    }

    fn key(&self, prefix: &str) -> u64 {
        prefix.bytes().fold(self.seed, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// The creation time of number `n` of any kind.
pub(super) fn created_at(number: u64) -> i64 {
    EPOCH_MS.saturating_add_unsigned(number)
}

fn email(number: u64) -> String {
    let (first, last) = samples::names(position(number));
    format!("{}.{}.{}{EMAIL_DOMAIN}", first.to_lowercase(), last.to_lowercase(), number + 1)
}

fn organization_names(number: u64) -> (String, String) {
    let name = format!("{} {}", samples::organization_name(position(number)), number + 1);
    let slug = name.to_lowercase().replace(' ', "-");
    (name, slug)
}

fn position(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn population(users: u64, organizations: u64, memberships: u64) -> Population {
        Population::new(7, Generated { users, organizations, memberships }).unwrap()
    }

    #[test]
    fn an_id_is_read_back_and_an_invented_one_is_not() {
        let many = population(1_000_000, 0, 0);
        let ids: HashSet<String> = (0..2_000).chain(998_000..1_000_000).map(|n| many.user(n).id).collect();
        assert_eq!(ids.len(), 4_000);
        for number in [0, 1, 61, 62, 999_999] {
            let id = many.user(number).id;
            assert_eq!(many.user_number(&id), Some(number), "{id}");
            assert!(id.len() == 32 && id.starts_with("user_2"), "{id}");
            assert!(id["user_2".len()..].bytes().all(|letter| letter.is_ascii_alphanumeric()), "{id}");
            let altered = format!("{}{}", &id[..31], if id.ends_with('x') { 'y' } else { 'x' });
            assert_eq!(many.user_number(&altered), None, "{altered}");
            assert_eq!(many.organization_number(&id.replace("user", "org")), None);
            assert_eq!(Population { seed: 8, ..many }.user_number(&id), None, "of another seed");
        }
        assert_eq!(many.user_number(&many.user(1_000_000).id), None, "beyond the last");
        for invented in ["", "user_2", "user_2zzzzzzzzzzz000000000000000", "user_2é", "user_gone"] {
            assert_eq!(many.user_number(invented), None, "{invented}");
        }
    }

    #[test]
    fn addresses_and_slugs_lead_back_to_whoever_has_them() {
        let many = population(1000, 50, 0);
        for number in [0, 1, 999] {
            let key = &many.user(number).identifiers()[0];
            assert_eq!(many.user_with(key), Some(number), "{key}");
        }
        let (last, next) = (many.organization(49).slug, many.organization(50).slug);
        assert_eq!((many.organization_with_slug(&last), many.organization_with_slug(&next)), (Some(49), None));
        let beyond = &many.user(1000).identifiers()[0];
        for wrong in [beyond, "email_address:ada.abbott.2@generated.example.com", "email_address:ada.abbott.1@a.com"] {
            assert_eq!(many.user_with(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_pair_is_another_and_every_question_about_members_has_the_counted_answer() {
        for (users, organizations) in [(1, 1), (7, 3), (3, 7), (6, 3), (5, 5), (12, 4), (1, 9)] {
            for memberships in 0..=users * organizations {
                let some = population(users, organizations, memberships);
                let pairs: Vec<_> = (0..memberships).map(|number| some.pair(number)).collect();
                assert_eq!(pairs.iter().collect::<HashSet<_>>().len(), pairs.len(), "{:?}", some.size);
                for organization in 0..organizations {
                    for number in 0..=memberships {
                        let counted = pairs[..position(number)].iter().filter(|pair| pair.0 == organization).count();
                        assert_eq!(some.members_before(organization, number), counted as u64, "{:?}", some.size);
                    }
                    for user in 0..users {
                        let found = pairs.iter().position(|pair| *pair == (organization, user));
                        assert_eq!(some.membership_number(organization, user).map(position), found);
                    }
                }
                for user in 0..users {
                    let found: Vec<_> = (0..memberships).filter(|n| pairs[position(*n)].1 == user).collect();
                    assert_eq!(some.memberships_of(user).collect::<Vec<_>>(), found);
                }
            }
        }
    }

    #[test]
    fn nobody_is_a_member_before_there_is_a_user_and_an_organization() {
        let some = population(20, 6, 90);
        for number in 0..90 {
            let (organization, user) = some.pair(number);
            assert!(user <= number && organization <= number, "{number}");
        }
        for number in 0..6 {
            let creator = some.organization(number).created_by.unwrap();
            let membership = some.membership(some.membership_number(number, number).unwrap());
            assert_eq!((membership.user_id, membership.role.as_str()), (creator, "org:admin"));
        }
    }

    #[test]
    fn more_memberships_than_pairs_or_more_than_fit_are_refused_with_the_numbers() {
        let refused = |users, organizations, memberships| {
            Population::new(0, Generated { users, organizations, memberships }).err().unwrap().to_string()
        };
        let expected = "13 memberships cannot be generated: 3 users and 4 organizations allow at most 12";
        assert_eq!(refused(3, 4, 13), expected);
        assert!(refused(MOST + 1, 0, 0).starts_with("1000000001 cannot be generated"));
    }
}
