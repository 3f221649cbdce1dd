//! What a promotion says: result file, plan, summary.

use granary_oci::{Digest, Tag};
use granary_plugin::{Context, Refusal, Table};
use granary_release::{FoundSet, TestRun, Version};
use granary_suite::{note_set_in, note_tags};
use serde_json::{Value, json};

use crate::exec::{Copy, PlacedSet, Promotion};
use crate::places::{Carried, Places};
use crate::plan::{Write, claim_tag, set_write, version_tags, writes};
use crate::sites::Sites;

/// Notes what the run is about, before anything is decided. The artifacts are those that are deployed.
pub fn subject(context: &Context, sites: &Sites, places: &Places, set: &FoundSet, version: Option<Version>) {
    note_set_in(context, set, version, |member| sites.released(places, member));
    context.record(|facts| {
        // Without a policy nobody but the pipeline's own file says what may be promoted.
        facts.extra.insert("policy".to_owned(), Value::from("unprotected"));
    });
}

/// Notes the version, once it is this set's: of one that others were quicker to nobody should read here.
pub fn version(context: &Context, version: Version) {
    context.record(|facts| facts.version = Some(version.to_string()));
}

/// Notes which evidence let the set in.
pub fn evidence(context: &Context, runs: &[TestRun]) {
    let digests: Vec<Value> = runs.iter().map(|run| Value::from(run.bundle.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// Notes the tags that are there now, floating ones among them.
pub fn tags(context: &Context, set: &FoundSet, version: Version, floating: &[Tag]) {
    note_tags(context, &[&version_tags(set, version)[..], floating].concat());
}

/// Prints what became of the members.
pub fn summary(context: &Context, sites: &Sites, places: &Places, version: Version) {
    let mut table = Table::new(["IMAGE", "VERSION", "DIGEST"]);
    for placed in places.members() {
        let place = sites.name(&placed.released());
        table.row([place, version.to_string(), placed.member.digest.to_string()]);
    }
    context.output.table(&table);
    context.output.info("unprotected: no policy is configured");
}

/// Says whether anybody has signed for this promotion. Only the run that let it in knows.
pub fn signature(context: &Context, summary: Option<&Digest>) {
    if summary.is_none() {
        context.output.info("unsigned: no `signing_key`, so no summary says who let this in, and why");
    }
    let told = summary.map_or_else(|| "unsigned".to_owned(), Digest::to_string);
    context.record(|facts| {
        facts.extra.insert("summary".to_owned(), Value::from(told));
    });
}

/// Says who may have signed for a version that was let in before: not this run, whatever keys it has.
pub fn earlier(context: &Context, has_key: bool) {
    if has_key {
        context
            .output
            .info("nothing is signed: this version was let in by an earlier run, which signed or did not");
    }
    context.record(|facts| {
        facts.extra.insert("summary".to_owned(), Value::from("earlier run"));
    });
}

/// Says which rule refused a negative control. Nothing that a later step could deploy is noted.
pub fn controlled(context: &Context, set: &FoundSet, refusal: &Refusal) {
    let Refusal { rule, found, needed } = refusal;
    let candidate = set.set.candidate;
    context.output.info(format_args!("negative control: {candidate} was refused, as it must be"));
    context.output.info(format_args!("rule `{rule}`: found {found}; needed: {needed}"));
    let told = json!({"candidate": candidate.to_string(), "set": set.digest.to_string(), "refusal": refusal});
    context.record(|facts| {
        facts.extra.insert("negative_control".to_owned(), told);
    });
}

/// Prints what would be done, in order. A version that was let in before is not claimed.
pub(crate) fn plan(
    promotion: &Promotion<'_>,
    subject: &PlacedSet,
    version: Version,
    content: &[Copy],
    carried: &Carried,
    claims: bool,
    floating: &[Vec<Write>],
) {
    let PlacedSet { set, places } = subject;
    let sites = promotion.sites;
    let mut plan = Steps::begin(promotion.context, set, version);
    plan.copy(content);
    if claims {
        plan.step(&[format!("claim {}:{}", sites.lead(), claim_tag(set, version))]);
        if promotion.signing_key.is_some() {
            let count = places.all().count();
            plan.step(&[format!("attach a signed summary to the set and to {count} images")]);
        }
        plan.writes(sites, &[vec![set_write(set, version, sites.lead())]]);
    }
    plan.writes(sites, &writes(places, set, version, carried));
    plan.writes(sites, floating);
}

/// Prints which floating tags would be written of a version that is complete without them.
pub(crate) fn floating(
    promotion: &Promotion<'_>,
    subject: &PlacedSet,
    version: Version,
    floating: &[Vec<Write>],
) {
    let mut plan = Steps::begin(promotion.context, &subject.set, version);
    plan.writes(promotion.sites, floating);
}

struct Steps<'a> {
    context: &'a Context,
    number: usize,
}

impl<'a> Steps<'a> {
    fn begin(context: &'a Context, set: &FoundSet, version: Version) -> Self {
        context.output.print(format_args!(
            "plan: {} (commit {}, set {}) becomes {version}",
            set.set.candidate, set.set.commit, set.digest
        ));
        Steps { context, number: 0 }
    }

    /// All at once.
    fn step(&mut self, lines: &[String]) {
        self.number += 1;
        for line in lines {
            self.context.output.print(format_args!("  {}. {line}", self.number));
        }
    }

    fn copy(&mut self, content: &[Copy]) {
        if content.is_empty() {
            return;
        }
        self.number += 1;
        for copy in content {
            let mut lines = copy.plan.lines().into_iter();
            let first = lines.next().unwrap_or_default();
            self.context.output.print(format_args!("  {}. copy {first}", self.number));
            lines.for_each(|line| self.context.output.print(format_args!("     {line}")));
        }
    }

    fn writes(&mut self, sites: &Sites, steps: &[Vec<Write>]) {
        for step in steps {
            let line = |write: &Write| format!("write {} → {}", place(sites, write), write.digest);
            self.step(&step.iter().map(line).collect::<Vec<_>>());
        }
    }
}

/// `repository:tag`.
pub fn place(sites: &Sites, write: &Write) -> String {
    format!("{}:{}", sites.name(&write.place), write.tag)
}
