//! The first pass over an input: is every row readable, how many are there, and which ids and addresses occur twice?
//!
//! Memory: 16 bytes for each id and each address.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::values::{at, keys, legacy_id};
use crate::input::{self, InputError, Options, Row};
use crate::mapping::Mapping;

/// The files of a migration.
#[derive(Clone, Debug)]
pub struct Input {
    pub paths: Vec<PathBuf>,
    pub options: Options,
}

impl Input {
    /// The rows, from the first on.
    ///
    /// # Errors
    ///
    /// [`InputError`].
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<Row, InputError>> + use<>, InputError> {
        input::open(&self.paths, self.options.clone())
    }

    /// The SHA-256 over the bytes of all files, in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn digest(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        for path in &self.paths {
            add_file(&mut hash, path)?;
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A folder counts as its files, in the order of their names.
fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let mut children =
            std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        children.sort();
        return children.iter().try_for_each(|child| add_file(hash, child));
    }
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// A short hash of an id or an address. Two different ones among a billion have the same with a chance of one in 10^20.
pub type Mark = [u8; 16];

/// The mark of a text.
pub fn mark(text: &str) -> Mark {
    let hash = Sha256::digest(text.as_bytes());
    std::array::from_fn(|at| hash[at])
}

/// Marks that are looked up: sorted, 16 bytes for each.
#[derive(Debug, Default)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// These marks, each once.
    pub fn of(mut marks: Vec<Mark>) -> Marks {
        marks.sort_unstable();
        marks.dedup();
        Marks(marks)
    }

    /// Those that occur more than once.
    pub fn repeated(mut marks: Vec<Mark>) -> Marks {
        marks.sort_unstable();
        Marks::of(marks.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text's mark is one of them.
    pub fn has(&self, text: &str) -> bool {
        !self.0.is_empty() && self.0.binary_search(&mark(text)).is_ok()
    }
}

/// What the first pass found.
#[derive(Debug, Default)]
pub struct Survey {
    pub rows: u64,
    /// Addresses that several rows have.
    pub shared_addresses: Marks,
    /// Old ids that several rows have.
    pub shared_ids: Marks,
    /// The fields of the mapping that no row has, with any value. Empty if there is no row.
    pub nowhere: Vec<String>,
}

impl Survey {
    /// Reads the input to its end.
    ///
    /// # Errors
    ///
    /// [`InputError`], for the first row that is unreadable. Nothing has been written then.
    pub fn of(input: &Input, mapping: &Mapping, mut each: impl FnMut(u64)) -> Result<Survey, InputError> {
        let (mut rows, mut ids, mut addresses) = (0, Vec::new(), Vec::new());
        let mut nowhere: Vec<&str> = mapping.sources().collect();
        for row in input.rows()? {
            let row = row?;
            rows += 1;
            nowhere.retain(|path| at(&row.value, path).is_none());
            // A row that cannot be used is reported by the plan.
            ids.extend(legacy_id(&row.value, &mapping.legacy_id).ok().flatten().map(|id| mark(&id.typed)));
            addresses
                .extend(keys(&row.value, mapping).ok().and_then(|keys| keys.address).map(|address| mark(&address)));
            each(rows);
        }
        let nowhere = nowhere.into_iter().filter(|_| rows > 0).map(str::to_owned).collect();
        Ok(Survey { rows, nowhere, shared_ids: Marks::repeated(ids), shared_addresses: Marks::repeated(addresses) })
    }
}
