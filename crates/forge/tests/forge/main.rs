//! The client against a scripted forge: recorded answers of a real Gitea, GitHub's as documented, and faults.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod faults;
mod gitea;
mod github;
mod limits;
mod scripted;
