//! The owners of all rows, in a temporary database on disk: a table may have more owners than fit into memory. SQLite
//! removes the file at the end, also of a killed process.

use rollcall::core::deletion::orphans::{Orphaned, Proof, Standing};
use rollcall::core::id::{InternalId, UserId};
use rollcall::services::operator::cleanup::{Absence, Held, OwnerIds, OwnersPage};
use rusqlite::{Connection, OptionalExtension, params};

const TABLES: &str = "
    CREATE TABLE owners (
        user TEXT PRIMARY KEY, clerk TEXT, asks TEXT, state INTEGER NOT NULL DEFAULT 0, redacts INTEGER NOT NULL DEFAULT 0,
        restored_at INTEGER, backup TEXT
    ) WITHOUT ROWID;
    CREATE TABLE held (
        user TEXT NOT NULL, source INTEGER NOT NULL, rows INTEGER NOT NULL, redacted INTEGER NOT NULL,
        PRIMARY KEY (user, source)
    ) WITHOUT ROWID;
";

/// What may be done with the rows of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum State {
    Live = 1,
    Unknown = 2,
    Due = 3,
    Kept = 4,
    /// Clerk must still confirm the absence.
    Asked = 5,
    /// The deletion is proven.
    Proven = 6,
    /// Deleted in the Directory, but Clerk has the user.
    Exists = 7,
    Unproven = 8,
    /// An operator has restored the rows.
    Restored = 9,
}

pub(super) struct Owners(Connection);

/// An owner whose rows the command removes.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) user: InternalId,
    /// The Clerk id about which Clerk is asked; nothing if the tombstone is the proof.
    pub(super) asks: Option<UserId>,
    pub(super) redacts: bool,
    /// The tables with rows of the owner, by their positions.
    pub(super) sources: Vec<usize>,
}

/// The rows of one table whose owners are in the same state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub(super) source: usize,
    pub(super) state: i64,
    pub(super) redacts: bool,
    pub(super) held: Held,
}

impl Owners {
    pub(super) fn new() -> anyhow::Result<Owners> {
        let database = Connection::open("")?;
        database.execute_batch(TABLES)?;
        Ok(Owners(database))
    }

    /// Adds the owners of a page of the table at this position.
    pub(super) fn add(&mut self, source: usize, page: &OwnersPage) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut owner = transaction.prepare_cached(
                "INSERT INTO owners (user, clerk) VALUES (?1, ?2)
                 ON CONFLICT (user) DO UPDATE SET clerk = coalesce(clerk, excluded.clerk)",
            )?;
            let mut held = transaction.prepare_cached(
                "INSERT INTO held VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user, source)
                 DO UPDATE SET rows = rows + excluded.rows, redacted = redacted + excluded.redacted",
            )?;
            for ((user, clerk), rows) in &page.owners {
                let user = user.to_string();
                owner.execute(params![user, clerk.as_ref().map(UserId::as_str)])?;
                held.execute(params![user, i64::try_from(source)?, signed(rows.rows), signed(rows.redacted)])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Owners behind `after`.
    pub(super) fn page(&self, after: &str, most: i64) -> anyhow::Result<Vec<OwnerIds>> {
        let mut rows =
            self.0.prepare_cached("SELECT user, clerk FROM owners WHERE user > ?1 ORDER BY user LIMIT ?2")?;
        let rows = rows
            .query_map(params![after, most], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
        rows.map(|row| {
            let (user, clerk) = row?;
            Ok((user.parse()?, clerk.map(|clerk| clerk.parse()).transpose()?))
        })
        .collect()
    }

    /// Stores the standing of an owner.
    pub(super) fn judge(&self, user: InternalId, standing: &Standing) -> anyhow::Result<()> {
        let (state, asks, redacts) = match standing {
            Standing::Live => (State::Live, None, false),
            Standing::Unknown => (State::Unknown, None, false),
            Standing::Due => (State::Due, None, false),
            Standing::Kept => (State::Kept, None, false),
            Standing::Restored(restoration) => {
                let mut note =
                    self.0.prepare_cached("UPDATE owners SET restored_at = ?2, backup = ?3 WHERE user = ?1")?;
                let restored_at = signed(restoration.restored_at.get());
                note.execute(params![user.to_string(), restored_at, restoration.backup])?;
                (State::Restored, None, false)
            }
            // Only unredacted rows of Profiles can be redacted.
            Standing::Orphaned(Orphaned { redacts: true, .. }) if !self.has_unredacted(user)? => {
                (State::Kept, None, false)
            }
            Standing::Orphaned(Orphaned { redacts, proof }) => match proof {
                Proof::Tombstone => (State::Proven, None, *redacts),
                Proof::Clerk(asks) => (State::Asked, Some(asks.as_str()), *redacts),
                Proof::Impossible => (State::Unproven, None, *redacts),
            },
        };
        self.0
            .prepare_cached("UPDATE owners SET state = ?2, asks = ?3, redacts = ?4 WHERE user = ?1")?
            .execute(params![user.to_string(), state as i64, asks, redacts])?;
        Ok(())
    }

    fn has_unredacted(&self, user: InternalId) -> anyhow::Result<bool> {
        let mut found = self.0.prepare_cached("SELECT rows > redacted FROM held WHERE user = ?1 AND source = 0")?;
        Ok(found.query_row([user.to_string()], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Stores Clerk's answer about an owner.
    pub(super) fn prove(&self, user: InternalId, absence: Absence) -> anyhow::Result<()> {
        let state = match absence {
            Absence::Proven => State::Proven,
            Absence::Exists => State::Exists,
            Absence::Unproven => State::Unproven,
        };
        self.0
            .prepare_cached("UPDATE owners SET state = ?2 WHERE user = ?1")?
            .execute(params![user.to_string(), state as i64])?;
        Ok(())
    }

    /// Owners in this state behind `after`.
    pub(super) fn in_state(&self, state: State, after: &str, most: usize) -> anyhow::Result<Vec<Owner>> {
        let mut found = self.0.prepare_cached(
            "SELECT user, asks, redacts FROM owners WHERE state = ?1 AND user > ?2 ORDER BY user LIMIT ?3",
        )?;
        let found = found.query_map(params![state as i64, after, i64::try_from(most)?], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, bool>(2)?))
        })?;
        let mut owners = Vec::new();
        for row in found {
            let (user, asks, redacts) = row?;
            let mut sources = self.0.prepare_cached("SELECT source FROM held WHERE user = ?1 ORDER BY source")?;
            let sources = sources.query_map([&user], |row| row.get::<_, i64>(0))?;
            let sources = sources.map(|source| Ok(usize::try_from(source?)?)).collect::<anyhow::Result<_>>()?;
            let asks = asks.map(|id| id.parse()).transpose()?;
            owners.push(Owner { user: user.parse()?, asks, redacts, sources });
        }
        Ok(owners)
    }

    /// The Clerk ids, or else the internal ids, of some owners in this state.
    pub(super) fn ids(&self, state: State, most: usize) -> anyhow::Result<Vec<String>> {
        let mut found = self
            .0
            .prepare_cached("SELECT coalesce(clerk, asks, user) FROM owners WHERE state = ?1 ORDER BY user LIMIT ?2")?;
        let found = found.query_map(params![state as i64, i64::try_from(most)?], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Some of the owners whose rows were restored: the Clerk id, or else the internal id, when, and from which backup.
    pub(super) fn restored(&self, most: usize) -> anyhow::Result<Vec<(String, u64, String)>> {
        let mut found = self.0.prepare_cached(
            "SELECT coalesce(clerk, user), restored_at, backup FROM owners WHERE state = ?1 ORDER BY user LIMIT ?2",
        )?;
        let found = found.query_map(params![State::Restored as i64, i64::try_from(most)?], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?))
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// How many owners are in this state.
    pub(super) fn count(&self, state: State) -> anyhow::Result<u64> {
        let count = "SELECT count(*) FROM owners WHERE state = ?1";
        let count: i64 = self.0.query_row(count, [state as i64], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The rows by table and by state of their owners.
    pub(super) fn sums(&self) -> anyhow::Result<Vec<Sum>> {
        let mut sums = self.0.prepare_cached(
            "SELECT source, state, redacts, sum(rows), sum(redacted) FROM held JOIN owners USING (user)
             GROUP BY source, state, redacts",
        )?;
        let sums = sums.query_map([], |row| {
            let unsigned = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let held = Held { rows: unsigned(3)?, redacted: unsigned(4)? };
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, held))
        })?;
        sums.map(|sum| {
            let (source, state, redacts, held) = sum?;
            Ok(Sum { source: usize::try_from(source)?, state, redacts, held })
        })
        .collect()
    }
}

fn signed(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
