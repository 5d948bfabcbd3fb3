//! No row may be lost: the files that were written are read again, and their rows without the insertions are the rows of
//! the input, each as often as there.

use std::io::BufRead;
use std::iter::Peekable;

use sha2::{Digest, Sha256};

use super::RekeyError;
use super::drafts::{INSERTIONS, Part, Written};
use super::splice::{Insertion, restored};
use crate::folder::Folder;
use crate::input::{self, Options, Row};

/// Texts with their number of occurrences, as a sum of their SHA-256, modulo 2^256. The order does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multiset {
    pub count: u64,
    sum: [u8; 32],
}

impl Multiset {
    pub fn add(&mut self, text: &[u8]) {
        self.count += 1;
        self.add_sum(&Sha256::digest(text).into());
    }

    /// Both together.
    #[must_use]
    pub fn with(mut self, other: &Multiset) -> Multiset {
        self.count += other.count;
        self.add_sum(&other.sum);
        self
    }

    fn add_sum(&mut self, other: &[u8; 32]) {
        let mut carry = 0;
        for (digit, other) in self.sum.iter_mut().zip(other).rev() {
            let sum = u16::from(*digit) + u16::from(*other) + carry;
            *digit = (sum & 0xff).to_be_bytes()[1];
            carry = sum >> 8;
        }
    }
}

/// What stands for a row in a patch: its id, by its value, since JSON and BSON write it apart.
pub(crate) fn id_mark(row: &Row, id: &str) -> Vec<u8> {
    row.fields(id).map(|found| format!("{:?}", found.first().map(|field| field.value))).unwrap_or_default().into()
}

/// Reads the drafts of a file again.
///
/// # Errors
///
/// [`RekeyError::Lost`] if a row is missing, is there twice, or has changed; otherwise if a draft cannot be read.
pub fn prove(folder: &Folder, written: &Written, id: &str) -> Result<(), RekeyError> {
    let lost = |problem: String| RekeyError::Lost { file: written.input.display().to_string(), problem };
    let mut left = Multiset::default();
    for part in &written.left {
        for row in rows(folder, part)? {
            left.add(&row?.source);
        }
    }
    let mut passed = Multiset::default();
    if let Some(part) = &written.rows {
        let insertions = folder.read(INSERTIONS)?.lines();
        let mut insertions = insertions.map_while(Result::ok).filter_map(|line| parsed(&line)).peekable();
        for row in rows(folder, part)? {
            let row = row?;
            let own = within(&row, &mut insertions);
            let source =
                restored(&row.source, &own).ok_or_else(|| lost("an insertion is not in its row".to_owned()))?;
            passed.add(&source);
        }
        if insertions.next().is_some() {
            return Err(lost("an insertion is in no row".to_owned()));
        }
    }
    if let Some(part) = &written.patch {
        for row in rows(folder, part)? {
            passed.add(&id_mark(&row?, id));
        }
    }
    for (what, now, expected) in
        [("of the rows that are left", left, written.of_left), ("of the rows that pass", passed, written.of_passed)]
    {
        if now.count != expected.count {
            return Err(lost(format!("{} {what} were written of {}", now.count, expected.count)));
        }
        if now != expected {
            return Err(lost(format!("the bytes {what} are others")));
        }
    }
    match written.read == written.of_left.count + written.of_passed.count + written.unwritten {
        true => Ok(()),
        false => Err(lost("the numbers do not add up".to_owned())),
    }
}

fn rows(folder: &Folder, part: &Part) -> Result<input::Rows, RekeyError> {
    let options = Options { format: part.format.clone(), ..Options::default() };
    Ok(input::open(&[folder.file(&part.draft())], options)?)
}

/// The insertions in a row, by their place in the row.
fn within(row: &Row, insertions: &mut Peekable<impl Iterator<Item = Insertion>>) -> Vec<Insertion> {
    let (start, end) = (row.place.byte, row.place.byte + row.source.len() as u64);
    let mut own = Vec::new();
    while let Some(next) = insertions.next_if(|next| next.at >= start && next.at + next.length <= end) {
        own.push(Insertion { at: next.at - start, ..next });
    }
    own
}

/// A line of the list of insertions.
pub(crate) fn line(insertion: &Insertion) -> String {
    let removed: String = insertion.removed.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {} {removed}", insertion.at, insertion.length)
}

fn parsed(line: &str) -> Option<Insertion> {
    let mut words = line.split(' ');
    let (at, length) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let digits = words.next()?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some(Insertion { at, length, removed: pairs.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiset_knows_each_text_and_how_often_it_occurs() {
        let set = |texts: &[&str]| {
            let mut set = Multiset::default();
            texts.iter().for_each(|text| set.add(text.as_bytes()));
            set
        };
        assert_eq!(set(&["a", "b", "c"]), set(&["c", "a", "b"]));
        assert_ne!(set(&["a", "a", "b"]), set(&["a", "b", "b"]));
        assert_ne!(set(&["a", "b"]).sum, set(&["a", "a"]).sum);
        // No pair of equal texts vanishes.
        assert_ne!(set(&["a", "a"]).sum, set(&["b", "b"]).sum);
        assert_eq!(set(&["a"]).with(&set(&["b"])), set(&["b", "a"]));
        let many: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (first, last) = many.split_at(500);
        assert_eq!(set(&many), set(last).with(&set(first)));
    }

    #[test]
    fn an_insertion_is_read_as_it_was_written() {
        for removed in [&b""[..], b"null", b"\\N"] {
            let insertion = Insertion { at: 7, length: 3, removed: removed.to_vec() };
            assert_eq!(parsed(&line(&insertion)), Some(insertion));
        }
    }
}
