//! TLS set-up: whom to trust, decided when the first https request needs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::HttpSetupError;
use crate::options::HttpOptions;

/// Where distributions keep their bundle, most common first. Named here because the usual loader also
/// reads `SSL_CERT_FILE` from the environment by itself, which on a restarted pipeline anybody may
/// have set (DESIGN §4.11).
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the given PEM texts; done at once, so that a wrong `ca_cert` is found before any work.
pub(crate) fn parse_certificates(
    pem_files: &[Vec<u8>],
) -> Result<Vec<CertificateDer<'static>>, HttpSetupError> {
    let mut certificates = Vec::new();
    for (position, pem) in pem_files.iter().enumerate() {
        let error = |reason: String| HttpSetupError::CaCertificate { index: position + 1, reason };
        let before = certificates.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|cause| error(cause.to_string()))?;
            let mut probe = RootCertStore::empty();
            probe.add(certificate.clone()).map_err(|cause| error(cause.to_string()))?;
            certificates.push(certificate);
        }
        if certificates.len() == before {
            return Err(error("it has no `BEGIN CERTIFICATE` block".to_owned()));
        }
    }
    Ok(certificates)
}

/// A configuration for clients that only ever speak plain HTTP: the library wants one, and reading the
/// system's 140 certificates for it would cost more than the first request.
pub(crate) fn without_roots() -> Result<ClientConfig, HttpSetupError> {
    configuration(|| Ok(RootCertStore::empty()), false)
}

/// The configuration for https.
pub(crate) fn with_roots(
    options: &HttpOptions,
    extra: &[CertificateDer<'static>],
) -> Result<ClientConfig, HttpSetupError> {
    configuration(|| roots(options, extra), options.skip_verify)
}

fn configuration(
    roots: impl FnOnce() -> Result<RootCertStore, HttpSetupError>,
    skip_verify: bool,
) -> Result<ClientConfig, HttpSetupError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|source| HttpSetupError::Tls { source })?;
    let mut config = if skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
            .with_no_client_auth()
    } else {
        builder.with_root_certificates(roots()?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(options: &HttpOptions, extra: &[CertificateDer<'static>]) -> Result<RootCertStore, HttpSetupError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(extra.iter().cloned());
    let (file, folder) = match (&options.ssl_cert_file, &options.ssl_cert_dir) {
        (None, None) => (SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()), None),
        (file, folder) => (file.as_deref(), folder.as_deref()),
    };
    let found = rustls_native_certs::load_certs_from_paths(file, folder);
    // A bundle with one odd certificate is common and harmless; one that yields nothing is not.
    if let (true, Some(error)) = (found.certs.is_empty(), found.errors.first()) {
        let path = file.or(folder).map_or_else(PathBuf::new, Path::to_path_buf);
        return Err(HttpSetupError::CertificateStore { path, reason: error.to_string() });
    }
    store.add_parsable_certificates(found.certs);
    match store.is_empty() {
        true => Err(HttpSetupError::NoCertificateAuthority),
        false => Ok(store),
    }
}

/// `skip_verify`: any certificate will do. Signatures are still checked, so that the peer at least
/// holds the key of the certificate that it shows.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
