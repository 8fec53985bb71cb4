//! A receiver that records every request, and answers as a test wants.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{case, relay, schema, wait};
use site::server::{self, Listener, Request};

/// How a receiver answers a request.
pub enum Answer {
    /// Answers with a status, headers and a body.
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Keeps the connection open and sends nothing until the client gives up.
    Hang,
    /// Runs a closure with the open connection, which is closed afterwards.
    Stream(Talk),
}

/// A closure that writes to an open connection.
pub type Talk = Box<dyn FnOnce(&mut TcpStream) -> io::Result<()> + Send>;

impl Answer {
    /// Sentry's answer when it has accepted an event.
    pub fn ok() -> Self {
        Answer::Reply(200, Vec::new(), b"{}".to_vec())
    }

    /// A status without headers and body.
    pub fn status(status: u16) -> Self {
        Answer::Reply(status, Vec::new(), Vec::new())
    }
}

type Script = dyn Fn(&Request, usize) -> Answer + Send + Sync;

struct State {
    script: Box<Script>,
    requests: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: AtomicUsize,
}

/// A request, and when it was complete.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request.
    pub request: Request,
    /// The time at which its last byte arrived.
    pub at: Instant,
}

/// An HTTP server on a port of its own. It stops listening when it is dropped.
pub struct Receiver {
    listener: Listener,
    state: Arc<State>,
}

impl Receiver {
    /// A receiver that accepts every event.
    pub fn accepting() -> Self {
        Self::answering(|_, _| Answer::ok())
    }

    /// A receiver that answers with `script`, which gets each request and its number, counted from
    /// 0.
    ///
    /// # Panics
    ///
    /// If this machine has no free port.
    pub fn answering(script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listening("127.0.0.1:0", script)
    }

    /// The same receiver, on an address that the test chooses.
    ///
    /// # Panics
    ///
    /// If the address cannot be used.
    pub fn listening(
        address: &str,
        script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free address");
        let state = Arc::new(State {
            script: Box::new(script),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let for_listener = Arc::clone(&state);
        let listener = Listener::start(listener, move |stream| for_listener.take(stream));
        Receiver { listener, state }
    }

    /// A DSN for this receiver. Its key does not have the form of Sentry's keys.
    pub fn dsn(&self) -> String {
        format!("http://public@{}/1", self.listener.address())
    }

    /// How many requests contain `marker`.
    pub fn count(&self, marker: &str) -> usize {
        let requests = self.state.requests();
        let mentions = |received: &&Received| received.request.text().contains(marker);
        requests.iter().filter(mentions).count()
    }

    /// The address without a DSN's parts, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The number of connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.state.requests().clone()
    }

    /// Waits for the first request that contains `marker`.
    ///
    /// # Panics
    ///
    /// If none arrives in time.
    #[track_caller]
    pub fn wait_for(&self, marker: &str) -> Received {
        self.wait_for_request("request", marker, |_| true)
    }

    /// Waits for the first request of a kind that contains `marker`. A run sends its error and its
    /// transaction at the same time, and either can arrive first.
    #[track_caller]
    fn wait_for_request(
        &self,
        what: &str,
        marker: &str,
        is_it: impl Fn(&Request) -> bool,
    ) -> Received {
        wait::until(&format!("{what} with {marker:?}"), wait::LIMIT, || {
            self.state
                .requests()
                .iter()
                .find(|it| it.request.text().contains(marker) && is_it(&it.request))
                .cloned()
        })
    }

    /// Waits for the first event that contains `marker`, and has Relay check it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, if it is not in an envelope, or if Relay rejects or changes
    /// it.
    #[track_caller]
    pub fn wait_for_event(&self, marker: &str) -> Value {
        let event = event(&self.wait_for_request("event", marker, is_of_events).request);
        relay::judge(&event);
        event
    }

    /// Waits for the first transaction whose envelope contains `marker`, and has Relay check it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, or if Relay rejects or changes it.
    #[track_caller]
    pub fn wait_for_transaction(&self, marker: &str) -> Value {
        let received = self.wait_for_request("transaction", marker, is_of_a_transaction);
        let (_, transaction) = envelope(&received.request).1.remove(0);
        relay::judge(&transaction);
        transaction
    }

    /// Waits for the first event that `is_it` accepts, and has Relay check it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, or if Relay rejects or changes it.
    #[track_caller]
    pub fn wait_for_event_that(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let found = wait::until(what, wait::LIMIT, || {
            let requests = self.state.requests();
            let events = requests
                .iter()
                .filter(|received| is_of_events(&received.request));
            let mut events = events.map(|received| event_in(&received.request));
            events.find(&is_it)
        });
        relay::judge(&found);
        arrived(&found);
        found
    }

    /// All events so far, each checked by Relay.
    ///
    /// # Panics
    ///
    /// If a request is not an envelope, or if Relay rejects or changes an event.
    pub fn events(&self) -> Vec<Value> {
        let requests = self.requests();
        let events: Vec<Value> = requests
            .iter()
            .filter(|received| is_of_events(&received.request))
            .map(|received| event_in(&received.request))
            .collect();
        events.iter().for_each(relay::judge);
        events
    }

    /// All check-ins so far, each checked, and when each arrived.
    ///
    /// # Panics
    ///
    /// If a request is not an envelope, or if a check-in does not fit the schema.
    pub fn check_ins(&self) -> Vec<(Value, Instant)> {
        let mut found = Vec::new();
        for received in self.requests() {
            for (header, check_in) in envelope(&received.request).1 {
                if header["type"] == "check_in" {
                    schema::judge(&check_in);
                    found.push((check_in, received.at));
                }
            }
        }
        found
    }

    /// All items of logs so far, each checked, in which every log has the marker.
    ///
    /// # Panics
    ///
    /// If a request is not an envelope, or if an item does not fit the schema.
    pub fn logs(&self, marker: &str) -> Vec<Logs> {
        let mut found = Vec::new();
        for received in self.requests() {
            let mut items = envelope(&received.request).1.into_iter();
            let Some((header, payload)) = items.next() else {
                continue;
            };
            if header["type"] != "log" {
                continue;
            }
            schema::judge_logs(&header, &payload);
            let report = items.next().map(|(header, payload)| {
                assert_eq!(header["type"], "client_report");
                schema::judge_report(&payload);
                payload
            });
            assert!(items.next().is_none(), "more than a report beside logs");
            let logs = payload["items"].as_array().cloned().unwrap_or_default();
            let is_of = |log: &Value| log["attributes"]["marker"]["value"] == marker;
            if logs.iter().any(is_of) {
                assert!(logs.iter().all(is_of), "logs of several runs: {payload:#}");
                found.push(Logs {
                    logs,
                    report,
                    at: received.at,
                });
            }
        }
        found
    }

    /// Waits for the first item of logs with a marker.
    ///
    /// # Panics
    ///
    /// If none arrives in time, or if an item does not fit the schema.
    #[track_caller]
    pub fn wait_for_logs(&self, marker: &str) -> Logs {
        let what = format!("logs of {marker:?}");
        let found = wait::until(&what, wait::LIMIT, || self.logs(marker).into_iter().next());
        case::used("logs".to_owned());
        found
    }

    /// Waits for the check-in of a monitor with a status, and checks it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, or if it does not fit the schema.
    #[track_caller]
    pub fn wait_for_check_in(&self, monitor: &str, status: &str) -> (Value, Instant) {
        let what = format!("check-in {status:?} of {monitor:?}");
        let found = wait::until(&what, wait::LIMIT, || {
            let mut all = self.check_ins().into_iter();
            all.find(|(it, _)| it["monitor_slug"] == monitor && it["status"] == status)
        });
        case::used(format!("check-in {status}"));
        found
    }
}

/// The logs of one item, and when they arrived.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The logs in their order.
    pub logs: Vec<Value>,
    /// The report of dropped logs beside them, if there is one.
    pub report: Option<Value>,
    /// The time at which the last byte arrived.
    pub at: Instant,
}

impl Logs {
    /// The values of an attribute, one for each log.
    pub fn values(&self, name: &str) -> Vec<Value> {
        let logs = self.logs.iter();
        logs.map(|log| log["attributes"][name]["value"].clone())
            .collect()
    }

    /// The text of each log.
    pub fn texts(&self) -> Vec<&str> {
        let logs = self.logs.iter();
        logs.filter_map(|log| log["body"].as_str()).collect()
    }
}

/// Whether an envelope may contain events. An envelope counts as one of events unless all its items
/// are known to be something else. Check-ins, logs and reports are checked here as well.
fn is_of_events(request: &Request) -> bool {
    let (_, items) = envelope(request);
    let is_known = |(header, payload): &(Value, Value)| match header["type"].as_str() {
        Some("check_in") => {
            schema::judge(payload);
            true
        }
        Some("log") => {
            schema::judge_logs(header, payload);
            true
        }
        Some("client_report") => {
            schema::judge_report(payload);
            true
        }
        Some("transaction") => true,
        _ => false,
    };
    items.is_empty() || !items.iter().all(is_known)
}

fn is_of_a_transaction(request: &Request) -> bool {
    let (_, items) = envelope(request);
    items
        .first()
        .is_some_and(|(header, _)| header["type"] == "transaction")
}

impl State {
    fn requests(&self) -> MutexGuard<'_, Vec<Received>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        // An error is ignored, because some tests have a client that closes the connection.
        let _ = converse(stream, self);
        self.open.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Answers the requests of a connection, one after another.
fn converse(stream: &mut TcpStream, state: &State) -> io::Result<()> {
    while let Some(request) = server::read_request(stream)? {
        let number = {
            let mut requests = state.requests();
            requests.push(Received {
                request: request.clone(),
                at: Instant::now(),
            });
            requests.len() - 1
        };
        match (state.script)(&request, number) {
            Answer::Reply(status, headers, body) => {
                server::write_reply(stream, status, &headers, &body)?;
            }
            Answer::Hang => return wait_for_the_end(stream),
            Answer::Stream(answer) => {
                answer(stream)?;
                return stream.flush();
            }
        }
    }
    Ok(())
}

fn wait_for_the_end(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    while stream.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

/// The event in an envelope.
///
/// # Panics
///
/// If the request's body is not an envelope with one event.
#[track_caller]
pub fn event(request: &Request) -> Value {
    let event = event_in(request);
    arrived(&event);
    event
}

/// Notes that the running test received an event that it waited for.
pub(crate) fn arrived(event: &Value) {
    if let Some(transaction) = event["transaction"].as_str() {
        case::used(format!("event {transaction}"));
    }
}

#[track_caller]
fn event_in(request: &Request) -> Value {
    let (_, items) = envelope(request);
    let mut events = items
        .into_iter()
        .filter(|(header, _)| header["type"] == "event");
    let event = events.next();
    assert!(
        events.next().is_none(),
        "more than one event in an envelope"
    );
    match event {
        Some((_, event)) => event,
        None => panic!("no event in {}", request.text()),
    }
}

/// An envelope's header, and its items as header and JSON payload.
///
/// # Panics
///
/// If the request's body is not an envelope.
pub fn envelope(request: &Request) -> (Value, Vec<(Value, Value)>) {
    let mut rest = request.body.as_slice();
    let header = line(&mut rest);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let header = line(&mut rest);
        let payload = match header["length"].as_u64() {
            Some(length) => {
                let length = usize::try_from(length).expect("a length");
                assert!(length <= rest.len(), "an item longer than its envelope");
                let (payload, after) = rest.split_at(length);
                rest = after.strip_prefix(b"\n").unwrap_or(after);
                json(payload)
            }
            None => line(&mut rest),
        };
        items.push((header, payload));
    }
    (header, items)
}

fn line(rest: &mut &[u8]) -> Value {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, &[][..]),
    };
    *rest = after;
    json(line)
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(bytes)))
}
