//! A release as a project has it: images for two platforms, an SBOM, a signature of that SBOM, evidence; on any registry.

use std::collections::BTreeMap;

use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::{Finished, Run, binary};

use crate::foreign::Regctl;
use crate::gitea::OWNER;
use crate::openssl::KeyPair;
use crate::pipeline::{Pipeline, commit, ends, result};
use crate::registry::Registry;

const SBOM: &str = "application/spdx+json";
const SIGNATURE: &str = "application/vnd.example.signature.v1+json";

/// A commit's images on their way through a registry.
#[derive(Debug)]
pub struct Release<'a> {
    registry: &'a dyn Registry,
    /// Below [`OWNER`], so that it is a repository of Gitea too.
    path: String,
    commit: String,
    number: u64,
    keys: &'a KeyPair,
    images: BTreeMap<&'static str, Image>,
}

impl<'a> Release<'a> {
    /// Two images for two platforms each, `api` (the lead) and `web`, of commit `id` and pipeline `number`.
    #[must_use]
    pub fn of_two(registry: &'a dyn Registry, path: &str, id: u8, number: u64, keys: &'a KeyPair) -> Self {
        let images = ["api", "web"].map(|name| (name, two_platforms(name, id)));
        Self::of(registry, path, id, number, keys, images)
    }

    /// One small image for one platform, `api`.
    #[must_use]
    pub fn of_one(registry: &'a dyn Registry, path: &str, id: u8, number: u64, keys: &'a KeyPair) -> Self {
        let image = ImageBuilder::new("linux/amd64").file("id", &[id]).build();
        Self::of(registry, path, id, number, keys, [("api", image)])
    }

    /// Any images; the lead is `api`.
    #[must_use]
    pub fn of(
        registry: &'a dyn Registry,
        path: &str,
        id: u8,
        number: u64,
        keys: &'a KeyPair,
        images: impl IntoIterator<Item = (&'static str, Image)>,
    ) -> Self {
        let (path, images) = (path.to_owned(), images.into_iter().collect());
        Self { registry, path, commit: commit(id), number, keys, images }
    }

    /// The names of its images with what was built.
    #[must_use]
    pub fn images(&self) -> &BTreeMap<&'static str, Image> {
        &self.images
    }

    /// Its commit's id.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The repository of an image.
    #[must_use]
    pub fn repository(&self, name: &str) -> String {
        format!("{OWNER}/{}/{name}", self.path)
    }

    /// The pipeline in an empty workspace, talking to `host` where that is a proxy before the registry.
    #[must_use]
    pub fn pipeline_at(&self, host: &str) -> Pipeline {
        let pipeline = Pipeline::push(&self.commit, self.number, host)
            .setting("repo", &self.repository("{name}"))
            .setting("lead", "api");
        match self.registry.credentials() {
            Some(known) => pipeline.login(&known.user, &known.password),
            None => pipeline,
        }
    }

    /// The pipeline in an empty workspace.
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline_at(&self.registry.host())
    }

    /// registry-push of the images, which are written into the workspace.
    #[must_use]
    pub fn publish_step(&self, pipeline: &Pipeline) -> Run {
        let mut sources = serde_json::Map::new();
        for (name, image) in &self.images {
            image.write_layout(&pipeline.workspace().join("build").join(name), "built");
            sources.insert((*name).to_owned(), format!("oci:build/{name}").into());
        }
        pipeline.publish(&serde_json::Value::Object(sources).to_string())
    }

    /// Publishes the candidate and returns its version.
    ///
    /// # Panics
    /// Where that fails.
    pub fn publish(&self, pipeline: &Pipeline) -> String {
        result(&ends(&self.publish_step(pipeline), 0), "registry-push", "candidate")
    }

    /// Publishes, and adds the evidence of a test that passed.
    ///
    /// # Panics
    /// Where that fails.
    pub fn publish_and_test(&self, pipeline: &Pipeline) {
        let _ = self.publish(pipeline);
        drop(pipeline.passes(self.keys));
    }

    /// Attaches an SBOM to the lead and a signature to the SBOM, and another SBOM to one of its platforms, where it has any; as a
    /// build would, with regctl.
    ///
    /// # Panics
    /// Where regctl fails.
    pub fn attach_papers(&self, regctl: &Regctl) {
        let repository = self.repository("api");
        let image = &self.images["api"];
        let attach = |subject: &str, artifact_type: &str, text: &str| {
            regctl.attach(self.registry, &format!("{repository}@{subject}"), artifact_type, text)
        };
        let sbom = attach(image.digest(), SBOM, r#"{"spdxVersion": "SPDX-2.3", "name": "api"}"#);
        let _ = attach(&sbom, SIGNATURE, r#"{"signed": true}"#);
        let platform = &image.manifests()[0].digest;
        let _ = attach(platform, SBOM, r#"{"spdxVersion": "SPDX-2.3", "name": "api, amd64"}"#);
    }

    /// promote, trusting the release's keys, with these settings besides.
    #[must_use]
    pub fn promote_step(&self, pipeline: &Pipeline, settings: &[(&str, &str)]) -> Run {
        let trusted = [("trusted_keys", self.keys.public.as_str())];
        pipeline.step("promote", &[&trusted, settings].concat())
    }

    /// Promotes to version `wanted`.
    ///
    /// # Panics
    /// Where that fails.
    pub fn promote(&self, pipeline: &Pipeline, settings: &[(&str, &str)], wanted: &str) -> Finished {
        let promoted = ends(&self.promote_step(pipeline, settings), 0);
        assert_eq!(result(&promoted, "promote", "version"), wanted, "{promoted}");
        promoted
    }

    /// `promote verify` by hand, of a version, tag or digest, believing the release's keys and this promoter.
    ///
    /// # Panics
    /// Where the plugin was not built.
    #[must_use]
    pub fn verify_step(&self, asked: &str, promoter: &KeyPair, settings: &[(&str, &str)]) -> Run {
        let repository = self.repository("{name}");
        let run = Run::new(binary("promote"))
            .arg("verify")
            .arg(&format!("--candidate={asked}"))
            .plugin("registry", &self.registry.host())
            .plugin("repo", &repository)
            .plugin("lead", "api")
            .plugin("trusted_keys", &self.keys.public)
            .plugin("promoter_keys", &promoter.public);
        let run = match self.registry.credentials() {
            Some(known) => run.plugin("username", &known.user).plugin("password", &known.password),
            None => run,
        };
        settings.iter().fold(run, |run, (name, value)| run.plugin(name, value))
    }

    /// The settings that make another registry the target, below `path`.
    #[must_use]
    pub fn target(host: &str, registry: &dyn Registry, path: &str) -> Vec<(&'static str, String)> {
        let mut settings =
            vec![("target_registry", host.to_owned()), ("target_repo", format!("{OWNER}/{path}/{{name}}"))];
        if let Some(known) = registry.credentials() {
            settings.extend([("target_username", known.user), ("target_password", known.password)]);
        }
        settings
    }
}

/// An index of two images, with a layer that both have, as a build for two platforms has.
#[must_use]
pub fn two_platforms(name: &str, id: u8) -> Image {
    let platforms = ["linux/amd64", "linux/arm64"].map(|platform| {
        ImageBuilder::new(platform)
            .layer(&[("shared", &[id])])
            .file("program", format!("{name} for {platform}, {id}").as_bytes())
            .build()
    });
    Image::index(&platforms)
}
