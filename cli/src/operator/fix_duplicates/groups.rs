//! Groups rows by their values in a temporary database on disk: a table may have more rows than fit into memory. SQLite
//! removes the file at the end, also of a killed process.

use rollcall::core::deletion::duplicates::{Group, Seen, Undecided, Verdict};
use rollcall::services::operator::duplicates::{FoundPage, Pair};
use rusqlite::{Connection, params};

const TABLES: &str = "
    CREATE TABLE rows (
        grp BLOB NOT NULL, ord BLOB NOT NULL, key TEXT NOT NULL, at INTEGER, owner TEXT,
        gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (grp, ord)
    ) WITHOUT ROWID;
    CREATE TABLE keepers (grp BLOB PRIMARY KEY, ord BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE undecided (grp BLOB PRIMARY KEY, why TEXT NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;
";

/// Rows that are read from the database at once.
const PAGE: i64 = 1_000;

pub(super) struct Groups(Connection);

/// The position of a row.
pub(super) type Position = (Vec<u8>, Vec<u8>);

/// The decisions about all groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// Groups of which one row stays.
    pub(super) groups: u64,
    /// The other rows of these groups.
    pub(super) duplicates: u64,
    /// Groups of which nothing is removed.
    pub(super) undecided: u64,
}

impl Groups {
    pub(super) fn new() -> anyhow::Result<Groups> {
        let database = Connection::open("")?;
        database.execute_batch(TABLES)?;
        Ok(Groups(database))
    }

    /// Adds the rows of a page.
    pub(super) fn add(&mut self, page: &FoundPage) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        {
            // A row that moves while the table is scanned may be found twice.
            let mut row = transaction
                .prepare_cached("INSERT OR REPLACE INTO rows (grp, ord, key, at, owner) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for found in &page.found {
                let Seen { order, at, owner } = &found.seen;
                row.execute(params![found.group, order, found.key, at, owner])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Decides about all groups.
    pub(super) fn decide(&mut self) -> anyhow::Result<Decided> {
        let (mut decided, mut group) = (Decided::default(), Group::default());
        let (mut current, mut ord) = (Vec::new(), Vec::new());
        loop {
            let page = self.rows_behind(&current, &ord)?;
            let is_last = page.is_empty();
            for (grp, seen) in page {
                if grp != current {
                    let before = std::mem::replace(&mut current, grp);
                    self.keep(&before, std::mem::take(&mut group), &mut decided)?;
                }
                ord.clone_from(&seen.order);
                group.add(seen);
            }
            if is_last {
                self.keep(&current, group, &mut decided)?;
                return Ok(decided);
            }
        }
    }

    fn rows_behind(&self, grp: &[u8], ord: &[u8]) -> anyhow::Result<Vec<(Vec<u8>, Seen)>> {
        let mut rows = self.0.prepare_cached(
            "SELECT grp, ord, at, owner FROM rows WHERE (grp, ord) > (?1, ?2) ORDER BY grp, ord LIMIT ?3",
        )?;
        let rows = rows.query_map(params![grp, ord, PAGE], |row| {
            Ok((row.get(0)?, Seen { order: row.get(1)?, at: row.get(2)?, owner: row.get(3)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn keep(&self, grp: &[u8], group: Group, decided: &mut Decided) -> anyhow::Result<()> {
        let rows = group.rows;
        match group.verdict() {
            Verdict::Single => {}
            Verdict::Keep(order) => {
                decided.groups += 1;
                decided.duplicates += rows - 1;
                self.0.prepare_cached("INSERT INTO keepers VALUES (?1, ?2)")?.execute(params![grp, order])?;
            }
            Verdict::Undecided(why) => {
                decided.undecided += 1;
                let mut undecided = self.0.prepare_cached("INSERT INTO undecided VALUES (?1, ?2, ?3)")?;
                undecided.execute(params![grp, why.name(), i64::try_from(rows)?])?;
            }
        }
        Ok(())
    }

    /// Duplicates behind a position, each with the row that stays and its own position.
    pub(super) fn pairs(&self, after: &Position, most: usize) -> anyhow::Result<Vec<(Pair, Position)>> {
        let mut pairs = self.0.prepare_cached(
            "SELECT rows.grp, rows.ord, stays.key, rows.key, stays.at, rows.at
             FROM rows JOIN keepers USING (grp) JOIN rows stays ON stays.grp = rows.grp AND stays.ord = keepers.ord
             WHERE (rows.grp, rows.ord) > (?1, ?2) AND rows.ord <> keepers.ord
             ORDER BY rows.grp, rows.ord LIMIT ?3",
        )?;
        let pairs = pairs.query_map(params![after.0, after.1, i64::try_from(most)?], |row| {
            let group: [u8; 16] = row.get(0)?;
            let pair =
                Pair { group, keeper: row.get(2)?, duplicate: row.get(3)?, keeper_at: row.get(4)?, at: row.get(5)? };
            Ok((pair, (group.to_vec(), row.get(1)?)))
        })?;
        Ok(pairs.collect::<Result<_, _>>()?)
    }

    /// Notes that the duplicate at this position is removed.
    pub(super) fn remove(&self, at: &Position) -> anyhow::Result<()> {
        let mut remove = self.0.prepare_cached("UPDATE rows SET gone = 1 WHERE grp = ?1 AND ord = ?2")?;
        remove.execute(params![at.0, at.1])?;
        Ok(())
    }

    /// Calls `with` for each duplicate until it returns false: the keys of the row that stays and of the duplicate, and
    /// whether the duplicate is removed.
    pub(super) fn each(
        &self,
        mut with: impl FnMut(String, String, bool) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut pairs = self.0.prepare_cached(
            "SELECT stays.key, rows.key, rows.gone
             FROM rows JOIN keepers USING (grp) JOIN rows stays ON stays.grp = rows.grp AND stays.ord = keepers.ord
             WHERE rows.ord <> keepers.ord ORDER BY rows.grp, rows.ord",
        )?;
        let mut pairs = pairs.query([])?;
        while let Some(row) = pairs.next()? {
            if !with(row.get(0)?, row.get(1)?, row.get(2)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Some of the groups that are undecided: why, how many rows, and the keys of some of them.
    pub(super) fn undecided(&self, groups: usize, keys: usize) -> anyhow::Result<Vec<(String, u64, Vec<String>)>> {
        let mut found = self.0.prepare_cached("SELECT grp, why, rows FROM undecided ORDER BY grp LIMIT ?1")?;
        let found = found.query_map([i64::try_from(groups)?], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs()))
        })?;
        let mut undecided = Vec::new();
        for group in found {
            let (grp, why, rows) = group?;
            let mut of_group = self.0.prepare_cached("SELECT key FROM rows WHERE grp = ?1 ORDER BY ord LIMIT ?2")?;
            let of_group = of_group.query_map(params![grp, i64::try_from(keys)?], |row| row.get(0))?;
            undecided.push((why, rows, of_group.collect::<Result<_, _>>()?));
        }
        Ok(undecided)
    }

    /// How many groups are undecided, by the reason.
    pub(super) fn reasons(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let mut reasons = self.0.prepare_cached("SELECT why, count(*) FROM undecided GROUP BY why ORDER BY why")?;
        let reasons = reasons.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(reasons.collect::<Result<_, _>>()?)
    }
}

/// What keeps a group undecided.
pub(super) fn meaning(why: &str) -> &'static str {
    const NO_TIME: &str = Undecided::NoTime.name();
    const SEVERAL_USERS: &str = Undecided::SeveralUsers.name();
    match why {
        NO_TIME => "the time of a row is missing or cannot be read",
        SEVERAL_USERS => "the rows belong to several users",
        _ => "a row names no user, so a backup of it could not be restored",
    }
}

#[cfg(test)]
mod tests {
    use rollcall::core::deletion::duplicates::order;
    use rollcall::services::operator::duplicates::Found;

    use super::*;

    fn found(group: u8, key: &str, at: Option<i64>, owner: &str) -> Found {
        let seen = Seen { order: order([key.as_bytes()]), at, owner: Some(owner.to_owned()) };
        Found { group: [group; 16], seen, key: key.to_owned() }
    }

    #[test]
    fn e6_groups_that_cross_pages_are_decided_as_a_whole() {
        let mut groups = Groups::new().unwrap();
        let many = 2_500;
        let rows = (0..many).map(|at| found(3, &format!("m{at:05}"), Some(i64::from(many - at)), "ada"));
        let others = [
            found(1, "single", Some(1), "ada"),
            found(2, "b", Some(5), "ada"),
            found(2, "a", Some(5), "ada"),
            found(4, "x", None, "ada"),
            found(4, "y", Some(1), "ada"),
            found(5, "v", Some(1), "ada"),
            found(5, "w", Some(2), "eve"),
        ];
        groups.add(&FoundPage { found: rows.chain(others).collect(), ..FoundPage::default() }).unwrap();
        let decided = groups.decide().unwrap();
        assert_eq!(decided, Decided { groups: 2, duplicates: 2_500, undecided: 2 });
        let (mut pairs, mut after) = (Vec::new(), Position::default());
        loop {
            let some = groups.pairs(&after, 7).unwrap();
            let Some((_, last)) = some.last().cloned() else { break };
            pairs.extend(some);
            after = last;
        }
        groups.remove(&pairs[0].1).unwrap();
        let mut removed = Vec::new();
        groups
            .each(|keeper, key, is_gone| {
                removed.extend(is_gone.then_some((keeper, key)));
                Ok(true)
            })
            .unwrap();
        assert_eq!(removed, [("a".to_owned(), "b".to_owned())]);
        let pairs: Vec<Pair> = pairs.into_iter().map(|(pair, _)| pair).collect();
        assert_eq!(pairs.len(), 2_500);
        assert_eq!((pairs[0].keeper.as_str(), pairs[0].duplicate.as_str()), ("a", "b"));
        assert!(pairs[1..].iter().all(|pair| pair.keeper == "m02499" && pair.keeper_at == 1));
        let reasons = [("no_time".to_owned(), 1), ("several_users".to_owned(), 1)];
        assert_eq!(groups.reasons().unwrap(), reasons);
        assert_eq!(groups.undecided(1, 1).unwrap(), [("no_time".to_owned(), 2, vec!["x".to_owned()])]);
    }
}
