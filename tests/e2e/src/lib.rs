//! What the journeys stand on: real servers, started for one test each, and the tools that nobody here wrote.
//!
//! * [`server`]: a process with a port and a temporary folder of its own.
//! * [`registry`]: what is known of any registry; [`docker_registry`]: Debian's, [`distribution`]: today's Distribution,
//!   [`referrers_registry`]: one with the referrers API, [`gitea`]: a forge's.
//! * [`containers`]: images built by buildah, copied and read by skopeo.
//! * [`foreign`]: skopeo, crane and regctl, which read what the plugins wrote; [`cosign`], which checks what they signed.
//! * [`openssl`]: keys and certificates; [`evidence`]: signed statements in a registry, checked by it.
//! * [`proxy`]: counts, delays and breaks what passes between a plugin and a registry.
//! * [`reader`]: `oci-client`, which reads back what was pushed.
//! * [`pipeline`]: the plugins' steps, as Woodpecker runs them.
//! * [`release`]: a release of two multi-platform images with an SBOM and a signature, from build to evidence.
//! * [`crowd`]: many plugins at once on one registry.
//! * [`programs`]: where these are, and which package has them; [`tools`]: those that are built with Go.
//!
//! A server or tool that is missing *fails* the test and names the package; nothing is ever skipped. Everything listens on
//! `127.0.0.1`, writes below one temporary folder, and is stopped by its own process id when dropped, on a panic too. Like
//! testkit this crate panics where a test could do nothing but fail. The plugins come from
//! [`granary_testkit::process::binary`]: `$GRANARY_BIN_DIR`, else the folder that the test was built into.

pub mod containers;
pub mod cosign;
pub mod crowd;
pub mod distribution;
pub mod docker_registry;
pub mod evidence;
pub mod foreign;
pub mod gitea;
pub mod openssl;
pub mod pipeline;
pub mod programs;
pub mod proxy;
pub mod reader;
pub mod referrers_registry;
pub mod registry;
pub mod release;
pub mod server;
pub mod tools;
