//! A look inside a running isolate, through the protocol that wrangler opens for
//! debuggers.

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
        Inspector(Devtools::connect(&format!("ws://127.0.0.1:{port}{path}")))
    }

    /// The size of the JavaScript heap in bytes, after all garbage was collected. An isolate
    /// tells that it has collected when it next has something to do, which is what `request`
    /// gives it.
    ///
    /// # Panics
    ///
    /// If the inspector does not answer.
    pub fn heap_after_collection_beside(&mut self, mut request: impl FnMut()) -> u64 {
        self.call("HeapProfiler.enable", || ());
        // What holds a promise that is done lets go of it in the first round.
        for _ in 0..2 {
            self.call("HeapProfiler.collectGarbage", &mut request);
        }
        let usage = self.call("Runtime.getHeapUsage", || ());
        usage["usedSize"].as_u64().expect("a number of bytes")
    }

    /// Calls a method, with something to do now and then until it is answered.
    fn call(&mut self, method: &str, mut meanwhile: impl FnMut()) -> Value {
        let answer = self.0.call(method, &json!({}), |event| {
            if event.is_none() {
                meanwhile();
            }
        });
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}
