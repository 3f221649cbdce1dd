//! Short ways to write rules, facts and instants in tests.

use std::sync::Arc;

use granary_gates::{
    Calendar, Decision, Defaults, Fact, Facts, RawWindow, Rules, StageRules, Verdict, Window, Zone, evaluate,
};
use jiff::Timestamp;

/// The stage that the tests ask about.
pub(crate) const LIVE: &str = "live";

pub(crate) fn new_york() -> Zone {
    Zone::named("America/New_York").expect("a zone")
}

pub(crate) fn us_equities() -> Arc<Calendar> {
    Arc::new(Calendar::us_equities().expect("the built-in calendar"))
}

pub(crate) fn defaults() -> Defaults {
    Defaults { zone: Some(new_york()), calendars: vec![us_equities()] }
}

/// A window from JSON, as a policy has it.
pub(crate) fn window(json: &str) -> Window {
    let raw: RawWindow = serde_json::from_str(json).expect(json);
    Window::resolve(&raw, "window", &defaults()).expect(json)
}

/// The stage `live` with these windows and nothing else.
pub(crate) fn rules(windows: Vec<Window>) -> Rules {
    with(StageRules { windows, ..StageRules::default() })
}

/// The stage `live` with these rules.
pub(crate) fn with(stage: StageRules) -> Rules {
    Rules { zone: new_york(), stages: [(LIVE.to_owned(), stage)].into() }
}

/// Everything fine, as far as it was asked.
pub(crate) fn facts() -> Facts {
    Facts { stage: LIVE.to_owned(), freeze: Fact::Known(None), ..Facts::default() }
}

pub(crate) fn verdict(now: Timestamp, rules: &Rules) -> Verdict {
    evaluate(now, &facts(), rules)
}

pub(crate) fn decision(now: Timestamp, rules: &Rules) -> Decision {
    verdict(now, rules).decision
}

/// A timestamp; one without offset is by the clocks of New York.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| new_york().instants(text.parse().expect(text)).first)
}
