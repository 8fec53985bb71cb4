//! A view into a running isolate, through the protocol for debuggers that wrangler offers.

use serde_json::{Value, json};

use crate::devtools::Devtools;

/// A debugger's connection to a Worker.
#[derive(Debug)]
pub struct Inspector(Devtools);

impl Inspector {
    /// Connects to the inspector that listens at a port of this machine.
    ///
    /// # Panics
    ///
    /// If no inspector listens there.
    pub fn connect(port: u16) -> Self {
        Self::connect_to(port, "/ws")
    }

    /// Connects to one of several Workers behind a port.
    ///
    /// # Panics
    ///
    /// If no inspector listens there.
    pub fn connect_to(port: u16, path: &str) -> Self {
        Inspector(Devtools::connect(&format!("ws://127.0.0.1:{port}{path}")))
    }

    /// The size of the JavaScript heap in bytes, after garbage collection. An isolate reports the
    /// end of a collection only when it has something to do, so `request` gives it work meanwhile.
    ///
    /// # Panics
    ///
    /// If the inspector does not answer.
    pub fn heap_after_collection_beside(&mut self, mut request: impl FnMut()) -> u64 {
        self.call("HeapProfiler.enable", || ());
        // The first collection frees what holds finished promises; the second one frees the
        // promises.
        for _ in 0..2 {
            self.call("HeapProfiler.collectGarbage", &mut request);
        }
        let usage = self.call("Runtime.getHeapUsage", || ());
        usage["usedSize"].as_u64().expect("a number of bytes")
    }

    /// Calls a method. `meanwhile` runs now and then until the answer arrives.
    fn call(&mut self, method: &str, mut meanwhile: impl FnMut()) -> Value {
        let answer = self.0.call(method, &json!({}), |event| {
            if event.is_none() {
                meanwhile();
            }
        });
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}
