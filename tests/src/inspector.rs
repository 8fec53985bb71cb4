//! A look inside a running isolate, through the protocol that wrangler opens for
//! debuggers.
//!
//! The protocol: <https://chromedevtools.github.io/devtools-protocol/v8/>

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use crate::wait;

/// How long to wait for an answer before there is something else to do.
const LOOK: Duration = Duration::from_millis(100);

/// A debugger's connection to a Worker.
#[derive(Debug)]
pub struct Inspector {
    socket: WebSocket<TcpStream>,
    calls: u64,
}

impl Inspector {
    /// Connects to the inspector that listens at a port of this machine.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn connect(port: u16) -> Self {
        Self::connect_to(port, "/ws")
    }

    /// The same for one of the Workers behind that port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn connect_to(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("an inspector");
        stream
            .set_read_timeout(Some(wait::LIMIT))
            .expect("a timeout that is not zero");
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).expect("an inspector's WebSocket");
        // From here on, what has not come yet can be waited for once more.
        let looking = socket.get_ref().set_read_timeout(Some(LOOK));
        looking.expect("a timeout that is not zero");
        Inspector { socket, calls: 0 }
    }

    /// The size of the JavaScript heap in bytes, after all garbage was collected. An isolate
    /// tells that it has collected when it next has something to do, which is what `request`
    /// gives it.
    ///
    /// # Panics
    ///
    /// If the inspector does not answer.
    pub fn heap_after_collection_beside(&mut self, mut request: impl FnMut()) -> u64 {
        self.call("HeapProfiler.enable");
        // What holds a promise that is done lets go of it in the first round.
        for _ in 0..2 {
            self.send("HeapProfiler.collectGarbage");
            self.answer_beside("HeapProfiler.collectGarbage", &mut request);
        }
        let usage = self.call("Runtime.getHeapUsage");
        usage["usedSize"].as_u64().expect("a number of bytes")
    }

    fn call(&mut self, method: &str) -> Value {
        self.send(method);
        self.answer(method)
    }

    fn send(&mut self, method: &str) {
        self.calls += 1;
        let message = json!({ "id": self.calls, "method": method });
        let sent = self.socket.send(Message::text(message.to_string()));
        sent.unwrap_or_else(|error| panic!("{method}: {error}"));
    }

    fn answer(&mut self, method: &str) -> Value {
        self.answer_beside(method, || ())
    }

    /// The answer to what was sent last, with something to do now and then.
    fn answer_beside(&mut self, method: &str, mut request: impl FnMut()) -> Value {
        let deadline = Instant::now() + wait::LIMIT;
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(message)) => message,
                Ok(_) => continue,
                Err(Error::Io(error)) if is_timeout(&error) && Instant::now() < deadline => {
                    request();
                    continue;
                }
                Err(error) => panic!("{method}: {error}"),
            };
            let mut message: Value = serde_json::from_str(&message).expect("JSON");
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    // Which of the two depends on the system.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
