//! Calls over the protocol for debuggers, which Chromium and workerd support.
//!
//! The protocol: <https://chromedevtools.github.io/devtools-protocol/>

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

use crate::wait;

/// How long to wait for an answer before `note` is called.
const LOOK: Duration = Duration::from_millis(100);

/// A debugger's connection. It makes one call at a time.
#[derive(Debug)]
pub(crate) struct Devtools {
    socket: WebSocket<TcpStream>,
    /// The session that calls are for, where the other end has several.
    pub(crate) session: Option<String>,
    calls: u64,
}

impl Devtools {
    /// Connects to an address such as `ws://127.0.0.1:1/ws`.
    ///
    /// # Panics
    ///
    /// If the connection cannot be made.
    pub(crate) fn connect(address: &str) -> Self {
        let host = address
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_else(|| panic!("{address} is not the address of a WebSocket"));
        let connected = TcpStream::connect(host).and_then(|stream| {
            stream.set_read_timeout(Some(wait::LIMIT))?;
            Ok(stream)
        });
        let stream = connected.unwrap_or_else(|error| panic!("{address}: {error}"));
        // A picture of a long page is a single frame.
        let config = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let opened = tungstenite::client::client_with_config(address, stream, Some(config));
        let (socket, _) = opened.unwrap_or_else(|error| panic!("{address}: {error}"));
        // With this timeout, waiting for an answer can be interrupted and continued.
        let looking = socket.get_ref().set_read_timeout(Some(LOOK));
        looking.expect("a timeout that is not zero");
        Devtools {
            socket,
            session: None,
            calls: 0,
        }
    }

    /// Calls a method and waits for its answer, which may be an error. `note` gets each event that
    /// arrives before the answer, and `None` now and then while nothing arrives.
    ///
    /// # Panics
    ///
    /// If no answer comes.
    pub(crate) fn call(
        &mut self,
        method: &str,
        parameters: &Value,
        mut note: impl FnMut(Option<&Value>),
    ) -> Result<Value, Value> {
        self.send(method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"));
        let deadline = Instant::now() + wait::LIMIT;
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(message)) => message,
                Ok(_) => continue,
                Err(Error::Io(error)) if is_timeout(error.kind()) && Instant::now() < deadline => {
                    note(None);
                    continue;
                }
                Err(error) => panic!("{method}: {error}"),
            };
            let mut message: Value = serde_json::from_str(&message).expect("JSON");
            if message["id"] == self.calls {
                return match message["error"].take() {
                    Value::Null => Ok(message["result"].take()),
                    error => Err(error),
                };
            }
            note(Some(&message));
        }
    }

    /// Sends a call without waiting for its answer.
    pub(crate) fn send(&mut self, method: &str, parameters: &Value) -> Result<(), Error> {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string()))
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    // Which of the two errors a timeout is depends on the system.
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
