//! `git tag v1.5.4 && git push --tags`: the tag's version for the bytes that its commit was tested as.

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::reader::Reader;
use granary_testkit::git::Repository;

#[test]
fn lightweight_and_annotated_tags_name_what_was_tested() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Open);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    // Says which package has it, where it is missing.
    let _ = e2e::programs::program("git");
    let mut repository = Repository::new();
    let mut tested = |file: &str, number: u64| {
        let id = repository.commit(file, "text\n", file);
        let pipeline = Pipeline::push(&id, number, &registry.host());
        let archive = pipeline.workspace().join("app.tar");
        containers.build(&[("app", file.as_bytes())], &format!("oci-archive:{}:built", archive.display()));
        drop(ends(&pipeline.publish("oci-archive:app.tar"), 0));
        drop(pipeline.passes(&keys));
        drop(ends(&pipeline.promote(&keys), 0));
        id
    };
    let first = tested("one", 11);
    let second = tested("two", 12);
    assert_eq!(reader.digest("acme/app:0.1.1"), reader.digest("acme/app:0.1.1-rc.12"));

    // Of a lightweight tag Woodpecker reports the commit, of an annotated one the tag object.
    repository.git(&["tag", "v1.5.3", &first]);
    let object = repository.annotated_tag("v1.5.4", "release 1.5.4");
    assert_ne!(object, second);
    // A clone as the clone step makes it: HEAD lies elsewhere, objects lie in a pack.
    repository.pack();
    repository.git(&["switch", "--quiet", "--detach", &first]);
    for (tag, sha, candidate, id) in
        [("1.5.3", &first, "0.1.0-rc.11", &first), ("1.5.4", &object, "0.1.1-rc.12", &second)]
    {
        let pipeline = Pipeline::new("tag", sha, 20, &registry.host())
            .with("CI_COMMIT_TAG", &format!("v{tag}"))
            .with("CI_COMMIT_REF", &format!("refs/tags/v{tag}"))
            .in_folder(repository.path());
        let promoted = ends(&pipeline.promote(&keys), 0);
        assert_eq!(result(&promoted, "promote", "version"), tag);
        assert_eq!(&result(&promoted, "promote", "commit"), id);
        assert_eq!(
            reader.digest(&format!("acme/app:{tag}")),
            reader.digest(&format!("acme/app:{candidate}"))
        );
        assert_eq!(
            containers.digest(&registry, &format!("acme/app:{tag}")),
            reader.digest(&format!("acme/app:{tag}"))
        );
        let again = ends(&pipeline.promote(&keys), 0);
        assert_eq!(result(&again, "promote", "outcome"), "unchanged");
    }

    // A tag that is taken stays where it is, whoever moves it in Git.
    let before = reader.state("acme/app");
    repository.git(&["tag", "--force", "v1.5.3", &second]);
    let moved = Pipeline::new("tag", &second, 21, &registry.host())
        .with("CI_COMMIT_TAG", "v1.5.3")
        .with("CI_COMMIT_REF", "refs/tags/v1.5.3")
        .in_folder(repository.path());
    drop(ends(&moved.promote(&keys), 11));
    // Other tags are nobody's version.
    let other = Pipeline::new("tag", &second, 22, &registry.host())
        .with("CI_COMMIT_TAG", "nightly")
        .with("CI_COMMIT_REF", "refs/tags/nightly")
        .in_folder(repository.path());
    assert_eq!(result(&ends(&other.promote(&keys), 0), "promote", "outcome"), "skipped");
    assert_eq!(reader.state("acme/app"), before);
}
