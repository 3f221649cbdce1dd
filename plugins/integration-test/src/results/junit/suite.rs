//! What a suite counts, and what its cases come to.

use super::super::text::excerpt;
use super::case::Case;

/// A suite that is being read.
pub(super) struct Suite {
    pub(super) at: usize,
    /// As part of a test's name; the outermost `testsuites` is none.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) is_outermost: bool,
    pub(super) declared: Option<usize>,
    /// Cases in it and in suites below it, and what some count beside them: Node the suites in a suite, others
    /// every attempt of a case that was tried again.
    pub(super) found: usize,
    /// Its counters `failures` and `errors` together.
    declared_bad: usize,
    /// Elements that say that something failed, also those of attempts that were repeated, and cases that say
    /// so without any.
    pub(super) bad: usize,
    /// Its counters `skipped` and `disabled` together.
    declared_skipped: usize,
    skipped: usize,
}

impl Suite {
    /// The suite that `element` opens, and what is wrong with its counters: one that is no number hides what
    /// it should tell.
    pub(super) fn open<'a>(
        at: usize,
        element: &str,
        get: &impl Fn(&str) -> Option<&'a str>,
    ) -> (Self, Vec<String>) {
        let title = get("name").unwrap_or_default();
        let mut problems = Vec::new();
        let mut count = |name: &str| {
            let text = get(name).map(str::trim).filter(|text| !text.is_empty())?;
            let count = text.parse::<usize>().ok();
            if count.is_none() {
                let (title, text) = (excerpt(title), excerpt(text));
                problems.push(format!("suite `{title}` has {name} `{text}`, which is no number of tests"));
            }
            count
        };
        let declared = count("tests");
        let mut both = |one, other| count(one).unwrap_or(0).saturating_add(count(other).unwrap_or(0));
        let suite = Suite {
            at,
            name: if element == "testsuite" { title.to_owned() } else { String::new() },
            title: title.to_owned(),
            is_outermost: element != "testsuite",
            declared,
            found: 0,
            declared_bad: both("failures", "errors"),
            bad: 0,
            declared_skipped: both("skipped", "disabled"),
            skipped: 0,
        };
        (suite, problems)
    }

    /// Counts a case that has ended.
    pub(super) fn count(&mut self, case: &Case) {
        self.skipped += usize::from(case.was_skipped);
        self.bad += usize::from(case.status.is_bad() && !case.has_bad_element);
    }

    /// What its counters say that its cases do not.
    pub(super) fn problems(&self) -> Vec<String> {
        let title = excerpt(&self.title);
        let more = |declared: usize, found: usize, what: &str| {
            (declared > found)
                .then(|| format!("suite `{title}` counts {declared} {what}, its tests name {found}"))
        };
        let bad = more(self.declared_bad, self.bad, "failures and errors");
        let skipped = more(self.declared_skipped, self.skipped, "skipped and disabled tests");
        bad.into_iter().chain(skipped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Status;
    use super::*;

    #[test]
    fn a_case_without_elements_counts_as_it_says() {
        let (mut suite, problems) = Suite::open(0, "testsuite", &|name| match name {
            "name" => Some("s"),
            "failures" | "skipped" => Some("1"),
            _ => None,
        });
        assert!(problems.is_empty());
        let mut case = Case::new("a".to_owned());
        case.worsen(Status::Failed);
        suite.count(&case);
        assert_eq!(suite.problems(), ["suite `s` counts 1 skipped and disabled tests, its tests name 0"]);
    }
}
