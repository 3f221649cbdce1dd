//! What is told about a run, for `log_level: trace` and for whoever waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_redact::Secret;
use granary_registry::{Credentials, Event, PushOptions, Registry, RegistryOptions};
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Fault, Options, Registry as Server};

use crate::support::{PASSWORD, USER, app, blob, http, options};

/// A client, and what it has told so far.
fn observed(server: &Server) -> (Registry, Arc<Mutex<Vec<Event>>>) {
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let heard = events.clone();
    let credentials = Credentials::password(USER, Secret::new(PASSWORD));
    let options = RegistryOptions {
        credentials,
        observer: Some(Arc::new(move |event: &Event| heard.lock().unwrap().push(event.clone()))),
        ..options()
    };
    (Registry::new(server.host().parse().unwrap(), http(), options), events)
}

fn shown(server: &Server, events: &[Event]) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Answered { method, url, status, .. } => format!("{method} {url} {}", status.as_u16()),
        Event::Retrying { what, reason, .. } => format!("{reason}: {what}"),
        Event::TokenFetched { realm, scopes } => format!("{realm} gave {scopes}"),
    };
    events.iter().map(|event| show(event).replace(&server.url(), "")).collect()
}

#[tokio::test]
async fn requests_pauses_and_tokens_without_secrets() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    server.fault(Fault::on("GET", "/token", Action::status(503)));
    server.fault(Fault::on("GET", "/tags/list", Action::too_many_requests(1)).after(1));
    let (registry, events) = observed(&server);
    registry.tags(&app()).await.unwrap();
    let events = events.lock().unwrap();
    assert_eq!(
        shown(&server, &events),
        [
            "GET /v2/acme/app/tags/list?n=1000 401",
            "the token server answered 503: GET /token",
            "/token gave repository:acme/app:pull",
            "GET /v2/acme/app/tags/list?n=1000 429",
            "the registry answered 429: GET /v2/acme/app/tags/list?n=1000",
            "GET /v2/acme/app/tags/list?n=1000 200",
        ]
    );
    let Event::Retrying { pause, .. } = &events[4] else { panic!("{:?}", events[4]) };
    assert!(*pause >= Duration::from_secs(1), "what the registry asked for: {pause:?}");
    let everything = format!("{events:?}");
    assert!(!everything.contains(PASSWORD) && !everything.contains("Bearer"), "{everything}");
}

#[tokio::test]
async fn an_upload_that_begins_again_is_told_with_its_blob() {
    let server = Server::start(Options::default());
    server.fault(Fault::on("PUT", "/uploads/", Action::status(503)));
    let (registry, events) = observed(&server);
    let (descriptor, source) = blob(b"layer");
    registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
    let shown = shown(&server, &events.lock().unwrap());
    let expected = format!(
        "the registry answered 503: upload of blob {} to {}/acme/app",
        descriptor.digest,
        server.host()
    );
    assert_eq!(shown.iter().filter(|line| **line == expected).count(), 1, "{shown:#?}");
}
