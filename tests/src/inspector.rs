//! A look inside a running isolate, through the protocol that wrangler opens for
//! debuggers.
//!
//! The protocol: <https://chromedevtools.github.io/devtools-protocol/v8/>

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::wait;

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
        Inspector { socket, calls: 0 }
    }

    /// Bytes of the isolate's JavaScript heap that are in use after everything
    /// that nobody holds any more was collected.
    ///
    /// # Panics
    ///
    /// If the inspector does not answer.
    pub fn heap_after_collection(&mut self) -> u64 {
        // What holds a promise that is done lets go of it in the first round.
        for _ in 0..2 {
            self.call("HeapProfiler.collectGarbage");
        }
        let usage = self.call("Runtime.getHeapUsage");
        usage["usedSize"].as_u64().expect("a number of bytes")
    }

    fn call(&mut self, method: &str) -> Value {
        self.calls += 1;
        let message = json!({ "id": self.calls, "method": method });
        let sent = self.socket.send(Message::text(message.to_string()));
        sent.unwrap_or_else(|error| panic!("{method}: {error}"));
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(message)) => message,
                Ok(_) => continue,
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
