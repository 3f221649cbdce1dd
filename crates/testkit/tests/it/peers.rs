//! The registry against clients that nobody here wrote.

use std::path::Path;
use std::sync::Arc;

use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Registry};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// Runs skopeo. A test without its peer proves nothing, so a missing one is a failure.
fn skopeo(arguments: &[&str]) -> Finished {
    let program = Path::new("/usr/bin/skopeo");
    assert!(program.exists(), "skopeo is missing: apt-get install skopeo");
    let run = Run::new(program).arg("--insecure-policy");
    arguments.iter().fold(run, |run, argument| run.arg(argument)).output()
}

#[test]
fn skopeo_pushes_and_pulls_an_index() {
    for options in [
        Options::default(),
        Options::with_token("ci", "secret"),
        Options::docker_registry_2_8(),
        Options::gitea(),
    ] {
        let registry = Registry::start(options.clone());
        let amd64 = ImageBuilder::new("linux/amd64").random_layer(1, 100_000).build();
        let arm64 = ImageBuilder::new("linux/arm64").random_layer(2, 100_000).build();
        let index = Image::index(&[amd64, arm64]);
        let folder = tempfile::tempdir().expect("a folder");
        index.write_layout(&folder.path().join("in"), "1");
        let at = |name: &str| format!("oci:{}:1", folder.path().join(name).display());
        let remote = format!("docker://{}/team/app:1.2.3", registry.host());
        let push = ["copy", "--all", "--dest-tls-verify=false", "--dest-creds=ci:secret", &at("in"), &remote];
        let pushed = skopeo(&push);
        assert_eq!(pushed.code, Some(0), "{options:?} {pushed}");
        assert_eq!(registry.tags("team/app")["1.2.3"], index.digest());
        let pull = ["copy", "--all", "--src-tls-verify=false", "--src-creds=ci:secret", &remote, &at("out")];
        let pulled = skopeo(&pull);
        assert_eq!(pulled.code, Some(0), "{options:?} {pulled}");
        for content in index.blobs().iter().chain(index.manifests()) {
            let file = folder.path().join("out/blobs/sha256").join(&content.digest["sha256:".len()..]);
            assert_eq!(std::fs::read(file).expect("a blob"), content.bytes[..]);
        }
    }
}

#[tokio::test]
async fn tls_is_trusted_through_its_own_authority_only() {
    let registry = Registry::start(Options { tls: true, ..Options::default() });
    assert!(registry.url().starts_with("https://127.0.0.1:"));
    let other = Registry::start(Options { tls: true, ..Options::default() });
    for (pem, trusted) in [(registry.ca_pem(), true), (other.ca_pem(), false)] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a CA");
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        for name in ["127.0.0.1", "localhost"] {
            let tcp = tokio::net::TcpStream::connect(registry.host()).await.expect("it listens");
            let name = ServerName::try_from(name).expect("a name");
            let connected = connector.connect(name, tcp).await;
            assert_eq!(connected.is_ok(), trusted);
            if let Ok(mut stream) = connected {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let request = b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                stream.write_all(request).await.expect("it reads");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("it answers");
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            }
        }
    }
    assert_eq!(registry.requests().len(), 2);
    assert!(registry.saw_bytes(b"GET /v2/"), "bytes are seen decrypted");
}
