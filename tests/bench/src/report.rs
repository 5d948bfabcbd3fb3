//! Budgets, what was measured against them, and how both are shown.
//!
//! No budget is a time: that depends on the machine and on what else it does. What takes time is held against the same
//! handler on Node.js, measured in turns with it.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::requests::Cost;
use crate::starts::Figures;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Ten to the sixth bytes.
    Megabytes,
    /// A number of things.
    Count,
    /// A part of what Node.js takes.
    OfNode,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Megabytes => format!("{value:.1} MB"),
            Unit::Count => format!("{value}"),
            Unit::OfNode => format!("1/{:.1} of Node.js", 1.0 / value),
        }
    }
}

/// Whether a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Pass,
    Over,
    /// Nobody knows. That is no pass.
    NotMeasured,
}

#[derive(Debug, Serialize)]
pub(crate) struct Budget {
    function: String,
    what: String,
    unit: Unit,
    measured: Option<f64>,
    at_most: f64,
    pub(crate) verdict: Verdict,
}

impl Budget {
    /// A function's budget and what was measured, if anything was.
    fn new(function: &str, what: &str, unit: Unit, measured: Option<f64>, at_most: f64) -> Budget {
        let verdict = match measured {
            None => Verdict::NotMeasured,
            Some(measured) if measured <= at_most => Verdict::Pass,
            Some(_) => Verdict::Over,
        };
        Budget { function: function.to_owned(), what: what.to_owned(), unit, measured, at_most, verdict }
    }

    /// What is limited, and of which function.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.function, self.what)
    }
}

type Figure = fn(&Figures) -> f64;

/// What the processes of one function took.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) function: Figures,
    /// The same handler on Node.js.
    pub(crate) node: Option<Figures>,
}

impl Measured {
    /// The start's time. Node.js takes so long that on a busy machine even its quickest start waits for others, as the function's
    /// does not, and the ratio would flatter the function. A start of Node.js is one thread that computes all the time, so on
    /// a quiet machine it takes as long as its CPU time, which others hardly change: the lesser of the two counts.
    fn cold_of_node(&self) -> Option<f64> {
        let node = self.node.as_ref()?;
        Some(self.function.least_cold_ms / node.least_cold_ms.min(node.least_cpu_cold_ms))
    }

    fn of_node(&self, figure: Figure) -> Option<f64> {
        self.node.as_ref().map(|node| figure(&self.function) / figure(node))
    }
}

/// Everything that was measured.
pub(crate) struct Report {
    /// The binaries by name, in MB.
    pub(crate) binaries: Vec<(String, f64)>,
    /// The functions that were started.
    pub(crate) functions: Vec<Measured>,
    /// Which Node.js, if there is one.
    pub(crate) node: Option<String>,
    /// The webhook's verify, parse, decide, in µs of CPU.
    pub(crate) decide_us: f64,
    /// The webhook's fresh event, a duplicate, a superseded one.
    pub(crate) costs: [Cost; 3],
}

impl Report {
    /// All budgets, in the order of the design.
    pub(crate) fn budgets(&self) -> Vec<Budget> {
        let [fresh, duplicate, superseded] = &self.costs;
        let count =
            |what: &str, measured: f64, at_most| Budget::new("webhook", what, Unit::Count, Some(measured), at_most);
        let mut budgets = vec![
            count("fresh event: DynamoDB requests", fresh.requests.into(), 1.0),
            count("fresh event: write units", fresh.write_units, 1.0),
            count("fresh event: reads", fresh.reads.into(), 0.0),
            count("fresh event: Clerk calls", fresh.clerk_calls.into(), 0.0),
        ];
        for (kind, cost) in [("duplicate", duplicate), ("superseded", superseded)] {
            budgets.push(count(&format!("{kind} event: DynamoDB requests"), cost.requests.into(), 1.0));
            budgets.push(count(&format!("{kind} event: item changes"), cost.item_changes.into(), 0.0));
            let records = u32::try_from(cost.stream_records).unwrap_or(u32::MAX);
            budgets.push(count(&format!("{kind} event: stream records"), records.into(), 0.0));
        }
        for measured in &self.functions {
            let (name, function) = (measured.name, &measured.function);
            let start = "cold start and first invocation";
            let cold = measured.cold_of_node();
            budgets.push(Budget::new(name, start, Unit::OfNode, cold, 1.0 / 12.0));
            let cpu = measured.of_node(|figures| figures.least_cpu_cold_ms);
            budgets.push(Budget::new(name, &format!("{start}, CPU"), Unit::OfNode, cpu, 1.0 / 18.0));
            let memory = "resident memory, peak";
            let peak = measured.of_node(|figures| figures.peak_mb);
            budgets.push(Budget::new(name, memory, Unit::OfNode, peak, 1.0 / 7.0));
            if name == "webhook" {
                budgets.push(Budget::new(name, memory, Unit::Megabytes, Some(function.peak_mb), 14.0));
            }
        }
        for (name, megabytes) in &self.binaries {
            budgets.push(Budget::new(name, "release binary", Unit::Megabytes, Some(*megabytes), 8.0));
        }
        budgets
    }

    pub(crate) fn json(&self) -> Value {
        let [fresh, duplicate, superseded] = &self.costs;
        let figures = |measured: &Measured| json!({ "function": measured.function, "node": measured.node });
        let functions: Map<String, Value> =
            self.functions.iter().map(|measured| (measured.name.to_owned(), figures(measured))).collect();
        json!({
            "budgets": self.budgets(),
            "functions": functions,
            "node": self.node,
            "webhook_decide_us": self.decide_us,
            "events": { "fresh": fresh, "duplicate": duplicate, "superseded": superseded },
        })
    }

    /// Everything as tables for people: the budgets, then each function.
    pub(crate) fn text(&self) -> String {
        let mut budgets = vec![["budget", "measured", "at most", ""].map(str::to_owned)];
        for budget in self.budgets() {
            let measured = budget.measured.map_or_else(|| "not measured".to_owned(), |value| budget.unit.show(value));
            let verdict = match budget.verdict {
                Verdict::Pass => "pass",
                Verdict::Over => "OVER",
                Verdict::NotMeasured => "no pass",
            };
            budgets.push([budget.name(), measured, budget.unit.show(budget.at_most), verdict.to_owned()]);
        }
        let figures = self.functions.iter().map(|measured| table(&self.figures(measured)));
        let decide = format!("webhook, warm: verify, parse, decide take {:.0} µs of CPU\n", self.decide_us);
        std::iter::once(table(&budgets)).chain(figures).chain([decide]).collect::<Vec<_>>().join("\n")
    }

    fn figures(&self, measured: &Measured) -> Vec<[String; 4]> {
        let version = self.node.as_deref().unwrap_or("Node.js: none here");
        let mut rows =
            vec![[&*format!("{}: medians", measured.name), "function", version, "function is"].map(str::to_owned)];
        let figures: [(&str, Figure); 13] = [
            ("start to first poll, ms", |figures| figures.init_ms),
            ("first invocation over TLS, ms", |figures| figures.first_ms),
            ("the two together, ms", |figures| figures.cold_ms),
            ("the two together, the least, ms", |figures| figures.least_cold_ms),
            ("CPU of the start, ms", |figures| figures.cpu_init_ms),
            ("CPU of the first invocation, ms", |figures| figures.cpu_first_ms),
            ("CPU of the two together, ms", |figures| figures.cpu_cold_ms),
            ("CPU of the two together, the least, ms", |figures| figures.least_cpu_cold_ms),
            ("warm invocation p50, ms", |figures| figures.warm_p50_ms),
            ("warm invocation p99, ms", |figures| figures.warm_p99_ms),
            ("CPU of a warm invocation, ms", |figures| figures.cpu_warm_ms),
            ("resident memory at the end, MB", |figures| figures.resident_mb),
            ("resident memory at its peak, MB", |figures| figures.peak_mb),
        ];
        for (name, figure) in figures {
            let function = format!("{:.2}", figure(&measured.function));
            let node = measured.node.as_ref().map(|node| format!("{:.2}", figure(node)));
            let share = measured.of_node(figure).map(|share| Unit::OfNode.show(share));
            rows.push([name.to_owned(), function, node.unwrap_or_default(), share.unwrap_or_default()]);
        }
        rows
    }
}

fn table(rows: &[[String; 4]]) -> String {
    let mut widths = [0; 4];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for [what, one, two, three] in rows {
        let line = format!("{what:<0$}  {one:>1$}  {two:>2$}  {three:<3$}", widths[0], widths[1], widths[2], widths[3]);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_was_not_measured_does_not_pass() {
        let verdict = |measured| Budget::new("webhook", "x", Unit::Count, measured, 1.0).verdict;
        assert_eq!(verdict(None), Verdict::NotMeasured);
        assert_eq!(verdict(Some(1.0)), Verdict::Pass);
        assert_eq!(verdict(Some(1.1)), Verdict::Over);
        assert_eq!(verdict(Some(f64::NAN)), Verdict::Over);
    }

    fn figures(cold_ms: f64, cpu_ms: f64, peak_mb: f64) -> Figures {
        Figures {
            least_cold_ms: cold_ms,
            least_cpu_cold_ms: cpu_ms,
            init_ms: cold_ms,
            first_ms: cold_ms,
            cold_ms,
            cpu_init_ms: cpu_ms,
            cpu_first_ms: cpu_ms,
            cpu_cold_ms: cpu_ms,
            warm_p50_ms: cold_ms,
            warm_p99_ms: cold_ms,
            cpu_warm_ms: cpu_ms,
            resident_mb: peak_mb,
            peak_mb,
        }
    }

    /// What one function takes, and the same handler on Node.js, on a machine that is so many times as slow, and on which
    /// every start of Node.js waits for others until it takes so many times as long.
    fn verdicts(slow: f64, waits: f64, function: [f64; 3], node: Option<[f64; 3]>) -> Vec<(String, Unit, Verdict)> {
        let figures = |[cold_ms, cpu_ms, peak_mb]: [f64; 3]| figures(cold_ms * slow, cpu_ms * slow, peak_mb);
        let node = node.map(|[cold_ms, cpu_ms, peak_mb]| [cold_ms * waits, cpu_ms, peak_mb]);
        let cost = || Cost { requests: 1, write_units: 1.0, ..Cost::default() };
        let report = Report {
            binaries: vec![("webhook".to_owned(), 6.1)],
            functions: vec![Measured { name: "webhook", function: figures(function), node: node.map(figures) }],
            node: node.map(|_| "v20".to_owned()),
            decide_us: 20.0 * slow,
            costs: [cost(), Cost { requests: 1, ..Cost::default() }, Cost { requests: 1, ..Cost::default() }],
        };
        report.budgets().into_iter().map(|budget| (budget.name(), budget.unit, budget.verdict)).collect()
    }

    #[test]
    fn fault_c8_no_budget_is_a_time_and_no_verdict_depends_on_how_fast_or_busy_the_machine_is() {
        let node = Some([90.0, 95.0, 73.0]);
        for (function, over) in
            [([4.2, 4.0, 8.1], 0), ([8.5, 4.0, 8.1], 1), ([4.2, 5.3, 8.1], 1), ([4.2, 4.0, 10.5], 1)]
        {
            let alone = verdicts(1.0, 1.0, function, node);
            let overs = alone.iter().filter(|(_, _, verdict)| *verdict == Verdict::Over).count();
            assert_eq!(overs, over, "{alone:?}");
            assert_eq!(alone, verdicts(9.0, 1.0, function, node), "nine times as slow");
            assert_eq!(alone, verdicts(1.0, 7.0, function, node), "busy");
            assert!(alone.iter().all(|(_, unit, _)| [Unit::Count, Unit::Megabytes, Unit::OfNode].contains(unit)));
        }
    }

    #[test]
    fn without_node_every_ratio_is_not_measured() {
        let alone = verdicts(1.0, 1.0, [4.2, 4.0, 8.1], None);
        let unmeasured = alone.iter().filter(|(_, _, verdict)| *verdict == Verdict::NotMeasured);
        assert!(unmeasured.clone().all(|(_, unit, _)| *unit == Unit::OfNode));
        assert_eq!(unmeasured.count(), 3, "{alone:?}");
    }

    #[test]
    fn a_share_of_node_is_shown_as_a_fraction() {
        assert_eq!(Unit::OfNode.show(1.0 / 12.0), "1/12.0 of Node.js");
    }
}
