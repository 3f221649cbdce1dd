//! Registries that are busy, break off, or say nothing at all.

use std::time::Duration;

use flow::pipeline::{APP, Agent, Pipeline, commit, ends, image, until};
use flow::state::{end_state, moved};
use granary_testkit::process::{Run, Signal};
use granary_testkit::registry::{Action, Fault, Options, Registry, State};

type Step = (&'static str, fn(&Pipeline) -> Run);

/// The three steps of a pipeline, each with the plugin's name.
const STEPS: [Step; 3] = [
    ("registry-push", |pipeline| pipeline.publish(&[image("one")])),
    ("integration-test", |pipeline| pipeline.report(&[("answers", "passed")])),
    ("promote", Pipeline::promote),
];

/// The registry before each of the steps.
fn states(options: &Options, agent: &Agent) -> Vec<State> {
    let registry = Registry::start(options.clone());
    let pipeline = agent.push(&registry, &commit(1), 11);
    let before = |(_, step): &Step| {
        let state = registry.clone_state();
        drop(ends(&step(&pipeline), 0));
        state
    };
    STEPS.iter().map(before).collect()
}

#[test]
fn a_registry_that_is_busy_for_a_moment_is_waited_for() {
    let agent = Agent::new();
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let registry = Registry::start(options);
        let pipeline = agent.push(&registry, &commit(1), 11);
        for (plugin, step) in STEPS {
            registry.fault(Fault::on("*", "/v2/", Action::status(503)).times(2));
            registry.fault(Fault::on("*", "/v2/", Action::too_many_requests(1)));
            let finished = ends(&step(&pipeline), 0);
            assert_eq!(registry.faults_left(), 0, "{plugin}");
            assert!(finished.duration >= Duration::from_secs(1), "{plugin}: Retry-After is kept\n{finished}");
        }
        assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
        assert_eq!(moved(&registry), [""; 0]);
    }
}

/// The registry does what it is asked and the answer is lost, for every kind of request.
#[test]
fn answers_that_get_lost_change_nothing_about_the_end() {
    let agent = Agent::new();
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let undisturbed = Registry::start(options.clone());
        agent.push(&undisturbed, &commit(1), 11).released(&[image("one")]);
        for action in [Action::ResetAfter, Action::status(502), Action::ResetResponseAt(1)] {
            let registry = Registry::start(options.clone());
            for method in ["GET", "HEAD", "POST", "PUT"] {
                registry.fault(Fault::on(method, "/v2/", action.clone()).times(2));
            }
            agent.push(&registry, &commit(1), 11).released(&[image("one")]);
            // Evidence is signed with the time at which it was made, so the tags that lead to it differ.
            let state = |registry: &Registry| {
                let mut state = end_state(registry);
                state.values_mut().for_each(|tags| tags.retain(|tag, _| !tag.starts_with("sha256-")));
                state
            };
            assert_eq!(state(&registry), state(&undisturbed), "{action:?}");
            assert_eq!(moved(&registry), [""; 0], "{action:?}");
        }
    }
}

#[test]
fn a_registry_that_stays_down_is_exit_code_12_and_nothing_is_half_written() {
    let agent = Agent::new();
    for ((plugin, step), state) in STEPS.into_iter().zip(states(&Options::default(), &agent)) {
        let registry = Registry::start_with(Options::default(), state);
        let before = registry.snapshot();
        registry.fault(Fault::on("*", "/v2/", Action::status(503)).times(usize::MAX));
        let pipeline = agent.push(&registry, &commit(1), 11);
        let failed = ends(&step(&pipeline).plugin("retries", "1"), 12);
        let result = failed.json(&format!(".granary/{plugin}.json"));
        assert_eq!((&result["outcome"], &result["exit_code"]), (&"failed".into(), &12.into()));
        assert_eq!(registry.snapshot(), before);
        assert!(failed.stderr.contains("503"), "{plugin}\n{failed}");
    }
}

#[test]
fn a_registry_that_says_nothing_is_given_up_in_time() {
    let agent = Agent::new();
    for ((plugin, step), state) in STEPS.into_iter().zip(states(&Options::default(), &agent)) {
        let registry = Registry::start_with(Options::default(), state);
        registry.fault(Fault::on("*", "/v2/", Action::Hang).times(usize::MAX));
        let pipeline = agent.push(&registry, &commit(1), 11);
        let failed = ends(&step(&pipeline).plugin("timeout", "3s"), 12);
        assert!(failed.duration < Duration::from_secs(10), "{plugin}\n{failed}");
        assert!(failed.duration >= Duration::from_millis(2900), "{plugin}\n{failed}");
        assert_eq!(failed.json(&format!(".granary/{plugin}.json"))["exit_code"], 12);
    }
}

#[test]
fn a_pipeline_that_is_cancelled_ends_in_time_and_says_how_far_it_got() {
    let agent = Agent::new();
    let stuck: Vec<_> = STEPS
        .into_iter()
        .zip(states(&Options::default(), &agent))
        .map(|((plugin, step), state)| {
            let registry = Registry::start_with(Options::default(), state);
            registry.fault(Fault::on("PUT", "/manifests/", Action::Hang).times(usize::MAX));
            let running = step(&agent.push(&registry, &commit(1), 11)).spawn();
            (plugin, registry, running)
        })
        .collect();
    for (plugin, registry, running) in &stuck {
        let hangs =
            || registry.count(|request| request.method == "PUT" && request.path.contains("/manifests/")) > 0;
        until(&format!("{plugin} writes"), hangs);
        running.signal(Signal::TERM);
    }
    for (plugin, _registry, running) in stuck {
        let stopped = running.wait();
        assert_eq!(stopped.code, Some(143), "{plugin}\n{stopped}");
        assert!(stopped.duration < Duration::from_secs(20), "{plugin}\n{stopped}");
        let result = stopped.json(&format!(".granary/{plugin}.json"));
        assert_eq!((&result["outcome"], &result["exit_code"]), (&"failed".into(), &143.into()));
        assert_eq!(result["commit"], commit(1), "{plugin}");
    }
}

/// Stopped between two steps, the work goes on where it stood.
#[test]
fn a_cancelled_push_is_finished_by_the_restart() {
    let agent = Agent::new();
    let registry = Registry::start(Options::default());
    let pipeline = agent.push(&registry, &commit(1), 11);
    registry.fault(Fault::on("PUT", "/manifests/0.1.0-rc.11", Action::Delay(Duration::from_secs(2))));
    registry.fault(Fault::on("PUT", "tag=0.1.0-rc.11", Action::Delay(Duration::from_secs(2))));
    let running = pipeline.publish(&[image("one")]).spawn();
    let set = format!("set-{}", commit(1));
    until("the set is written", || registry.tags(APP).contains_key(&set));
    running.signal(Signal::TERM);
    let stopped = running.wait();
    assert!([Some(0), Some(143)].contains(&stopped.code), "{stopped}");
    let again = ends(&agent.restart(&pipeline, 12).publish(&[image("one")]), 0);
    assert_eq!(again.json(".granary/registry-push.json")["candidate"], "0.1.0-rc.11");
    assert_eq!(registry.tags(APP)["0.1.0-rc.11"], image("one").digest());
    assert_eq!(moved(&registry), [""; 0]);
}
