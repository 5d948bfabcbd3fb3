//! Follows the logs from one read to the next: each read begins where the one before ended.

use std::collections::BTreeSet;

use rollcall::core::millis::Millis;

use super::cloudwatch::Groups;
use super::file::Reader;
use super::window::{Cut, Gap, Window};
use super::{Entry, Found, Logs, Search};

/// The logs, and how far they were read.
pub(in crate::operator) struct Follow {
    source: Source,
    search: Search,
    /// The logs that cannot be read. Each is reported once.
    told: BTreeSet<String>,
}

enum Source {
    CloudWatch(Box<Groups>, Window),
    File(Reader),
}

/// What one read has found.
#[derive(Debug, Default)]
pub(in crate::operator) struct Step {
    /// Lines that were not shown yet, the oldest first.
    pub(in crate::operator) entries: Vec<Entry>,
    /// What was not read and why, a sentence without a full stop each.
    pub(in crate::operator) problems: Vec<String>,
    /// Whether the log has more lines already.
    pub(in crate::operator) is_behind: bool,
}

impl Follow {
    pub(in crate::operator) fn new(logs: Logs, search: Search) -> Follow {
        let source = match logs {
            Logs::CloudWatch(groups) => Source::CloudWatch(groups, Window::new(search.since)),
            Logs::File(path) => Source::File(Reader::new(path)),
        };
        Follow { source, search, told: BTreeSet::new() }
    }

    /// Reads on. `now` is the machine's time.
    ///
    /// # Errors
    ///
    /// If no log can be read.
    pub(in crate::operator) async fn read(&mut self, now: Millis) -> anyhow::Result<Step> {
        match &mut self.source {
            Source::File(reader) => reader.read(&self.search),
            Source::CloudWatch(groups, window) => {
                self.search.since = window.since;
                let mut found = groups.read(&self.search).await?;
                found.problems.retain(|problem| self.told.insert(problem.clone()));
                Ok(new_lines(window, found, self.search.most, now))
            }
        }
    }
}

/// The lines that were not shown yet, and where the next read begins.
fn new_lines(window: &mut Window, found: Found, most: usize, now: Millis) -> Step {
    let Found { mut entries, is_cut, until, mut problems } = found;
    let cut = is_cut.then_some(Cut { until });
    // After a cut, the newer lines of other functions come with the next read, so that the order is right.
    entries.retain(|entry| until.is_none_or(|until| entry.line.at <= until));
    entries.sort_by_key(|entry| entry.line.at);
    let newest = entries.last().map(|entry| entry.line.at);
    entries.retain(|entry| window.is_new(entry.line.at, &entry.key));
    problems.extend(window.advance(newest, cut, now).map(|gap| gap_sentence(gap, most)));
    Step { entries, problems, is_behind: is_cut }
}

fn gap_sentence(gap: Gap, most: usize) -> String {
    const ADVICE: &str = "follow fewer lines with --id or --only";
    match gap {
        Gap::Skipped { from, to } => format!(
            "the log has more lines than can be read, {most} of a function at once: lines between {} and {} were skipped; \
             {ADVICE}",
            from.utc(),
            to.utc()
        ),
        Gap::Late { before } => format!(
            "the log has more than {most} lines of a function at once: lines before {} that reach the log late are not \
             shown; {ADVICE}",
            before.utc()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry;
    use super::*;

    fn millis(value: i64) -> Millis {
        value.try_into().unwrap()
    }

    #[test]
    fn lines_of_other_functions_after_a_cut_wait_for_the_next_read() {
        let line = |at: i64| {
            entry(r#"{"target":"webhook","message":"event"}"#, Some(millis(at)), None, at.to_string()).unwrap()
        };
        let mut window = Window::new(Millis::ZERO);
        let times = |step: &Step| step.entries.iter().map(|entry| entry.line.at.get()).collect::<Vec<_>>();
        let found =
            Found { entries: vec![line(9), line(2), line(5)], is_cut: true, until: Some(millis(5)), problems: vec![] };
        let step = new_lines(&mut window, found, 2, millis(900_000));
        assert_eq!((times(&step), step.is_behind, step.problems.len()), (vec![2, 5], true, 0));
        let found = Found { entries: vec![line(9), line(5), line(6)], ..Found::default() };
        let step = new_lines(&mut window, found, 2, millis(900_000));
        assert_eq!((times(&step), step.is_behind), (vec![6, 9], false));
        // Each gap is reported.
        for from in [9, 10] {
            let found = Found { entries: vec![], is_cut: true, until: Some(window.since), problems: vec![] };
            assert!(new_lines(&mut window, found, 2, millis(900_000)).problems[0].contains("were skipped"), "{from}");
        }
    }
}
