//! Shows the progress of long work on standard error: one line with the time left on a terminal, otherwise a line from
//! time to time. With `--verbose` each step has a line.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rollcall::core::id::Kind;
use rollcall::core::reconcile::phase::Phase;
use rollcall::core::reconcile::run::Run;

use super::Screen;
use super::text::{count, counted, plural};

const TICK: Duration = Duration::from_millis(120);
/// The progress bar, with and without a known number of entities.
const BAR: &str = "{spinner} {msg} {wide_bar} {human_pos} of {human_len}, {eta} left · {prefix}";
const SPINNER: &str = "{spinner} {msg} · {prefix}";

/// Without a terminal a line is printed so often at most, in a log that somebody reads later.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Shows the progress of a run until it is dropped.
pub struct Progress {
    screen: Screen,
    is_wanted: bool,
    is_verbose: bool,
    bar: Option<ProgressBar>,
    /// The step of the last line, and when it was printed.
    last: Mutex<(String, Instant)>,
}

/// Without a bar, a long step prints another line for each thousand write-backs.
fn at_thousands(name: String, run: &Run) -> String {
    match &run.next {
        Phase::WriteBack { .. } if run.effects.linked >= 1_000 => {
            let linked = run.effects.linked / 1_000 * 1_000;
            format!("{name}, {} of {}", count(linked), count(run.effects.links - run.effects.backlog))
        }
        _ => name,
    }
}

/// The current step of a run.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: String,
    /// The number of listed entities, and the number that Clerk counts.
    listed: Option<(u64, u64)>,
}

impl Progress {
    /// Starts the display on this screen; without `is_wanted`, or with `--quiet`, nothing is shown.
    pub fn start(screen: &Screen, is_wanted: bool) -> Progress {
        let is_wanted = is_wanted && !screen.quiet;
        let bar = (is_wanted && screen.shows).then(|| {
            let bar = screen.bars.add(ProgressBar::new_spinner().with_style(style(SPINNER)));
            bar.set_message("calling Clerk");
            bar.enable_steady_tick(TICK);
            bar
        });
        let last = Mutex::new((String::new(), Instant::now()));
        Progress { screen: screen.clone(), is_wanted, is_verbose: false, bar, last }
    }

    /// The same with a line for each step.
    #[must_use]
    pub fn verbose(mut self, is_verbose: bool) -> Progress {
        self.is_verbose = is_verbose && self.is_wanted;
        self
    }

    /// Shows the current step of a run.
    pub fn show(&self, run: &Run) {
        let Step { name, listed } = step(run);
        if let Some(bar) = &self.bar {
            if let Some((seen, total)) = listed {
                if bar.length() != Some(total) {
                    // Another step: the estimate of the remaining time starts again.
                    bar.reset_eta();
                }
                bar.set_length(total);
                bar.set_position(seen);
            }
            bar.set_style(style(if listed.is_some() { BAR } else { SPINNER }));
        }
        let name = if self.bar.is_some() { name } else { at_thousands(name, run) };
        self.say(&name, &so_far(run));
    }

    /// Shows a step with a known number of entities.
    pub fn count(&self, step: &str, done: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_style(style(BAR));
        }
        self.say(step, &format!("{} of {}", count(done), count(all)));
    }

    /// Shows a step and its progress.
    pub fn say(&self, step: &str, so_far: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(step.to_owned());
            bar.set_prefix(so_far.to_owned());
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_new = self.is_verbose && last.0 != step;
        let is_time = self.is_wanted && self.bar.is_none() && last.1.elapsed() >= BETWEEN_LINES;
        if is_new || is_time {
            self.screen.note(format_args!("{step}: {so_far}"));
            *last = (step.to_owned(), Instant::now());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn step(run: &Run) -> Step {
    let listing = |kind: Kind| {
        let listing = run.listings.get(kind);
        let total = listing.before.max(listing.after);
        Step {
            name: format!("listing {}", plural(kind)),
            listed: (total > 0).then(|| (listing.seen, total.max(listing.seen))),
        }
    };
    let other = |name: String| Step { name, listed: None };
    match &run.next {
        Phase::Users { .. } => listing(Kind::User),
        Phase::Listed { kind, .. } => listing(*kind),
        Phase::Search { .. } => other("searching the Directory".to_owned()),
        Phase::Screen { kind, .. } => other(format!("screening absent {}", plural(*kind))),
        Phase::Confirm { kind, .. } => other(format!("confirming the absence of {}", plural(*kind))),
        Phase::Effects { .. } => other("completing pending effects".to_owned()),
        Phase::WriteBack { .. } => {
            let (linked, all) = (run.effects.linked, run.effects.links.saturating_sub(run.effects.backlog));
            Step { name: "writing back into Clerk".to_owned(), listed: (all > 0).then_some((linked, all)) }
        }
        Phase::Done => other("done".to_owned()),
    }
}

fn so_far(run: &Run) -> String {
    let drift = run.total().drift;
    let found = drift.repairable() + drift.for_operators();
    format!("{} to Clerk, {} so far", counted(run.cost.clerk_calls, "call"), counted(found, "difference"))
}

#[cfg(test)]
mod tests {
    use rollcall::core::millis::Millis;
    use rollcall::core::reconcile::run::Mode;

    use super::*;

    #[test]
    fn a_step_is_named_and_counted_as_far_as_clerk_counts() {
        let mut run = Run::begin(Millis::try_from(1).unwrap(), Mode::Repair, true);
        assert_eq!(step(&run), Step { name: "listing users".to_owned(), listed: None });
        (run.listings.user.before, run.listings.user.seen) = (700, 500);
        assert_eq!(step(&run).listed, Some((500, 700)));
        // Clerk listed more entities than it had counted.
        run.listings.user.seen = 702;
        assert_eq!(step(&run).listed, Some((702, 702)));
        run.next = Phase::WriteBack { after: None };
        (run.effects.links, run.effects.linked, run.effects.backlog) = (3_000, 1_010, 500);
        assert_eq!(step(&run).listed, Some((1_010, 2_500)));
        assert_eq!(at_thousands(step(&run).name, &run), "writing back into Clerk, 1,000 of 2,500");
        run.next = Phase::Search { from: None };
        assert_eq!(step(&run), Step { name: "searching the Directory".to_owned(), listed: None });
        (run.cost.clerk_calls, run.tally.user.drift.missing, run.tally.user.drift.ahead) = (1, 2, 1);
        assert_eq!(so_far(&run), "1 call to Clerk, 3 differences so far");
    }

    #[test]
    fn the_templates_are_ones() {
        for template in [BAR, SPINNER] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
