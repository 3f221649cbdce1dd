//! What the journeys stand on: real servers, started for one test each, and the tools that nobody here wrote.
//!
//! * [`docker_registry`]: Debian's `docker-registry` on loopback, data in a temporary folder.
//! * [`containers`]: images built by buildah, copied and read by skopeo.
//! * [`openssl`]: keys and certificates.
//! * [`proxy`]: counts, delays and breaks what passes between a plugin and a registry.
//! * [`reader`]: `oci-client`, which reads back what was pushed.
//! * [`pipeline`]: the plugins' steps, as Woodpecker runs them.
//! * [`programs`]: where these are, and which package has them.
//!
//! A server or tool that is missing *fails* the test and names the package; nothing is ever skipped. Everything listens on
//! `127.0.0.1`, writes below one temporary folder, and is stopped by its own process id when dropped, on a panic too. Like
//! testkit this crate panics where a test could do nothing but fail. The plugins come from
//! [`granary_testkit::process::binary`]: `$GRANARY_BIN_DIR`, else the folder that the test was built into.

pub mod containers;
pub mod docker_registry;
pub mod openssl;
pub mod pipeline;
pub mod programs;
pub mod proxy;
pub mod reader;
