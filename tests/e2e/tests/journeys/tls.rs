//! A registry whose certificate comes from the company's own CA.

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::openssl::{KeyPair, PrivateCa};
use e2e::pipeline::{Pipeline, commit, ends, result};

#[test]
fn a_private_ca_is_trusted_as_text_and_as_file_and_missed_by_name() {
    let containers = Containers::new();
    let (ca, keys) = (PrivateCa::new(), KeyPair::generate());
    let registry = DockerRegistry::start_with_tls(Access::Password, &ca);
    let new = || Pipeline::push(&commit(1), 11, &registry.host()).login(USER, PASSWORD);
    let pipeline = new();
    let archive = pipeline.workspace().join("app.tar");
    containers.build(&[("app", b"1\n")], &format!("oci-archive:{}:built", archive.display()));

    let of_others = new().in_folder(pipeline.workspace()).setting("ca_cert", &PrivateCa::new().pem());
    for without in [&pipeline, &of_others] {
        let refused = ends(&without.publish("oci-archive:app.tar"), 12);
        assert!(refused.stderr.contains("ca_cert"), "{refused}");
        assert!(!refused.to_string().contains(PASSWORD), "{refused}");
    }
    assert!(!registry.log().contains("PUT"), "{}", registry.log());

    let as_text = new().in_folder(pipeline.workspace()).setting("ca_cert", &ca.pem());
    let pushed = ends(&as_text.publish("oci-archive:app.tar"), 0);
    assert_eq!(result(&pushed, "registry-push", "candidate"), "0.1.0-rc.11");
    std::fs::copy(ca.certificate(), pipeline.workspace().join("company.pem")).unwrap();
    let as_file = new().in_folder(pipeline.workspace()).setting("ca_cert", "company.pem");
    drop(as_file.passes(&keys));
    assert_eq!(result(&ends(&as_file.promote(&keys), 0), "promote", "version"), "0.1.0");

    let unverified = new().in_folder(pipeline.workspace()).setting("skip_verify", "true");
    let promoted = ends(&unverified.promote(&keys), 0);
    assert_eq!(result(&promoted, "promote", "outcome"), "unchanged");

    // skopeo agrees that this is the image, over the same TLS.
    assert_eq!(
        containers.digest(&registry, "acme/app:0.1.0"),
        containers.digest(&registry, "acme/app:0.1.0-rc.11")
    );
}
