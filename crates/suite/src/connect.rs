//! From settings to a registry client.

use granary_net::{Deadline, Http, HttpOptions, HttpSetupError, Proxies};
use granary_oci::RegistryHost;
use granary_plugin::{Context, Failure, Kind};
use granary_redact::{Redactor, Secret};
use granary_registry::{AuthFileEnvironment, Credentials, Registry, RegistryOptions};

use crate::settings::RegistrySettings;

/// Requests under way at once, unless a plugin has a setting for it.
pub const CONCURRENCY: usize = 16;

/// What the HTTP client is built from: CA, proxies and the rest, as settings and environment say.
///
/// # Errors
/// With exit code 2, where a certificate or a proxy cannot be used.
pub fn http(context: &Context) -> Result<Http, Failure> {
    let common = &context.common;
    let network = &context.network;
    let ca = common.ca_cert.as_ref().map(|pem| context.load(pem)).transpose()?;
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
    client(&settings.host, settings.credentials.as_ref(), context, http, concurrency)
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
    client(host, None, context, http, concurrency)
}

fn client(
    host: &RegistryHost,
    given: Option<&(String, Secret)>,
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
            // A file in a pipeline's workspace must not be able to name programs to run.
            let helpers = !context.ci.is_woodpecker();
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
        ..RegistryOptions::new(Deadline::after(context.remaining()))
    };
    Ok(Registry::new(host.clone(), http.clone(), options))
}
