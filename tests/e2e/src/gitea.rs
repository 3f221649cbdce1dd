//! Gitea, the forge, as a registry: repositories are `owner/name…`, the challenge names no repository, `Link` never ends,
//! `Location` is relative, there is no referrers API, and an index inside an index is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::programs;
use crate::registry::{Credentials, Registry};
use crate::server::{self, Server};
use crate::tools;

/// The administrator, and the owner of every repository.
pub const OWNER: &str = "ci";

/// Who runs it where the tests run as root, which Gitea refuses to be: Debian's user with the fewest rights.
const NOBODY: (u32, &str) = (65534, "nobody");

/// A running Gitea on loopback with SQLite, gone with its data when it is dropped.
#[derive(Debug)]
pub struct Gitea {
    server: Server,
    token: String,
}

impl Gitea {
    /// Starts an empty Gitea with [`OWNER`] and a token of theirs, and waits until it answers.
    ///
    /// # Panics
    /// Where it was not built or does not come up; with its log.
    #[must_use]
    pub fn start() -> Self {
        let server = Server::start("gitea", prepare, |folder, port| {
            // Its own log says that it listens before it serves; that the port is not another's, too.
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            log.contains("Starting new Web server") && server::get(port, "/v2/").is_some()
        });
        let token = fs::read_to_string(server.folder().join("token")).expect("prepare has written it");
        Self { server, token }
    }
}

impl Registry for Gitea {
    fn host(&self) -> String {
        self.server.host()
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(Credentials { user: OWNER.to_owned(), password: self.token.clone() })
    }
}

/// Writes the configuration, creates the database and the owner, and returns the command that serves.
fn prepare(folder: &Path, port: u16) -> Command {
    let uid = fs::metadata(folder).expect("a temporary folder").uid();
    let user = match uid {
        0 => NOBODY.1.to_owned(),
        _ => programs::said_by(Command::new("id").arg("-un")),
    };
    let work = folder.join("work");
    fs::create_dir(&work).expect("a temporary folder can be written");
    fs::write(folder.join("app.ini"), config(&work, port, &user)).expect("a temporary folder can be written");
    if uid == 0 {
        for path in [folder, &work, &folder.join("app.ini")] {
            chown(path, Some(NOBODY.0), None).expect("root may give files away");
        }
    }
    let program = tools::tool("gitea");
    assert!(
        uid != 0 || program.ancestors().all(may_be_entered),
        "Gitea refuses to be root, and {user} may not reach {}: build elsewhere (CARGO_TARGET_DIR)",
        program.display()
    );
    let gitea = |arguments: &[&str]| {
        let mut command = match uid {
            0 => {
                let mut setpriv = Command::new("setpriv");
                let id = NOBODY.0;
                setpriv.args([format!("--reuid={id}"), format!("--regid={id}")]);
                setpriv.args(["--clear-groups", "--"]).arg(&program);
                setpriv
            }
            _ => Command::new(&program),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", &work).env("USER", &user).current_dir(&work);
        command.arg("-c").arg(folder.join("app.ini")).args(arguments);
        command
    };
    let _ = programs::said_by(&mut gitea(&["migrate"]));
    let email = format!("{OWNER}@example.org");
    let create =
        ["admin", "user", "create", "--admin", "--username", OWNER, "--email", &email, "--random-password"];
    let token = ["--access-token", "--access-token-name", "journeys", "--access-token-scopes", "all"];
    let said = programs::said_by(gitea(&create).args(token));
    let token = said.split_whitespace().last().expect("the token is the last word");
    assert!(token.len() == 40 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
    fs::write(folder.join("token"), token).expect("a temporary folder can be written");
    gitea(&["web"])
}

/// True where everybody may read the file or pass through the folder.
fn may_be_entered(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0)
}

fn config(work: &Path, port: u16, user: &str) -> String {
    let (work, data) = (work.display(), tools::data("gitea"));
    let data = data.display();
    format!(
        "RUN_USER = {user}\nWORK_PATH = {work}\n\
         [server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = http://127.0.0.1:{port}/\n\
         STATIC_ROOT_PATH = {data}\nOFFLINE_MODE = true\nDISABLE_SSH = true\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {work}/gitea.db\n\
         [security]\nINSTALL_LOCK = true\n\
         [service]\nDISABLE_REGISTRATION = true\n\
         [log]\nMODE = console\nLEVEL = info\n\
         [cron]\nENABLED = false\n"
    )
}
