//! Docker credential helpers: `docker-credential-<name> get`, server on standard input, JSON back.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use granary_redact::Secret;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::auth_file::Login;
use super::{CredentialError, HelperEnvironment};

/// How long a helper may take. Cloud helpers ask a metadata service; a desktop one may ask the user,
/// who then has this long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What all helpers print when they know nothing about a server (docker-credential-helpers,
/// `credentials/error.go`): not a failure, the registry may be public.
const NOT_FOUND: &str = "credentials not found";

/// Longest part of a helper's complaint that is shown, in characters.
const LONGEST_REASON: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Asks a helper. It sees this environment and nothing of ours.
pub(super) async fn ask(
    name: &str,
    server: &str,
    environment: &HelperEnvironment,
) -> Result<Option<Login>, CredentialError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(word) {
        return Err(CredentialError::HelperName { name: name.to_owned() });
    }
    let program = format!("docker-credential-{name}");
    let Ok(output) = tokio::time::timeout(TIMEOUT, run(&program, server, environment)).await else {
        return Err(CredentialError::HelperTimeout { program, seconds: TIMEOUT.as_secs() });
    };
    let output = output.map_err(|source| CredentialError::HelperRun { program: program.clone(), source })?;
    read(program, output.status.success(), &output.stdout, &output.stderr)
}

async fn run(
    program: &str,
    server: &str,
    environment: &HelperEnvironment,
) -> io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .arg("get")
        .env_clear()
        .envs(environment.0.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper may answer without reading; what it says counts then.
        let _ = input.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}

fn read(
    program: String,
    success: bool,
    output: &[u8],
    complaint: &[u8],
) -> Result<Option<Login>, CredentialError> {
    if success {
        return match serde_json::from_slice::<HelperAnswer>(output) {
            Ok(answer) => Ok(Some(Login::new(answer.username, Secret::new(answer.secret)))),
            Err(_) => Err(CredentialError::HelperAnswer { program }),
        };
    }
    // Helpers complain on standard output by convention, and on standard error when they crash.
    let said = [output, complaint].concat();
    let reason: String = String::from_utf8_lossy(&said).trim().chars().take(LONGEST_REASON).collect();
    match reason.contains(NOT_FOUND) {
        true => Ok(None),
        false => Err(CredentialError::HelperFailed { program, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(success: bool, output: &str) -> String {
        match read("p".to_owned(), success, output.as_bytes(), b"") {
            Ok(Some(Login::Password { username, password })) => format!("{username} {}", password.expose()),
            Ok(Some(Login::IdentityToken(token))) => format!("token {}", token.expose()),
            Ok(None) => "nobody".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn answers() {
        let table = [
            (true, r#"{"ServerURL":"h","Username":"u","Secret":"s"}"#, "u s"),
            (true, r#"{"ServerURL":"h","Username":"<token>","Secret":"s"}"#, "token s"),
            (true, "hunter2", "credential helper p gave no usable answer"),
            (false, "credentials not found in native keychain\n", "nobody"),
            (false, "no role\n", "credential helper p failed: no role"),
        ];
        for (success, output, expected) in table {
            assert_eq!(shown(success, output), expected);
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_sees_what_it_is_given_and_nothing_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-fake");
        // The test runner's own environment has CARGO_MANIFEST_DIR.
        let script = "#!/bin/sh\nread server\nprintf '{\"Username\":\"%s %s\",\"Secret\":\"%s\"}' \"$server\" \"$AWS_PROFILE\" \"${CARGO_MANIFEST_DIR:-nothing}\"\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let environment: HelperEnvironment =
            [("PATH".into(), folder.path().into()), ("AWS_PROFILE".into(), "ci".into())]
                .into_iter()
                .collect();
        let login = ask("fake", "h.test", &environment).await.unwrap();
        let expected = Login::Password { username: "h.test ci".to_owned(), password: Secret::new("nothing") };
        assert_eq!(login, Some(expected));
        assert_eq!(format!("{environment:?}"), r#"{"PATH", "AWS_PROFILE"}"#, "values may be secret");
    }

    #[tokio::test]
    async fn a_name_is_not_a_path() {
        for name in ["", "../../tmp/x", "a b"] {
            let error = ask(name, "h.test", &HelperEnvironment::default()).await.unwrap_err();
            assert!(matches!(error, CredentialError::HelperName { .. }), "{name}");
        }
    }
}
