//! The table of settings that only promote has.

use granary_plugin::{Form, Group, Setting};

const GATES: &str = "gates are not built yet";
const POLICY: &str = "policies are not built yet";
const BREAK_GLASS: &str = "break-glass is not built yet, and there is no gate that it could override";

/// The settings that only this plugin has.
pub const OWN: Group = Group {
    title: "promote",
    settings: &[
        Setting::new(
            "action",
            Form::Choice(&["promote", "verify", "status", "rollback", "audit-verify", "lint"]),
            "What to do: `promote`, or `verify` what is on record about a version, a candidate or an image. The others are not built yet.",
        )
        .default("promote"),
        Setting::new("commit", Form::Commit, "The commit to promote, 7 or more digits of its id.")
            .default_told("the pipeline's commit; on a Git tag the one that it names"),
        Setting::new(
            "candidate",
            Form::Text,
            "The candidate to promote: `X.Y.Z-rc.N`, or the digest of its release set. `verify` also takes `X.Y.Z`, and any tag, digest or \
             `repository@sha256:…` of an image.",
        )
        .default_told("what the steps before say, else the commit's newest set"),
        Setting::new("tag_prefix", Form::Text, "What stands before the version in Git tags.").default("v"),
        Setting::new("as_version", Form::Version, "The stable version to give, `X.Y.Z`. Taken by others: exit code 11.")
            .default_told("on a Git tag `<tag_prefix>X.Y.Z` that version, else the candidate's base"),
        Setting::new(
            "on_taken",
            Form::Choice(&["next", "refuse"]),
            "When the candidate's base has gone to another candidate: take the `next` patch version above everything, or `refuse`.",
        )
        .default("next"),
        Setting::new(
            "on_superseded",
            Form::Choice(&["skip", "fail"]),
            "When a newer candidate is stable already: `skip` with exit code 0, or `fail` with 11.",
        )
        .default_told("`skip` on push, else `fail`"),
        Setting::new(
            "allow_older",
            Form::Bool,
            "Promote a candidate although a newer one is stable, or although there is no telling which is newer.",
        )
        .default("false")
        .loosening(),
        Setting::new(
            "branches",
            Form::List,
            "The branches whose commits may be promoted; `*` stands for any characters, `?` for one.",
        )
        .default_told("the default branch")
        .loosening(),
        Setting::new(
            "trusted_keys",
            Form::Pem,
            "The public keys whose evidence counts: PEM text (several blocks after each other), the path of a PEM file, or a JSON \
             list of `{name, key, environments, not_before, not_after}`. Required.",
        )
        .loosening(),
        Setting::new(
            "promoter_keys",
            Form::Pem,
            "The public keys whose summaries count, in the forms of `trusted_keys`. For `verify`, and required there; none of `trusted_keys`.",
        )
        .loosening(),
        Setting::new("max_evidence_age", Form::Duration, "How old the tests may be.").default("7d"),
        Setting::new(
            "wait_for_evidence",
            Form::Duration,
            "How long to wait until the commit is published and tested. Failed tests end the wait.",
        )
        .default_told("30m on Git tags, else 0s"),
        Setting::new(
            "target_registry",
            Form::Text,
            "The registry that production takes versions from, as `host` or `host:port`.",
        )
        .default_told("`registry`"),
        Setting::new(
            "target_repo",
            Form::Text,
            "The repository there. With several images it contains `{name}` (quote it). `host/path` is accepted \
             where the host is `target_registry`.",
        )
        .default_told("`repo`"),
        Setting::new("target_username", Form::Text, "The user at the target registry.")
            .default_told("`username` where it is the same registry, else the auth file"),
        Setting::new("target_password", Form::Text, "The password or token of that user.")
            .default_told("`password` where it is the same registry, else the auth file")
            .secret(),
        Setting::new(
            "required_tests",
            Form::List,
            "Names of tests that must have passed, with `*` and `?` as wildcards. In whichever environment.",
        ),
        Setting::new(
            "required_environments",
            Form::List,
            "The test environments that must have spoken (`test_environment` of integration-test).",
        ),
        Setting::new(
            "allow_warned",
            Form::Bool,
            "Let tests in that passed with warnings, such as those that passed only when repeated.",
        )
        .default("false")
        .loosening(),
        Setting::new(
            "negative_control",
            Form::Bool,
            "The candidate is known to be bad: nothing is ever written, it has to be refused for its evidence or its branch, and exit code 16 \
             says that it would be let in.",
        )
        .default("false"),
        Setting::new(
            "floating",
            Form::List,
            "Tags that follow the newest stable version: `latest`, `{major}`, `{major}.{minor}`, or words with these in them (quote them). \
             They are written last of all, on both sides.",
        )
        .default_told("none"),
        Setting::new(
            "signing_key",
            Form::Pem,
            "The private key, P-256 in PEM, that signs the summary of the promotion; text or path. Never one of `trusted_keys`: whoever tests \
             must not promote.",
        )
        .default_told("no summary, and the output says `unsigned`")
        .secret(),
        Setting::new("signing_key_password", Form::Text, "The password of that key, where it is encrypted as cosign does.").secret(),
        Setting::new(
            "protect_sig",
            Form::Bool,
            "Refuse where a bundle would hide a signature of cosign 2: Flux ignores `sha256-<hex>.sig` once there is a bundle. Else that is \
             a warning.",
        )
        .default("false"),
        Setting::new(
            "operator",
            Form::Text,
            "Who promotes, for the record. By hand only; a pipeline's own author is recorded in pipelines.",
        ),
        Setting::not_yet("stage", "stages are not built yet"),
        Setting::not_yet("policy", POLICY),
        Setting::not_yet("policy_ref", POLICY),
        Setting::not_yet("request_file", "requests for manual runs are not built yet; use `commit` or `candidate`"),
        Setting::not_yet("on_denied", GATES),
        Setting::not_yet("max_wait", GATES),
        Setting::not_yet("break_glass", BREAK_GLASS),
        Setting::not_yet("break_glass_reason", BREAK_GLASS),
        Setting::not_yet("break_glass_reason_from", BREAK_GLASS),
        Setting::not_yet("break_glass_ticket", BREAK_GLASS),
        Setting::not_yet("break_glass_expires", BREAK_GLASS),
        Setting::not_yet("ci_url", "questions to Woodpecker's API are not built yet"),
        Setting::not_yet("ci_token", "questions to Woodpecker's API are not built yet"),
        Setting::not_yet("max_lag", "`status` is not built yet"),
        Setting::not_yet("git_url", "questions to Git are not built yet"),
        Setting::not_yet("git_branch", "questions to Git are not built yet"),
        Setting::not_yet("git_username", "questions to Git are not built yet"),
        Setting::not_yet("git_password", "questions to Git are not built yet"),
        Setting::not_yet("ssh_key", "questions to Git are not built yet"),
        Setting::not_yet("ssh_known_hosts", "questions to Git are not built yet"),
        Setting::not_yet("forge_url", "questions to the forge are not built yet"),
        Setting::not_yet("forge_token", "questions to the forge are not built yet"),
    ],
};
