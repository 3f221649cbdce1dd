//! The settings that several plugins share, with one meaning everywhere (DESIGN §6, §7 "Names").

use super::{Form, Group, Setting};

/// What every plugin has; read by the runner into [`crate::Common`].
pub const COMMON: Group = Group {
    title: "Common settings",
    settings: &[
        Setting::new(
            "log_level",
            Form::Choice(&["error", "warn", "info", "debug", "trace"]),
            "How much to print. No level prints a secret.",
        )
        .default("info"),
        Setting::new(
            "dry_run",
            Form::Bool,
            "Print the plan and change nothing. `env_file` and `result_file` are written all the same.",
        )
        .default("false"),
        Setting::new(
            "timeout",
            Form::Duration,
            "The time the whole step may take, waiting included; then it ends with exit code 12 (13 where tests were running).",
        )
        .default("1h"),
        Setting::new(
            "retries",
            Form::Integer,
            "How often a request that failed for a passing reason (a broken connection, 429, 5xx) is sent \
             again. At most 20.",
        )
        .default("5"),
        Setting::new(
            "ca_cert",
            Form::Pem,
            "Further certificate authorities to trust, as PEM text or the path of a PEM file. The system's \
             and those of `SSL_CERT_FILE` are trusted as well.",
        ),
        Setting::new(
            "skip_verify",
            Form::Bool,
            "Do not check TLS certificates. Anybody on the way can then read credentials and change \
             answers; prefer `ca_cert`.",
        )
        .default("false")
        .loosening(),
        Setting::new(
            "plain_http",
            Form::Bool,
            "Talk HTTP without TLS. Not needed for loopback addresses, which may always.",
        )
        .default("false")
        .loosening(),
        Setting::new(
            "only",
            Form::List,
            "The settings that this step uses. Any other `PLUGIN_*` in the environment is then refused: \
             parameters of a restarted pipeline become settings wherever the YAML is silent. Also takes \
             `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR`, which count on \
             restarted pipelines only where they are named here.",
        )
        .default_told("no limit"),
        Setting::new(
            "env_file",
            Form::Text,
            "A file to write `VERSION`, `CANDIDATE`, `DIGEST`, `IMAGE` and `DIGEST_<NAME>` to, as \
             `KEY=value` lines.",
        ),
        Setting::new("result_file", Form::Text, "The file for the result of this step, one JSON object.")
            .default_told("`.granary/<plugin>.json` in the workspace"),
    ],
};

/// What every user of a registry has.
pub const REGISTRY: Group = Group {
    title: "Registry settings",
    settings: &[
        Setting::new("registry", Form::Text, "The registry, as `host` or `host:port`."),
        Setting::new(
            "repo",
            Form::Text,
            "The repository below the registry's address. With several images it contains `{name}` (quote \
             it). `host/path` is accepted where the host is `registry`.",
        )
        .default_told("`CI_REPO` in lower case"),
        Setting::new("username", Form::Text, "The user at the registry.")
            .default_told("Docker's or containers' auth file"),
        Setting::new("password", Form::Text, "The password or token of that user.")
            .default_told("Docker's or containers' auth file")
            .secret(),
        Setting::new(
            "lead",
            Form::Text,
            "The name of the image that stands for the whole set. Its repository holds the record of each \
             release; its tag is written last.",
        )
        .default_told("the first of `sources`; in later steps what the step before says"),
        Setting::new(
            "verify",
            Form::Bool,
            "Look at each tag after it was written, at one request each: some registries answer that they took a tag \
             and leave it where it was when two write it at once (Harbor). The step then fails. Not `promote verify`, which reads.",
        )
        .default("false"),
    ],
};
