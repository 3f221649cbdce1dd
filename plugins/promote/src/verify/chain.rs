//! Whether what was read fits together. Pure.

use granary_oci::{Digest, Repository};
use granary_release::{EvidenceRules, FoundSet, TestOutcome, TestRun, Verdict, Version, judge};
use granary_suite::SignedSummary;
use jiff::Timestamp;

/// What was read about a release set.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Where the set lies.
    pub(super) lead: Repository,
    /// The set.
    pub(super) found: FoundSet,
    /// The image that was asked about, and where it was found.
    pub(super) image: Option<Image>,
    /// What trusted keys say about tests of the set.
    pub(super) runs: Vec<TestRun>,
    /// What is attached and does not count, and why.
    pub(super) ignored: Vec<String>,
    /// The summary that is judged.
    pub(super) summary: Option<SignedSummary>,
    /// Other summaries of the set by known keys.
    pub(super) others: Vec<SignedSummary>,
    /// The version that it is about, where there is one.
    pub(super) version: Option<Version>,
    /// What `set-<X.Y.Z>` names.
    pub(super) holder: Option<Digest>,
    /// What the version's tags name.
    pub(super) tags: Vec<Tagged>,
}

/// An image of a set.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Where it was found.
    pub(super) place: String,
    /// Its digest.
    pub(super) digest: Digest,
}

/// The version's tag of one member in one place.
#[derive(Clone, Debug)]
pub(super) struct Tagged {
    /// `repository:tag`.
    pub(super) place: String,
    /// What it should name.
    pub(super) wanted: Digest,
    /// What it names.
    pub(super) found: Option<Digest>,
}

/// Where a chain breaks: which rule, what was found, what was needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) rule: &'static str,
    pub(super) found: String,
    pub(super) needed: String,
}

impl Chain {
    /// The test runs that the summary names.
    pub(super) fn named(&self) -> impl Iterator<Item = &TestRun> {
        self.runs.iter().filter(|run| self.names(run))
    }

    /// Whether the summary names a run.
    pub(super) fn names(&self, run: &TestRun) -> bool {
        let evidence = self.summary.iter().flat_map(|summary| &summary.summary.promotion.evidence);
        evidence.into_iter().any(|evidence| evidence.bundle == run.bundle.as_str())
    }

    /// Failed tests that were over when the summary was signed, and that it should have named: no later run of
    /// their environment is named instead. They may have been attached later: that is for a person to judge.
    pub(super) fn passed_over(&self) -> impl Iterator<Item = &TestRun> {
        let time = self.summary.as_ref().map(|summary| summary.summary.time_verified);
        self.runs.iter().filter(move |run| {
            let counted = time.is_some_and(|time| run.finished_on <= time) && !self.outdated(run);
            run.outcome() == TestOutcome::Failed && counted && !self.names(run)
        })
    }

    /// Whether the summary names a later run of the same environment, where the newest decides.
    fn outdated(&self, run: &TestRun) -> bool {
        self.named().any(|named| named.environment == run.environment && named.finished_on > run.finished_on)
    }

    /// Whether both chains hold; the version that they hold for.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub(super) fn holds(&self, rules: &EvidenceRules) -> Result<Version, Broken> {
        let set = &self.found.digest;
        if let Some(image) = &self.image
            && !self.found.set.members.iter().any(|member| member.digest == image.digest)
        {
            let (place, digest) = (&image.place, &image.digest);
            return broken(
                "set.member",
                format!("set {set} does not name {digest}, found in {place}"),
                "a release set that names the image",
            );
        }
        let Some(summary) = &self.summary else { return Err(self.no_summary()) };
        self.same_set(summary)?;
        let named = self.evidence(summary)?;
        let time = summary.summary.time_verified;
        match judge(set, &self.found.set, &named, rules, time) {
            Verdict::Accepted(_) => {}
            Verdict::Missing(rejection) | Verdict::Rejected(rejection) => {
                let found = format!("{}, as of {}", rejection.found, at(time));
                return broken(rejection.rule, found, rejection.needed);
            }
        }
        self.published(summary)
    }

    fn no_summary(&self) -> Broken {
        let set = &self.found.digest;
        let about = self.version.map(|version| format!(" as {version}")).unwrap_or_default();
        let found = match self.ignored.as_slice() {
            [] => format!("no summary of set {set}{about}"),
            [one] => format!("no summary of set {set}{about} that counts: {one}"),
            [one, rest @ ..] => {
                let more = rest.len();
                format!("no summary of set {set}{about} that counts: {one}, and {more} more")
            }
        };
        let needed = "a verification summary signed by a key in `promoter_keys`".to_owned();
        Broken { rule: "summary", found, needed }
    }

    /// The summary is about this set, and says of it what the set says itself.
    fn same_set(&self, signed: &SignedSummary) -> Result<(), Broken> {
        let (set, promotion) = (&self.found.set, &signed.summary.promotion);
        let pairs = [
            ("set", &promotion.set, self.found.digest.to_string()),
            ("commit", &promotion.commit, set.commit.to_string()),
            ("candidate", &promotion.candidate, set.candidate.to_string()),
        ];
        for (what, found, needed) in pairs {
            if *found != needed {
                let found = format!("summary {} is about {what} {found}", signed.bundle);
                return broken("summary.set", found, format!("{what} {needed}"));
            }
        }
        Ok(())
    }

    /// The evidence that the summary names, which has to be there, to be trusted, and to say what the summary
    /// says of it.
    fn evidence(&self, signed: &SignedSummary) -> Result<Vec<TestRun>, Broken> {
        let mut named = Vec::new();
        for told in &signed.summary.promotion.evidence {
            let bundle = &told.bundle;
            let Some(run) = self.runs.iter().find(|run| run.bundle.as_str() == bundle) else {
                let why = self.ignored.iter().find(|reason| reason.starts_with(bundle.as_str()));
                let found = match why {
                    Some(why) => format!("evidence that does not count: {why}"),
                    None => format!("evidence {bundle} is not attached to the set"),
                };
                let needed = "the evidence that the summary names, signed by a key in `trusted_keys`";
                return broken("summary.evidence", found, needed);
            };
            let says = (told.environment.as_str(), told.result.to_string(), told.finished_on);
            let is = (run.environment.as_str(), run.result.to_string(), run.finished_on);
            if says != is {
                let shown = |(environment, result, time): (&str, String, Timestamp)| {
                    format!("{result} in `{environment}`, finished {}", at(time))
                };
                let found = format!("the summary calls evidence {bundle} {}", shown(says));
                return broken("summary.evidence", found, shown(is));
            }
            named.push(run.clone());
        }
        Ok(named)
    }

    /// The version that the summary let in is this set's, everywhere.
    fn published(&self, signed: &SignedSummary) -> Result<Version, Broken> {
        let told = &signed.summary.promotion.version;
        let Some(version) = self.version.filter(|version| version.to_string() == *told) else {
            let needed = self.version.map_or_else(|| "X.Y.Z".to_owned(), |version| version.to_string());
            return broken("summary.version", format!("the summary is about {told}"), needed);
        };
        let place = format!("{}:set-{version}", self.lead);
        match &self.holder {
            Some(holder) if *holder == self.found.digest => {}
            Some(holder) => {
                return broken(
                    "version.set",
                    format!("{place} names {holder}"),
                    self.found.digest.to_string(),
                );
            }
            None => {
                return broken("version.set", format!("{place} is not there"), self.found.digest.to_string());
            }
        }
        for Tagged { place, wanted, found } in &self.tags {
            match found {
                Some(found) if found == wanted => {}
                Some(found) => {
                    return broken("version.tag", format!("{place} names {found}"), wanted.to_string());
                }
                None => return broken("version.tag", format!("{place} is not there"), wanted.to_string()),
            }
        }
        Ok(version)
    }
}

/// A time to the second.
pub(crate) fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn broken<T>(rule: &'static str, found: String, needed: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { rule, found, needed: needed.into() })
}
