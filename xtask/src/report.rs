//! What a test run tells at its end: a line per step, then the test runners' own summaries.

use std::time::Duration;

/// How a step ended.
pub(crate) enum Outcome {
    Passed,
    /// Not made, and why. Never counted as passed.
    Skipped(String),
    Failed(String),
    /// An earlier step failed.
    NotRun,
}

/// One step, ended.
struct Step {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

/// All steps of a run.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Adds a step.
    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome, time: Duration) {
        self.steps.push(Step { name, outcome, time });
    }

    /// Whether a step has failed.
    pub(crate) fn failed(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }

    /// The lines to print.
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = self.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        let mut lines = Vec::new();
        let (mut passed, mut skipped, mut failed, mut not_run) = (0, 0, 0, 0);
        let mut total = Duration::ZERO;
        for Step { name, outcome, time } in &self.steps {
            total += *time;
            let seconds = format!("{:8.1} s", time.as_secs_f64());
            lines.push(match outcome {
                Outcome::Passed => {
                    passed += 1;
                    format!("passed   {name:width$} {seconds}")
                }
                Outcome::Skipped(why) => {
                    skipped += 1;
                    format!("SKIPPED  {name:width$} {seconds}  {why}")
                }
                Outcome::Failed(why) => {
                    failed += 1;
                    format!("FAILED   {name:width$} {seconds}  {why}")
                }
                Outcome::NotRun => {
                    not_run += 1;
                    format!("not run  {name}")
                }
            });
        }
        lines.push(format!(
            "steps: {passed} passed, {skipped} skipped, {failed} failed, {not_run} not run, in {:.1} s",
            total.as_secs_f64()
        ));
        lines
    }
}

/// Whether a line is a test runner's summary: `test result: ...` of Rust's two runners, or a count of Node's.
pub(crate) fn is_summary(line: &str) -> bool {
    if line.starts_with("test result: ") {
        return true;
    }
    let Some((what, number)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    ["tests", "pass", "fail", "cancelled", "skipped", "todo"].contains(&what)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_summaries() {
        assert!(is_summary("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(is_summary("# pass 12"));
        assert!(is_summary("# fail 0"));
        for other in ["# Subtest: pass 1", "    # pass 1", "# duration_ms 12.5", "# pass", "test one ... ok", "# pass x"] {
            assert!(!is_summary(other), "{other}");
        }
    }

    #[test]
    fn skipped_is_not_passed() {
        let mut report = Report::default();
        report.add("a", Outcome::Passed, Duration::from_millis(1500));
        report.add("long name", Outcome::Skipped("no tool".into()), Duration::ZERO);
        assert!(!report.failed());
        report.add("b", Outcome::Failed("broken".into()), Duration::from_secs(1));
        report.add("c", Outcome::NotRun, Duration::ZERO);
        assert!(report.failed());
        assert_eq!(
            report.lines(),
            [
                "passed   a              1.5 s",
                "SKIPPED  long name      0.0 s  no tool",
                "FAILED   b              1.0 s  broken",
                "not run  c",
                "steps: 1 passed, 1 skipped, 1 failed, 1 not run, in 2.5 s",
            ]
        );
    }
}
