//! Busy days on the forge's own registry.

use e2e::crowd;

use crate::scene::Kind;

#[test]
fn twenty_promoters_of_one_base_version_get_a_version_each_or_give_way_on_gitea() {
    assert!(crowd::promoters(Kind::Gitea.start().as_ref(), "twenty", 20) >= 1);
}

#[test]
fn one_commit_pushed_eight_times_at_once_leaves_no_half_candidate_on_gitea() {
    crowd::pushers_of_one_commit(Kind::Gitea.start().as_ref(), "restarted", 8);
}
