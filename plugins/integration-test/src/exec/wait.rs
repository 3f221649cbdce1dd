//! Waits until what the tests need is there: services of a pipeline have no readiness of their own.

use std::cell::RefCell;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use granary_net::{Deadline, Http, HttpError, Method, Request};
use granary_plugin::output::seconds;
use granary_plugin::{Failure, Kind, Output};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};
use url::Url;

use crate::settings::Endpoint;

/// Between two tries at one service.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one try may take.
const TRY_TAKES: Duration = Duration::from_secs(10);
/// How often somebody who reads the log is told what is still missing.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// One service that is waited for.
struct Awaited<'a> {
    endpoint: &'a Endpoint,
    /// Why it was not ready at the last try; `None` before the first, and once it is.
    missing: RefCell<Option<String>>,
    is_ready: RefCell<bool>,
}

impl Awaited<'_> {
    fn reason(&self) -> String {
        let reason = self.missing.borrow();
        format!("{}: {}", self.endpoint, reason.as_deref().unwrap_or("no answer yet"))
    }
}

/// Waits for all of `endpoints` at once, at most `limit`.
///
/// # Errors
/// With exit code 13, naming each that is not ready and why.
pub(super) async fn wait_for(
    endpoints: &[Endpoint],
    limit: Duration,
    http: &Http,
    output: &Output,
) -> Result<(), Failure> {
    let started = Instant::now();
    let end = tokio::time::Instant::now() + limit;
    let awaited: Vec<Awaited<'_>> = endpoints
        .iter()
        .map(|endpoint| Awaited { endpoint, missing: RefCell::default(), is_ready: RefCell::default() })
        .collect();
    let missing = || awaited.iter().filter(|awaited| !*awaited.is_ready.borrow()).map(Awaited::reason);
    let mut all = pin!(join_all(awaited.iter().map(|awaited| until_ready(awaited, http, output))));
    let mut say = tokio::time::Instant::now() + SAY_EVERY;
    loop {
        tokio::select! {
            _ = &mut all => return Ok(()),
            () = sleep_until(end) => break,
            () = sleep_until(say) => {
                let missing: Vec<String> = missing().collect();
                let waited = seconds(started.elapsed());
                output.info(format_args!("still waiting after {waited} for {}", missing.join("; ")));
                say += SAY_EVERY;
            }
        }
    }
    let missing: Vec<String> = missing().collect();
    let message = format!(
        "{} of {} services in `wait_for` were not ready after {}: {}",
        missing.len(),
        endpoints.len(),
        seconds(limit),
        missing.join("; ")
    );
    Err(Failure::new(Kind::Tests, message)
        .hint("look at the logs of those services, and at host and port; or raise `wait_timeout`"))
}

async fn until_ready(awaited: &Awaited<'_>, http: &Http, output: &Output) {
    let started = Instant::now();
    loop {
        let tried = match awaited.endpoint {
            Endpoint::Tcp { host, port } => connects(host, *port).await,
            Endpoint::Http(url) => answers(url, http).await,
        };
        match tried {
            Ok(()) => break,
            Err(reason) => *awaited.missing.borrow_mut() = Some(reason),
        }
        sleep(PAUSE).await;
    }
    *awaited.is_ready.borrow_mut() = true;
    output.info(format_args!("{} is ready ({})", awaited.endpoint, seconds(started.elapsed())));
}

async fn connects(host: &str, port: u16) -> Result<(), String> {
    match timeout(TRY_TAKES, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(no_answer()),
    }
}

/// A redirect is an answer, and not followed: where it leads to is somebody else's readiness.
async fn answers(url: &Url, http: &Http) -> Result<(), String> {
    let request = Request::new(Method::GET, url.clone());
    match http.send_without_following(&request, Deadline::after(TRY_TAKES)).await {
        Ok(response) if response.status().as_u16() < 400 => Ok(()),
        Ok(response) => Err(response.status().to_string()),
        Err(HttpError::Deadline { .. } | HttpError::Idle { .. }) => Err(no_answer()),
        Err(error) => Err(deepest(&error)),
    }
}

fn no_answer() -> String {
    format!("no answer within {}", seconds(TRY_TAKES))
}

/// What lies at the bottom of an error, which is the only news: the rest repeats method and address.
fn deepest(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}
