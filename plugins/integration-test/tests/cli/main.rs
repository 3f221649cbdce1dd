//! integration-test as its users meet it: the built binary, a registry in this process, and nothing in the
//! environment but what each test puts there.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod context;
mod docs;
mod ends;
mod environment;
mod evidence;
mod runs;
mod support;
