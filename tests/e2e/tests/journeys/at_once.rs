//! Busy days: many pipelines at the same moment, on the registry that is met most.

use e2e::crowd;
use e2e::docker_registry::{Access, DockerRegistry};

#[test]
fn twelve_promoters_of_one_base_version_get_a_version_each_or_give_way() {
    let registry = DockerRegistry::start(Access::Open);
    assert!(crowd::promoters(&registry, "twelve", 12) >= 1);
}

#[test]
fn twenty_promoters_of_one_base_version_get_a_version_each_or_give_way() {
    let registry = DockerRegistry::start(Access::Password);
    assert!(crowd::promoters(&registry, "twenty", 20) >= 1);
}

#[test]
fn sixty_four_pushes_at_once_are_sixty_four_complete_candidates() {
    crowd::pushers(&DockerRegistry::start(Access::Open), "pushed", 64);
}

#[test]
fn one_commit_pushed_eight_times_at_once_leaves_no_half_candidate() {
    crowd::pushers_of_one_commit(&DockerRegistry::start(Access::Open), "restarted", 8);
}
