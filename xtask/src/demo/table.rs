//! What is in the registry at the end: every tag, its digest, and what that is.

use granary_testkit::image::Image;

use super::material::Commit;
use super::scene::{REPOSITORY, Scene};

/// Prints the tags of the demo's repository.
pub(super) fn print(scene: &Scene, images: &[(&Commit, &Image)]) {
    let tags = scene.registry.tags(REPOSITORY);
    let width = tags.keys().map(String::len).max().unwrap_or_default();
    println!("\n=== {}/{REPOSITORY}", scene.registry.host());
    for (tag, digest) in &tags {
        let image = images.iter().find(|(_, image)| image.digest() == digest);
        let what = match image {
            Some((commit, _)) => format!("image of {}", commit.short()),
            None => "release set".to_owned(),
        };
        let attached = match scene.registry.referrers(REPOSITORY, digest).len() {
            0 => String::new(),
            count => format!(", {count} attached"),
        };
        println!("{tag:width$}  {}  {what}{attached}", &digest[..digest.len().min("sha256:".len() + 12)]);
    }
}
