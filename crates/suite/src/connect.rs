//! From settings to a registry client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use granary_net::{Deadline, Http, HttpOptions, HttpSetupError, Proxies};
use granary_oci::RegistryHost;
use granary_plugin::{Context, Failure, Kind, Output};
use granary_redact::{Redactor, Secret};
use granary_registry::{AuthFileEnvironment, Credentials, Event, Observer, Registry, RegistryOptions};

use crate::settings::RegistrySettings;

/// Requests under way at once, unless a plugin has a setting for it.
pub const CONCURRENCY: usize = 16;

/// The pause from which a run looks as if it hung, so that it says what it waits for.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// What the HTTP client is built from: CA, proxies and the rest, as settings and environment say.
///
/// # Errors
/// With exit code 2, where a certificate or a proxy cannot be used.
pub fn http(context: &Context) -> Result<Http, Failure> {
    let common = &context.common;
    let network = &context.network;
    if common.skip_verify {
        context.output.warn("skip_verify: TLS certificates are not checked, anybody on the way can read and change everything; prefer `ca_cert`");
    }
    let ca = common.ca_cert.as_ref().map(|pem| context.load("ca_cert", pem)).transpose()?;
    let options = HttpOptions {
        ca_certificates: ca.into_iter().map(|text| text.expose().as_bytes().to_vec()).collect(),
        ssl_cert_file: network.ssl_cert_file.clone(),
        ssl_cert_dir: network.ssl_cert_dir.clone(),
        skip_verify: common.skip_verify,
        proxies: Proxies {
            http: network.http_proxy.clone(),
            https: network.https_proxy.clone(),
            no_proxy: network.no_proxy.clone(),
        },
        ..HttpOptions::default()
    };
    Http::new(options).map_err(|error| {
        let hint = match &error {
            HttpSetupError::CaCertificate { .. } => "check `ca_cert`: PEM text, or the path of a PEM file",
            HttpSetupError::Proxy { .. } => "check HTTP_PROXY and HTTPS_PROXY",
            _ => "check `ca_cert`, SSL_CERT_FILE and SSL_CERT_DIR",
        };
        Failure::new(Kind::Settings, "the HTTP client cannot be set up").caused_by(error).hint(hint)
    })
}

/// A client for the registry of the settings.
///
/// # Errors
/// With exit code 2, where an auth file cannot be read.
pub fn connect(
    settings: &RegistrySettings,
    context: &Context,
    http: &Http,
    concurrency: usize,
) -> Result<Registry, Failure> {
    let credentials = settings.credentials.as_ref();
    client(&settings.host, credentials, settings.verify, context, http, concurrency)
}

/// A client for another registry. It gets no credentials from settings, which are for `registry` alone.
///
/// # Errors
/// As [`connect`].
pub fn connect_elsewhere(
    host: &RegistryHost,
    context: &Context,
    http: &Http,
    concurrency: usize,
) -> Result<Registry, Failure> {
    client(host, None, false, context, http, concurrency)
}

pub(crate) fn client(
    host: &RegistryHost,
    given: Option<&(String, Secret)>,
    verify: bool,
    context: &Context,
    http: &Http,
    concurrency: usize,
) -> Result<Registry, Failure> {
    let mut redactor = Redactor::new();
    let credentials = match given {
        Some((username, password)) => {
            redactor.add_basic(username, password);
            Credentials::password(username.clone(), password.clone())
        }
        None => {
            let variables = AuthFileEnvironment {
                registry_auth_file: context.env.get("REGISTRY_AUTH_FILE"),
                xdg_runtime_dir: context.env.get("XDG_RUNTIME_DIR"),
                docker_config: context.env.get("DOCKER_CONFIG"),
                home: context.env.get("HOME"),
            };
            // A file in a pipeline's workspace must not be able to name programs to run. By hand a helper
            // sees everything but our settings and the forge's token.
            let visible = || context.env.for_child(&["*".to_owned()]).into_iter().collect();
            let helpers = (!context.ci.is_woodpecker()).then(visible);
            Credentials::from_files(&variables.paths(), helpers).map_err(|error| {
                Failure::new(Kind::Settings, "the registry's credentials cannot be read")
                    .caused_by(error)
                    .hint("mend the file, or set `username` and `password`")
            })?
        }
    };
    let options = RegistryOptions {
        credentials,
        plain_http: context.common.plain_http,
        attempts: context.common.retries + 1,
        concurrency,
        redactor,
        verify,
        observer: Some(observer(&context.output)),
        ..RegistryOptions::new(Deadline::after(context.remaining()))
    };
    Ok(Registry::new(host.clone(), http.clone(), options))
}

/// Shows requests and tokens at `trace`, and pauses at `debug`, the long ones at `info`.
fn observer(output: &Output) -> Observer {
    let output = output.clone();
    // A throttled registry holds up all requests at once: one line says so, the others are details.
    let said_until = Mutex::new(Instant::now());
    Arc::new(move |event| match event {
        Event::Answered { method, url, status, took } => {
            output.trace(format_args!("{method} {url}: {status} ({} ms)", took.as_millis()));
        }
        Event::TokenFetched { realm, scopes } => output.trace(format_args!("{realm}: a token for {scopes}")),
        Event::Retrying { what, reason, pause } if *pause < LONG_PAUSE => {
            let pause = pause.as_millis();
            output.debug(format_args!("{reason}, trying again in {pause}ms ({what})"));
        }
        Event::Retrying { what, reason, pause } => {
            let line = format!("{reason}, trying again in {:.0}s ({what})", pause.as_secs_f64().ceil());
            let mut said_until = said_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match now < *said_until {
                true => output.debug(line),
                false => {
                    *said_until = now + *pause;
                    output.info(line);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_net::{Method, StatusCode};
    use granary_plugin::Level;
    use granary_redact::SafeUrl;

    fn retrying(millis: u64) -> Event {
        Event::Retrying {
            what: "PUT https://h.test/v2/acme/app/manifests/1.2.3".to_owned(),
            reason: "the registry answered 429".to_owned(),
            pause: Duration::from_millis(millis),
        }
    }

    #[test]
    fn whoever_waits_is_told_why_and_details_are_for_those_who_ask() {
        let events = || {
            [
                Event::Answered {
                    method: Method::HEAD,
                    url: SafeUrl::from_text("https://h.test/v2/acme/app/manifests/1.2.3"),
                    status: StatusCode::NOT_FOUND,
                    took: Duration::from_millis(12),
                },
                Event::TokenFetched {
                    realm: SafeUrl::from_text("https://auth.test/token"),
                    scopes: "repository:acme/app:pull".to_owned(),
                },
                retrying(250),
                retrying(5_200),
                // Another request, throttled at the same moment.
                retrying(5_900),
            ]
        };
        let long =
            "the registry answered 429, trying again in 6s (PUT https://h.test/v2/acme/app/manifests/1.2.3)";
        let short = "debug: the registry answered 429, trying again in 250ms (PUT https://h.test/v2/acme/app/manifests/1.2.3)";
        let finest = "trace: HEAD https://h.test/v2/acme/app/manifests/1.2.3: 404 Not Found (12 ms)\n\
                      trace: https://auth.test/token: a token for repository:acme/app:pull\n";
        let table = [
            (Level::Warn, String::new(), String::new()),
            (Level::Info, format!("{long}\n"), String::new()),
            (Level::Debug, format!("{long}\n"), format!("{short}\ndebug: {long}\n")),
            (Level::Trace, format!("{long}\n"), format!("{finest}{short}\ndebug: {long}\n")),
        ];
        for (level, out, err) in table {
            let output = Output::to_memory(level);
            let observer = observer(&output);
            events().iter().for_each(|event| observer(event));
            assert_eq!(output.taken(), (out, err), "{level:?}");
        }
    }

    /// A repository's own file could otherwise name a program that runs with the step's secrets.
    #[tokio::test]
    async fn a_credential_helper_is_asked_by_hand_and_never_in_a_pipeline() {
        use granary_plugin::{Ci, Common, Env};
        use granary_testkit::registry::{Options, Registry as Server};

        let server = Server::start(Options::with_basic("robot", "hunter2-long"));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let script = "#!/bin/sh\nread server\nenv > \"$DOCKER_CONFIG/seen\"\n\
                      echo '{\"Username\":\"robot\",\"Secret\":\"hunter2-long\"}'\n";
        std::fs::write(file("script"), script).unwrap();
        // Another process writes it: one of ours that was just forked could keep it open, "text file busy".
        let install = ["-m", "755", "script", "docker-credential-fake"];
        let installed = std::process::Command::new("install").args(install).current_dir(&folder).status();
        assert!(installed.unwrap().success());
        let config = format!(r#"{{"credHelpers":{{"{}":"fake"}}}}"#, server.host());
        std::fs::write(file("config.json"), config).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let registry = |system: &str| {
            let env = Env::from_pairs([
                ("CI", system),
                ("PATH", &path),
                ("DOCKER_CONFIG", folder.path().to_str().unwrap()),
                ("HOME", "/nonexistent"),
                ("PLUGIN_SIGNING_KEY", "a-key"),
                ("CI_NETRC_PASSWORD", "a-token"),
            ]);
            let common = Common { retries: 0, ..Common::default() };
            let mut context = Context::detached(common);
            (context.ci, context.env) = (Ci::read(&env).0, env);
            let http = http(&context).unwrap();
            connect_elsewhere(&server.host().parse().unwrap(), &context, &http, CONCURRENCY).unwrap()
        };
        let app = "acme/app".parse().unwrap();

        let error = registry("woodpecker").tags(&app).await.unwrap_err();
        assert_eq!(error.class(), granary_registry::Class::Auth, "{error}");
        assert!(!file("seen").exists(), "the helper ran in a pipeline");

        assert_eq!(registry("").tags(&app).await.unwrap(), []);
        let seen = std::fs::read_to_string(file("seen")).unwrap();
        assert!(seen.contains("HOME=/nonexistent"), "{seen}");
        assert!(!seen.contains("PLUGIN_") && !seen.contains("CI_NETRC_"), "{seen}");
    }
}
