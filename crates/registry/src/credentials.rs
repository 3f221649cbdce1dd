//! Who we are to a registry: given name and password, or Docker's and containers' auth files.
//!
//! The environment is not read here; paths come in as arguments. Credential helpers are programs, and
//! are started only where the caller allows it (outside CI): in a pipeline a file in the workspace could
//! otherwise name one.

mod auth_file;
mod helper;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use granary_oci::{RegistryHost, Repository};
use granary_redact::Secret;
use thiserror::Error;

pub(crate) use auth_file::Login;
use auth_file::{AuthFile, Found};

/// Largest auth file that is read, in bytes; a cluster's pull secret with a hundred registries has 20 KB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why credentials cannot be had.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The file is there and cannot be read.
    #[error("auth file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Absurdly large.
    #[error("auth file {path} has more than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON. The parser's own message is left out: it may quote the password.
    #[error("auth file {path} is not a Docker or containers auth file (line {line})")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where the parser gave up.
        line: usize,
    },
    /// An `auth` field that is not base64 of `user:password`.
    #[error("auth file {path} has an unreadable `auth` for `{key}`")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The key of the entry.
        key: String,
    },
    /// A helper's name that is not one.
    #[error("`{name}` is not the name of a credential helper")]
    HelperName {
        /// The name.
        name: String,
    },
    /// The helper is not installed or cannot be run.
    #[error("credential helper {program} cannot be run")]
    HelperRun {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The helper did not end in time.
    #[error("credential helper {program} gave no answer within {seconds} s")]
    HelperTimeout {
        /// The program.
        program: String,
        /// The bound.
        seconds: u64,
    },
    /// The helper failed.
    #[error("credential helper {program} failed: {reason}")]
    HelperFailed {
        /// The program.
        program: String,
        /// What it wrote, shortened.
        reason: String,
    },
    /// The helper succeeded with something else than credentials.
    #[error("credential helper {program} gave no usable answer")]
    HelperAnswer {
        /// The program.
        program: String,
    },
}

/// Where the credentials for a registry come from.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    explicit: Option<(String, Secret)>,
    files: Vec<AuthFile>,
    helpers: Option<HelperEnvironment>,
}

/// All that a credential helper sees of the environment. What it needs nobody but itself knows (a cloud
/// role, a key ring, a proxy), so the caller leaves out what is none of its business.
#[derive(Clone, Default)]
pub struct HelperEnvironment(Vec<(OsString, OsString)>);

impl FromIterator<(OsString, OsString)> for HelperEnvironment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        HelperEnvironment(variables.into_iter().collect())
    }
}

impl fmt::Debug for HelperEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Credentials {
    /// Nobody.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// This user, and nothing else.
    pub fn password(username: impl Into<String>, password: Secret) -> Self {
        Credentials { explicit: Some((username.into(), password)), ..Self::default() }
    }

    /// What these auth files say, the first that knows the registry winning. Files that do not exist are
    /// passed over. `helpers` allows the files to name programs to run, which then see this environment.
    ///
    /// # Errors
    /// If a file exists and cannot be read or is no auth file.
    pub fn from_files(
        paths: &[PathBuf],
        helpers: Option<HelperEnvironment>,
    ) -> Result<Self, CredentialError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(read(path)?);
        }
        Ok(Credentials { explicit: None, files, helpers })
    }

    /// The login for a repository, if there is one.
    pub(crate) async fn login(
        &self,
        host: &RegistryHost,
        repository: &Repository,
    ) -> Result<Option<Login>, CredentialError> {
        if let Some((username, password)) = &self.explicit {
            return Ok(Some(Login::Password { username: username.clone(), password: password.clone() }));
        }
        for file in &self.files {
            match file.find(host, repository, self.helpers.is_some())? {
                Found::Nothing => {}
                Found::Login(login) => return Ok(Some(login)),
                Found::Helper { name, server } => {
                    let Some(environment) = &self.helpers else { continue };
                    if let Some(login) = helper::ask(&name, &server, environment).await? {
                        return Ok(Some(login));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// What the environment says about auth files; each field is a variable's value, if set and not empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthFileEnvironment<'a> {
    /// `REGISTRY_AUTH_FILE`: if set, the only file.
    pub registry_auth_file: Option<&'a str>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<&'a str>,
    /// `DOCKER_CONFIG`: a folder.
    pub docker_config: Option<&'a str>,
    /// `HOME`.
    pub home: Option<&'a str>,
}

impl AuthFileEnvironment<'_> {
    /// The auth files in the order in which skopeo, podman and then Docker would look.
    pub fn paths(&self) -> Vec<PathBuf> {
        if let Some(file) = self.registry_auth_file {
            return vec![PathBuf::from(file)];
        }
        let below = |folder: Option<&str>, rest: &str| folder.map(|folder| Path::new(folder).join(rest));
        let docker = match self.docker_config {
            Some(folder) => Some(Path::new(folder).join("config.json")),
            None => below(self.home, ".docker/config.json"),
        };
        let containers = below(self.xdg_runtime_dir, "containers/auth.json");
        let configured = below(self.home, ".config/containers/auth.json");
        containers.into_iter().chain(configured).chain(docker).collect()
    }
}

fn read(path: &Path) -> Result<Option<AuthFile>, CredentialError> {
    let read_error = |source| CredentialError::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        // Looked at before it is opened: a named pipe waits for a writer for ever, a device never ends.
        Ok(found) if !found.is_file() => {
            return Err(read_error(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "it is not a regular file",
            )));
        }
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            return Err(CredentialError::TooLarge { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    }
    let text = std::fs::read(path).map_err(read_error)?;
    AuthFile::parse(path, &text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_read() {
        let error = Credentials::from_files(&[PathBuf::from("/dev/zero")], None).unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it is not a regular file");
    }

    #[test]
    fn where_the_tools_look() {
        let home = Some("/home/ci");
        let everything = AuthFileEnvironment {
            registry_auth_file: None,
            xdg_runtime_dir: Some("/run/user/1"),
            docker_config: Some("/docker"),
            home,
        };
        let shown = |environment: AuthFileEnvironment<'_>| {
            environment.paths().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(everything),
            [
                "/run/user/1/containers/auth.json",
                "/home/ci/.config/containers/auth.json",
                "/docker/config.json"
            ]
        );
        assert_eq!(
            shown(AuthFileEnvironment { registry_auth_file: Some("/secret/auth.json"), ..everything }),
            ["/secret/auth.json"]
        );
        assert_eq!(
            shown(AuthFileEnvironment { home, ..AuthFileEnvironment::default() }),
            ["/home/ci/.config/containers/auth.json", "/home/ci/.docker/config.json"]
        );
        assert_eq!(shown(AuthFileEnvironment::default()), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_missing_file_is_nobody_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.json");
        let broken = folder.path().join("broken.json");
        std::fs::write(&broken, "{\n\"auths\": hunter2").unwrap();
        let nobody = Credentials::from_files(std::slice::from_ref(&missing), None).unwrap();
        let login = nobody.login(&"h.test".parse().unwrap(), &"a".parse().unwrap()).await.unwrap();
        assert!(login.is_none());
        let error = Credentials::from_files(&[missing, broken.clone()], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("auth file {} is not a Docker or containers auth file (line 2)", broken.display())
        );
    }
}
