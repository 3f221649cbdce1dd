//! "Killed after any request, a rerun reaches the same end state", as a loop.
//!
//! ```no_run
//! use granary_testkit::crash;
//! use granary_testkit::process::{Run, binary};
//! use granary_testkit::registry::{Options, Registry, State};
//!
//! let push = |registry: &Registry| Run::new(binary("registry-push")).plugin("registry", &registry.host());
//! let undisturbed = Registry::start(Options::default());
//! assert_eq!(push(&undisturbed).output().code, Some(0));
//! let requests = crash::at_every_request(&Options::default(), &State::default(), push, |registry, rerun, crash| {
//!     assert_eq!(rerun.code, Some(0), "{crash:?} {rerun}");
//!     assert_eq!(registry.snapshot(), undisturbed.snapshot(), "{crash:?}");
//! });
//! assert!(requests > 5, "the flow writes something");
//! ```

use crate::process::{Finished, Leash, Run};
use crate::registry::{Options, Registry, State, When};

/// More requests than any flow under test has; a loop that gets here runs away.
const MAX_REQUESTS: usize = 2000;

/// Where a run was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At which of its requests, counted from 1.
    pub at: usize,
    /// Before or after the registry carried it out.
    pub when: When,
}

/// For every request of a flow: starts from `state`, kills the run with SIGKILL before (after) that request, runs it again without
/// mishap, and hands registry and rerun to `check`. The log then holds the rerun's requests only. `run` is called for each
/// run; a workspace of its own for the rerun is what a restarted pipeline has. Returns how many requests an undisturbed run
/// makes.
///
/// # Panics
/// Where a run ends by itself although its request was to kill it, and where the flow does not end.
pub fn at_every_request(
    options: &Options,
    state: &State,
    run: impl Fn(&Registry) -> Run,
    check: impl Fn(&Registry, &Finished, Crash),
) -> usize {
    for at in 1..=MAX_REQUESTS {
        for when in [When::Before, When::After] {
            let crash = Crash { at, when };
            let registry = Registry::start_with(options.clone(), state.clone());
            let leash = Leash::default();
            let deed = leash.clone();
            registry.kill_at(at, when, move || deed.kill());
            let killed = run(&registry).leash(&leash).output();
            if registry.kill_pending() {
                return at - 1;
            }
            assert_eq!(killed.signal, Some(9), "{crash:?}: it was to be killed\n{killed}");
            registry.clear_log();
            check(&registry, &run(&registry).output(), crash);
        }
    }
    panic!("the flow makes more than {MAX_REQUESTS} requests");
}
