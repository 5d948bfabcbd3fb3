//! Decides where the log of a deployed stack is read on, and which of its lines were shown.

use std::collections::BTreeSet;

use rollcall::core::millis::Millis;

/// A line may reach the log this long after its time, in ms: CloudWatch takes some seconds.
const LATE: u64 = 60 * 1000;

/// The part of the log that is read next: from `since` on.
#[derive(Debug)]
pub(super) struct Window {
    /// Unix ms.
    pub(super) since: Millis,
    /// The lines that were shown, by time and key, from `since` on.
    shown: BTreeSet<(Millis, String)>,
}

/// A read that ended before the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// All lines before this time were read, in Unix ms; `None` if no line was read.
    pub(super) until: Option<Millis>,
}

/// Lines that may not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Those between the two times, in Unix ms.
    Skipped { from: Millis, to: Millis },
    /// Those before this time, in Unix ms, that reach the log after this read.
    Late { before: Millis },
}

impl Window {
    pub(super) fn new(since: Millis) -> Window {
        Window { since, shown: BTreeSet::new() }
    }

    /// Whether a line was not shown yet. From now on it counts as shown.
    pub(super) fn is_new(&mut self, at: Millis, key: &str) -> bool {
        self.shown.insert((at, key.to_owned()))
    }

    /// Moves on after a read whose newest line is of this time. After a cut the next read begins where this one ended,
    /// so that a window with too many lines is never read twice.
    pub(super) fn advance(&mut self, newest: Option<Millis>, cut: Option<Cut>, now: Millis) -> Option<Gap> {
        let from = self.since;
        let (since, gap) = match cut {
            // Older lines do not come any more.
            None => (newest.map_or(from, |newest| earlier(newest, LATE)), None),
            Some(Cut { until: Some(until) }) if until > from => {
                let may_be_late = until > earlier(now, LATE);
                (until, may_be_late.then_some(Gap::Late { before: until }))
            }
            // More lines of one millisecond than are read at once.
            Some(Cut { until: Some(_) }) => (from.next(), Some(Gap::Skipped { from, to: from.next() })),
            Some(Cut { until: None }) => {
                let to = earlier(now, LATE).max(from.next());
                (to, Some(Gap::Skipped { from, to }))
            }
        };
        self.since = from.max(since);
        self.shown.retain(|(at, _)| *at >= self.since);
        gap
    }
}

fn earlier(at: Millis, by: u64) -> Millis {
    i64::try_from(at.get().saturating_sub(by)).ok().and_then(|at| at.try_into().ok()).unwrap_or(Millis::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(value: usize) -> Millis {
        i64::try_from(value).unwrap().try_into().unwrap()
    }

    /// Follows a log of lines at these times, of which at most `most` are read at once, until the read after the last
    /// line. Answers with the lines that were shown, the gaps, and the number of reads.
    fn follow(log: &[Millis], most: usize, now: Millis) -> (Vec<usize>, Vec<Gap>, usize) {
        let (mut window, mut shown, mut gaps) = (Window::new(Millis::ZERO), Vec::new(), Vec::new());
        for reads in 1..100 {
            let in_window: Vec<usize> = (0..log.len()).filter(|line| log[*line] >= window.since).collect();
            let read = &in_window[..in_window.len().min(most)];
            shown.extend(read.iter().filter(|line| window.is_new(log[**line], &line.to_string())));
            let newest = read.last().map(|line| log[*line]);
            let cut = (read.len() < in_window.len()).then_some(Cut { until: newest });
            gaps.extend(window.advance(newest, cut, now));
            if cut.is_none() {
                return (shown, gaps, reads);
            }
        }
        panic!("the same window is read again and again: {window:?}");
    }

    #[test]
    fn a_log_with_more_lines_than_are_read_at_once_is_shown_as_a_whole() {
        // 250 lines in 25 ms: less than a line may be late.
        let log: Vec<Millis> = (0..250).map(|line| millis(1_000_000 + line / 10)).collect();
        let (shown, gaps, reads) = follow(&log, 100, millis(9_000_000));
        assert_eq!((shown, gaps), ((0..250).collect(), vec![]));
        assert!(reads <= 4, "{reads}");
        // Those of the last minute may still get lines that are late.
        let (_, gaps, _) = follow(&log, 100, millis(1_000_100));
        assert_eq!(gaps[0], Gap::Late { before: millis(1_000_009) });
    }

    #[test]
    fn more_lines_of_one_millisecond_than_are_read_at_once_are_skipped_and_told_once() {
        let log: Vec<Millis> = [vec![millis(5); 250], vec![millis(7)]].concat();
        let (shown, gaps, reads) = follow(&log, 100, millis(9_000_000));
        assert_eq!(shown, (0..100).chain([250]).collect::<Vec<_>>());
        assert_eq!((gaps, reads), (vec![Gap::Skipped { from: millis(5), to: millis(6) }], 3));
    }

    #[test]
    fn a_search_that_finds_no_line_before_its_limit_moves_on() {
        let mut window = Window::new(millis(10));
        let gap = window.advance(None, Some(Cut { until: None }), millis(100_010));
        assert_eq!((gap, window.since), (Some(Gap::Skipped { from: millis(10), to: millis(40_010) }), millis(40_010)));
        // A clock that is behind does not lead back.
        window.advance(None, Some(Cut { until: None }), millis(5));
        assert_eq!(window.since, millis(40_011));
    }

    #[test]
    fn a_line_that_is_late_is_shown_and_none_twice() {
        let mut window = Window::new(Millis::ZERO);
        assert!(window.is_new(millis(100_000), "a"));
        assert_eq!(window.advance(Some(millis(100_000)), None, millis(100_001)), None);
        assert_eq!(window.since, millis(40_000));
        assert!(window.is_new(millis(50_000), "late") && !window.is_new(millis(100_000), "a"));
    }
}
