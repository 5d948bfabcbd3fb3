//! What was counted in a collection, and whether the counts add up to what was read.
//!
//! For each listed reference, a row has values or none:
//!
//! - rows read = rows reported as deleted + rows with values + rows without values;
//! - values = right + new only + empty + excepted + wrong.

use serde::Serialize;

use super::exceptions::Seen;
use super::listed::{Judged, Verdict};

/// What a collection has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub rows: u64,
    /// Rows that an incremental export reports as deleted: they are not judged.
    pub deleted_rows: u64,
    /// What it has at each listed reference, in their order.
    #[serde(skip)]
    pub listed: Vec<ListedTally>,
    /// Old ids outside the listed references.
    pub unlisted: u64,
    /// Old ids at accepted paths.
    pub accepted: u64,
    /// The ids of the listed references whose text is in the list of exceptions.
    #[serde(skip)]
    pub seen: Seen,
}

/// What a collection has at one listed reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListedTally {
    /// Rows with a value in the old or the new field.
    pub rows_with_values: u64,
    /// Rows in which both fields are absent, null, an empty text or an empty list. They have no values.
    pub rows_without_values: u64,
    /// The values of the rows that have some: one for each row, or for each document of an array in the row. A list of ids
    /// in one field is one value.
    pub values: u64,
    /// Values whose new field is right.
    pub right: u64,
    /// Of them those that were found only because types were not compared.
    pub right_by_loose_ids: u64,
    /// New fields without an old id beside them.
    pub new_only: u64,
    /// Documents of an array without an old id and without a new one, beside others of the row that have one.
    pub empty: u64,
    /// Values whose old id is in the list of exceptions: without a new field, or of a user who has left.
    pub excepted: u64,
    /// Values that contradict criterion 2.
    pub wrong: u64,
    /// Of them those with an old id and no new field.
    pub lacking: u64,
}

impl ListedTally {
    /// Counts what was judged in a row.
    pub fn add(&mut self, row: &[Judged]) {
        if row.iter().all(|judged| judged.verdict == Verdict::Empty) {
            self.rows_without_values += 1;
            return;
        }
        self.rows_with_values += 1;
        self.values += u64::try_from(row.len()).unwrap_or(u64::MAX);
        for judged in row {
            match &judged.verdict {
                Verdict::Right => {
                    self.right += 1;
                    self.right_by_loose_ids += u64::from(judged.is_loose);
                }
                Verdict::Empty => self.empty += 1,
                Verdict::NewOnly => self.new_only += 1,
                Verdict::Excepted => self.excepted += 1,
                Verdict::Wrong(wrong) => {
                    self.wrong += 1;
                    self.lacking += u64::from(wrong.lacks);
                }
            }
        }
    }

    /// Whether no row has an old id: the name of the field may be misspelt.
    pub fn is_unseen(&self) -> bool {
        self.right + self.excepted + self.wrong == 0
    }
}

impl Tally {
    /// The sum over the listed references.
    pub fn sum(&self, part: fn(&ListedTally) -> u64) -> u64 {
        self.listed.iter().map(part).sum()
    }

    /// Whether each row is counted for each listed reference, and each value once.
    pub fn adds_up(&self) -> bool {
        self.listed.iter().all(|listed| {
            let rows = self.deleted_rows + listed.rows_with_values + listed.rows_without_values;
            let values = listed.right + listed.new_only + listed.empty + listed.excepted + listed.wrong;
            rows == self.rows && values == listed.values
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(verdict: Verdict) -> Judged {
        Judged { path: "user_id".to_owned(), verdict, is_loose: false, ids: Vec::new() }
    }

    #[test]
    fn a_row_without_values_is_counted_apart_from_an_empty_document_of_an_array() {
        use Verdict::{Empty, Excepted, NewOnly, Right};
        let mut tally = Tally { rows: 6, deleted_rows: 1, ..Tally::default() };
        let mut listed = ListedTally::default();
        for row in [&[][..], &[Empty], &[Empty, Empty], &[Empty, Right, NewOnly], &[Excepted]] {
            listed.add(&row.iter().cloned().map(judged).collect::<Vec<_>>());
        }
        assert_eq!((listed.rows_with_values, listed.rows_without_values), (2, 3));
        assert_eq!((listed.values, listed.empty, listed.right, listed.new_only, listed.excepted), (4, 1, 1, 1, 1));
        tally.listed = vec![listed.clone(), listed.clone()];
        assert!(tally.adds_up());
        assert_eq!(tally.sum(|listed| listed.values), 8);
        for lose in [
            (|tally| tally.rows += 1) as fn(&mut Tally),
            |tally| tally.deleted_rows -= 1,
            |tally| tally.listed[1].rows_without_values -= 1,
            |tally| tally.listed[1].rows_with_values += 1,
            |tally| tally.listed[0].empty -= 1,
            |tally| tally.listed[1].right -= 1,
        ] {
            let mut tally = tally.clone();
            lose(&mut tally);
            assert!(!tally.adds_up(), "{tally:?}");
        }
    }
}
