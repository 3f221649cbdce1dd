//! The smallest plugin that uses all of the contract; `tests/process.rs` runs it.

use std::process::ExitCode;
use std::time::Duration;

use granary_plugin::{
    Artifact, COMMON, Ci, Context, Example, Failure, Form, Group, Kind, Outcome, Plugin, REGISTRY, Reader,
    Setting,
};
use granary_redact::Secret;

struct Echo;

struct Settings {
    repo: String,
    password: Option<Secret>,
    action: &'static str,
    wait: Duration,
}

const OWN: Group = Group {
    title: "Settings",
    settings: &[
        Setting::new(
            "action",
            Form::Choice(&["say", "refuse", "fail", "panic", "linger", "inspect"]),
            "What to do.",
        )
        .default("say"),
        Setting::new("tags", Form::List, "What to say."),
        Setting::new("base_version", Form::Version, "The version to start from."),
        Setting::new("wait", Form::Duration, "How long to wait first.").default("0s"),
        Setting::new("env", Form::Map, "Variables for the tests.").secret(),
        Setting::not_yet("floating", ""),
    ],
};

impl Plugin for Echo {
    type Settings = Settings;
    const NAME: &'static str = "echo";
    const ABOUT: &'static str = "Says what it was told";
    const GROUPS: &'static [&'static Group] = &[&OWN, &REGISTRY, &COMMON];
    const EXAMPLES: &'static [Example] =
        &[Example { purpose: "say it", command: "echo say --repo acme/app" }];

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
        let repo = reader.text("repo").or_else(|| ci.repo.as_ref().map(|repo| repo.to_lowercase()));
        let repo = reader.require("repo", repo);
        let password = reader.secret("password");
        reader.version_like("base_version");
        let action = reader.choice("action");
        let wait = reader.duration("wait");
        reader.list("tags");
        Some(Settings { repo: repo?, password, action: action?, wait: wait? })
    }

    async fn run(settings: Settings, context: &Context) -> Result<Outcome, Failure> {
        echo(settings, context).await
    }
}

async fn echo(settings: Settings, context: &Context) -> Result<Outcome, Failure> {
    let password = settings.password.as_ref().map_or("", Secret::expose);
    context.output.trace(format_args!("the password is {password}"));
    context.record(|facts| {
        facts.version = Some("1.2.3".to_owned());
        facts.artifacts.push(Artifact {
            name: "app".to_owned(),
            repository: format!("registry.test/{}", settings.repo),
            digest: "sha256:12".to_owned(),
            tags: Vec::new(),
        });
    });
    context.stop.check()?;
    context.output.done(format_args!("echo {}", settings.repo));
    tokio::time::sleep(settings.wait).await;
    match settings.action {
        "refuse" => Err(Failure::new(Kind::Evidence, "refusing to echo without evidence")
            .hint("run the tests first")
            .refusing("evidence", format!("said {password}"), "PASSED")),
        "fail" => Err(Failure::new(Kind::Unavailable, "cannot echo")
            .caused_by(std::io::Error::other(format!("denied for {password}")))),
        "panic" => panic!("lost {password}"),
        "linger" => {
            // Ends between two steps when it is asked to, as a plugin should.
            let stopped = context.stop.requested().await;
            context.output.done("tidied up");
            Err(stopped.into())
        }
        "inspect" => {
            let dumpable = rustix::process::dumpable_behavior().map_err(|error| {
                Failure::new(Kind::Unexpected, "cannot ask").caused_by(std::io::Error::from(error))
            })?;
            context.output.print(format_args!("dumpable: {dumpable:?}"));
            Ok(Outcome::Unchanged)
        }
        _ if context.common.dry_run => Ok(Outcome::Planned),
        _ => Ok(Outcome::Done),
    }
}

fn main() -> ExitCode {
    granary_plugin::main::<Echo>()
}
