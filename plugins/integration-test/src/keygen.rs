//! Mode `keygen`: makes a key that signs evidence. By hand only.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use granary_attest::key::SigningKey;
use granary_plugin::{Context, Failure, Kind};
use granary_redact::Secret;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::settings::Keygen;

/// How often a key is drawn. One draw in 2³² is no number of the curve.
const DRAWS: usize = 8;

/// Writes `<path>.key` and `<path>.pub`, both or none, never over a file.
///
/// # Errors
/// With exit code 2 where one of them is there or cannot be written.
pub fn keygen(settings: &Keygen, context: &Context) -> Result<(), Failure> {
    let (private, public) = (with_extension(&settings.to, "key"), with_extension(&settings.to, "pub"));
    let output = &context.output;
    if context.common.dry_run {
        output.print(format_args!("plan: make a P-256 key, {} and {}", private.display(), public.display()));
        return Ok(());
    }
    let mut private_file = create(&private, 0o600)?;
    let written = create(&public, 0o644).and_then(|mut public_file| {
        let pair = draw().and_then(|key| {
            let text = private_text(&key, settings.password.as_ref())?;
            output.add_secret(&text);
            let write = |file: &mut File, path: &Path, text: &str| {
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                written.map_err(|error| unwritable(path, error))
            };
            write(&mut private_file, &private, text.expose())?;
            write(&mut public_file, &public, &key.public_key().to_pem())?;
            Ok(key)
        });
        pair.inspect_err(|_| remove(&public))
    });
    let key = written.inspect_err(|_| remove(&private))?;
    let encrypted = match settings.password {
        Some(_) => "encrypted with the password",
        None => "not encrypted",
    };
    output.done(format_args!("{}: the private key, {encrypted}", private.display()));
    output.done(format_args!("{}: the public key, {}", public.display(), key.public_key().hint()));
    output.info(format_args!(
        "for the tests: the private key belongs into a secret limited to integration-test, the public key into `trusted_keys` of promote;\n\
         for promote: make another pair, its private key into a secret limited to promote, its public key into `promoter_keys`.\n\
         No private key belongs into Git"
    ));
    Ok(())
}

fn private_text(key: &SigningKey, password: Option<&Secret>) -> Result<Secret, Failure> {
    Ok(match password {
        None => Secret::new(key.to_pem().as_str()),
        Some(password) => {
            Secret::new(key.to_encrypted_pem(password.expose().as_bytes(), random()?, random()?))
        }
    })
}

fn draw() -> Result<SigningKey, Failure> {
    for _ in 0..DRAWS {
        if let Ok(key) = SigningKey::generate(random()?) {
            return Ok(key);
        }
    }
    Err(Failure::new(Kind::Unexpected, "the system's random numbers make no key"))
}

/// Random bytes of the kernel. It fills so few of them at once, whatever interrupts it.
fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(filled) if filled == N => Ok(bytes),
        Ok(_) => Err(Failure::new(Kind::Unexpected, "the system gives too few random numbers")),
        Err(error) => {
            Err(Failure::new(Kind::Unexpected, "the system gives no random numbers").caused_by(error))
        }
    }
}

/// `tests` becomes `tests.key`, and `tests.v2` becomes `tests.v2.key`.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn create(path: &Path, mode: u32) -> Result<File, Failure> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::new(Kind::Settings, format!("refusing to write over {}", path.display()))
                    .hint("a key that signed something is needed as long as its evidence counts: set `keygen_to` to another path")
            }
            _ => unwritable(path, error),
        }
    })
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Settings, format!("cannot write {}", path.display()))
        .caused_by(error)
        .hint("set `keygen_to` to a path in a folder that you may write to")
}

/// Takes away what was begun. If that fails too, the first failure is still the news.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
