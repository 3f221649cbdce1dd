//! The table of settings: what `--help`, `docs.md` and the reader know about them.

use granary_plugin::{Form, Group, Setting};

use crate::runner::DEFAULT_PASS_ENV;

/// The settings that only this plugin has.
pub const OWN: Group = Group {
    title: "integration-test",
    settings: &[
        Setting::new(
            "mode",
            Form::Choice(&["run", "report", "install", "keygen"]),
            "`run`: run `command`. `report`: an earlier step ran the tests; read what it left, decide, sign. `install`: put this program into the \
             workspace, so that a later `commands` step of any image runs the tests through it. `keygen`, by hand only: make a signing key.",
        )
        .default("run"),
        Setting::new(
            "candidate",
            Form::Text,
            "The candidate under test: `X.Y.Z-rc.N`, or a tag or digest of its release set.",
        )
        .default_told("what registry-push says, else the commit's newest set"),
        Setting::new(
            "command",
            Form::Command,
            "The test command, split into words as a shell does, but no shell runs it. Placeholders: `{image}` `{image:NAME}` `{tag}` \
             `{digest}` `{digest:NAME}` `{version}` `{candidate}` `{results}` (quote it). Required in mode `run`.",
        ),
        Setting::new(
            "teardown",
            Form::Command,
            "A command that is always run after `command`, also when the tests fail, time out or are stopped.",
        ),
        Setting::new(
            "wait_for",
            Form::List,
            "What must be reachable before the tests start: `tcp://host:port` is ready when it takes a connection, `http://…` and `https://…` \
             when they answer with a status below 400.",
        ),
        Setting::new("wait_timeout", Form::Duration, "How long to wait for them, within the step's `timeout`.").default("2m"),
        Setting::new(
            "attempts",
            Form::Integer,
            "How often the tests, teardown included, may run until they pass, 1 to 10. A pass that took more than one attempt is evidence with \
             the result WARNED, which `promote` refuses unless told to `allow_warned`.",
        )
        .default("1"),
        Setting::new(
            "results",
            Form::List,
            "The files that the tests leave, with `*` and `?` as wildcards. `{results}` in `command` is that file, where exactly one is named without wildcards.",
        ),
        Setting::new(
            "results_format",
            Form::Choice(&["auto", "json", "junit", "tap", "exit-code"]),
            "What is in them: the suite's own JSON, JUnit XML, TAP, or told from the content. `exit-code` takes the command's exit code for the only test.",
        )
        .default("auto"),
        Setting::new("max_results_age", Form::Duration, "The oldest that results may be, by what they say and by when their files were written. Mode `report` only.").default_told("no older than the candidate"),
        Setting::new("required_tests", Form::List, "Names of tests that must have passed, with `*` and `?` as wildcards."),
        Setting::new("max_skipped", Form::Integer, "How many tests may have been skipped.").default_told("any number"),
        Setting::new(
            "negative_control",
            Form::Bool,
            "The candidate is known to be bad: failed tests are what is wanted and end with 0, tests that pass end with 16 and leave no evidence.",
        )
        .default("false")
        .loosening(),
        Setting::new("junit_file", Form::Text, "A file to write all tests to as JUnit XML, whatever their own format. One that cannot be written ends the step with 2 before the tests run."),
        Setting::new("summary_file", Form::Text, "A file to write the verdict, the failed, the flaky and the slowest tests to, as Markdown."),
        Setting::new("platforms", Form::List, "The platforms that were tested, such as `linux/amd64`.").default_told("the step's own"),
        Setting::new("env", Form::Map, "Variables for the tests. Values are treated as secrets and masked in their output, numbers and yes/no aside. Mode `run` only.").secret(),
        Setting::new("pass_env", Form::List, "Variables of this step that the tests may see; `CI_*` stands for a prefix. Never `PLUGIN_*`. Values of others that are named in full are masked as those in `env` are.")
            .default(DEFAULT_PASS_ENV),
        Setting::new("test_environment", Form::Text, "The name of the place where the tests ran.").default("integration"),
        Setting::new("attach", Form::Choice(&["lead", "all"]), "Attach evidence to the set and the `lead`, or to `all` members.").default("lead"),
        Setting::new(
            "signing_key",
            Form::Pem,
            "The private key, P-256 in PKCS#8 PEM or in cosign's encrypted form, that signs the evidence; text or path. Required in mode \
             `report`. In mode `run` it lies beside foreign code, and the evidence says so.",
        )
        .secret(),
        Setting::new("signing_key_password", Form::Text, "The password of an encrypted `signing_key`; with `keygen`, of the new one.").secret(),
        Setting::new(
            "install_to",
            Form::Text,
            "Where mode `install` puts the program, executable for everybody. `candidate.json`, which says what is under test, goes beside it.",
        )
        .default_told("`.granary/bin/integration-test` in the workspace"),
        Setting::new("keygen_to", Form::Text, "The path that mode `keygen` writes `<path>.key` and `<path>.pub` to. Never over an existing file.")
            .default("granary"),
    ],
};
