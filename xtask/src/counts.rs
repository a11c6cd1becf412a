//! Reads how many tests passed, failed and were skipped from what a test program printed.

use std::ops::AddAssign;

/// The result of a suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Counts {
    pub const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// One check that passed or failed.
    pub fn check(passed: bool) -> Self {
        if passed { Self::PASSED } else { Self::FAILED }
    }

    /// What a test program printed, together with its exit status: a failure without a failed test (a crash, a build
    /// error) counts as one failed test, and so does a run without any test.
    pub fn of_run(mut self, success: bool) -> Self {
        let nothing_ran = self == Self::default();
        if self.failed == 0 && (!success || nothing_ran) {
            self.failed = 1;
        }
        self
    }

    /// Sums the `test result:` lines of Rust's test harness (wasm-bindgen's runner prints the same).
    pub fn from_rust(text: &str) -> Self {
        let mut total = Self::default();
        for line in text.lines().filter(|line| line.contains("test result:")) {
            total += Self {
                passed: number_before(line, " passed"),
                failed: number_before(line, " failed"),
                skipped: number_before(line, " ignored"),
            };
        }
        total
    }

    /// Reads the closing lines of `node --test` with the spec reporter.
    pub fn from_node(text: &str) -> Self {
        let last = |label: &str| {
            let of_line =
                |line: &str| line.trim_start_matches(['\u{2139}', ' ']).strip_prefix(label)?.trim().parse().ok();
            text.lines().rev().find_map(of_line).unwrap_or(0)
        };
        Self {
            passed: last("pass "),
            failed: last("fail ") + last("cancelled "),
            skipped: last("skipped ") + last("todo "),
        }
    }

    /// Reads the last line of the form `N passed, N failed, N skipped`.
    pub fn from_summary(text: &str) -> Self {
        let summary =
            |line: &&str| line.contains(" passed, ") && line.contains(" failed, ") && line.contains(" skipped");
        text.lines().rev().find(summary).map_or_else(Self::default, |line| Self {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed"),
            skipped: number_before(line, " skipped"),
        })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The number that stands directly before `word`; 0 if there is none.
fn number_before(line: &str, word: &str) -> usize {
    let Some(end) = line.find(word) else { return 0 };
    let before = &line[..end];
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[end - digits..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn rust_results_are_summed() {
        let text = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 filtered out\n";
        assert_eq!(Counts::from_rust(text), Counts { passed: 15, failed: 2, skipped: 1 });
    }

    #[test]
    fn node_results_are_read_from_the_end() {
        let text = "✔ pass 99 lines\nℹ tests 9\nℹ suites 0\nℹ pass 5\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 1\n";
        assert_eq!(Counts::from_node(text), Counts { passed: 5, failed: 2, skipped: 2 });
    }

    #[test]
    fn a_summary_line_is_read() {
        let text = "1 passed, 1 failed, 1 skipped\nmore\n7 passed, 0 failed, 2 skipped\n";
        assert_eq!(Counts::from_summary(text), Counts { passed: 7, failed: 0, skipped: 2 });
    }

    #[test]
    fn a_crash_or_an_empty_run_is_a_failure() {
        assert_eq!(Counts::default().of_run(true), Counts::FAILED);
        assert_eq!(Counts::PASSED.of_run(false), Counts { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(Counts::PASSED.of_run(true), Counts::PASSED);
        assert_eq!(Counts::FAILED.of_run(false), Counts::FAILED);
    }
}
