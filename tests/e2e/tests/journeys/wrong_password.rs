//! A registry that does not let us in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::Reader;

const WRONG: &str = "Tr0ub4dor-and-3";

#[test]
fn a_wrong_password_ends_with_18_and_the_registrys_reason() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Password);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let good = Pipeline::push(&commit(1), 11, &registry.host()).login(USER, PASSWORD);
    let archive = good.workspace().join("app.tar");
    containers.build(&[("app", b"1\n")], &format!("oci-archive:{}:built", archive.display()));
    drop(ends(&good.publish("oci-archive:app.tar"), 0));
    drop(good.passes(&keys));
    let before = reader.state("acme/app");

    let wrong =
        Pipeline::push(&commit(1), 11, &registry.host()).login(USER, WRONG).setting("log_level", "trace");
    std::fs::copy(&archive, wrong.workspace().join("app.tar")).unwrap();
    wrong.write("results.json", r#"{"tests": [{"name": "answers", "status": "passed"}]}"#);
    let steps = [
        ("registry-push", wrong.publish("oci-archive:app.tar")),
        ("integration-test", wrong.report("results.json", &keys)),
        ("promote", wrong.promote(&keys)),
    ];
    for (plugin, step) in steps {
        // Without what the step before has left, which would end it earlier.
        let _ = std::fs::remove_dir_all(wrong.workspace().join(".granary"));
        let refused = ends(&step, 18);
        assert!(refused.stderr.contains("authentication required"), "the registry's reason\n{refused}");
        assert_eq!(result(&refused, plugin, "outcome"), "failed");
        let file = refused.json(&format!(".granary/{plugin}.json")).to_string();
        // Also not as `user:password` in base64, which is what is sent.
        let sent = STANDARD.encode(format!("{USER}:{WRONG}"));
        for secret in [WRONG, &sent, keys.private.lines().nth(1).unwrap()] {
            assert!(
                !refused.to_string().contains(secret) && !file.contains(secret),
                "{plugin}: {secret}\n{refused}"
            );
        }
    }
    assert_eq!(reader.state("acme/app"), before);
}
