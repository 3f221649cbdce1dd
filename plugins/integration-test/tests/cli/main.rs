//! integration-test as its users meet it: the built binary, a registry in this process, and nothing in the
//! environment but what each test puts there.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod attempts;
mod context;
mod control;
mod docs;
mod ends;
mod environment;
mod evidence;
mod files;
mod hostile;
mod installs;
mod keys;
mod lies;
mod records;
mod runs;
mod support;
mod waits;
