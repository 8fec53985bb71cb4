//! Chromium, controlled through its own protocol.
//!
//! One browser serves the whole run. Each page has a context of its own, which shares
//! neither storage nor cache with other pages, and a connection of its own, which
//! is read while the page answers a call.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::devtools::Devtools;
use crate::process::Process;
use crate::shared::Shared;
use crate::{environment, run, wait};

/// Options that keep Chromium from using the network and the desktop.
const FLAGS: [&str; 13] = [
    "--headless",
    // A sandbox is not available as root, and every page is our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-breakpad",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // Without this option, Chromium logs each desktop service that is missing.
    "--log-level=3",
    "--remote-debugging-port=0",
];

static RUNNING: Shared<Browser> = Shared::new();

#[derive(Debug)]
struct Browser {
    process: Process,
    /// The address of the browser's protocol.
    endpoint: String,
}

impl Browser {
    fn start() -> Self {
        let home = run::new_directory("chromium");
        let mut command = Command::new(environment::path("PROOF_CHROMIUM"));
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", home.join("data").display()))
            .arg("about:blank")
            .env("HOME", &home)
            .env("TMPDIR", &home);
        let process = Process::start("chromium", &command);
        Browser {
            endpoint: process.wait_for_word_after("DevTools listening on ", wait::START),
            process,
        }
    }
}

/// The colour scheme that the reader's system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark text on a light page.
    Light,
    /// Light text on a dark page.
    Dark,
}

impl Scheme {
    /// The scheme's name in CSS and in our files.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        }
    }
}

/// A page in a window of its own. It is closed when it is dropped.
#[derive(Debug)]
pub struct Page {
    devtools: Devtools,
    context: String,
    requests: Vec<String>,
    errors: Vec<String>,
}

impl Page {
    /// An empty page, for settings that have to be made before a page is loaded.
    ///
    /// # Panics
    ///
    /// If Chromium does not start or does not answer.
    pub fn empty(scheme: Scheme) -> Self {
        let browser = RUNNING.get(Browser::start);
        browser.process.log();
        let mut page = Page {
            devtools: Devtools::connect(&browser.endpoint),
            context: String::new(),
            requests: Vec::new(),
            errors: Vec::new(),
        };
        let context = page.call("Target.createBrowserContext", json!({}));
        page.context = text(&context, "browserContextId");
        let target = page.call(
            "Target.createTarget",
            json!({ "url": "about:blank", "browserContextId": page.context }),
        );
        let session = page.call(
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        );
        page.devtools.session = Some(text(&session, "sessionId"));
        for domain in ["Page", "Network", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        // Many pages are open at once. Each must act as the one in front.
        page.call(
            "Emulation.setFocusEmulationEnabled",
            json!({ "enabled": true }),
        );
        page.prefer(scheme);
        page.resize(1280, 900);
        page
    }

    /// Opens `url` and waits until it has been loaded.
    ///
    /// # Panics
    ///
    /// If the page cannot be loaded.
    #[track_caller]
    pub fn open(url: &str, scheme: Scheme) -> Self {
        let mut page = Self::empty(scheme);
        page.go(url);
        page
    }

    /// Goes to `url` and waits until it has been loaded.
    ///
    /// # Panics
    ///
    /// If the page cannot be loaded.
    #[track_caller]
    pub fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.wait_until("loaded page", "document.readyState === 'complete'");
    }

    /// Waits until another page is loaded without [`Page::go`], such as the page behind a clicked
    /// link.
    ///
    /// # Panics
    ///
    /// If another page is loaded, or none in time.
    #[track_caller]
    pub fn arrives_at(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let address = wait::until("page that was asked for", wait::LIMIT, || {
            // Between two pages the call fails, because there is no page.
            let history = self.try_call("Page.getNavigationHistory", json!({})).ok()?;
            let current = history["currentIndex"].as_u64()?;
            let entry = &history["entries"][usize::try_from(current).ok()?];
            Some(text(entry, "url")).filter(|url| wanted(url))
        });
        self.wait_until("loaded page", "document.readyState === 'complete'");
        address
    }

    /// Sets the colour scheme that the reader's system prefers.
    pub fn prefer(&mut self, scheme: Scheme) {
        self.media("", scheme);
    }

    /// Shows the page as it is printed.
    pub fn on_paper(&mut self, scheme: Scheme) {
        self.media("print", scheme);
    }

    fn media(&mut self, media: &str, scheme: Scheme) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme.name() },
            // Without animations, elements have their final place at once.
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        let parameters = json!({ "media": media, "features": features });
        self.call("Emulation.setEmulatedMedia", parameters);
    }

    /// Runs a script in each following page, before the page's own scripts.
    pub fn before_each(&mut self, script: &str) {
        let parameters = json!({ "source": script });
        self.call("Page.addScriptToEvaluateOnNewDocument", parameters);
    }

    /// Runs no scripts of the following pages. Scripts that a test evaluates still run.
    pub fn without_scripts(&mut self) {
        let parameters = json!({ "value": true });
        self.call("Emulation.setScriptExecutionDisabled", parameters);
    }

    /// Lets the pages of this window use the clipboard, as if the reader had allowed it.
    pub fn allow_clipboard(&mut self) {
        let parameters = json!({
            "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
            "browserContextId": self.context,
        });
        self.call("Browser.grantPermissions", parameters);
    }

    /// Presses and releases a key: a character, or a name such as `Enter`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut parameters = json!({
            "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code,
        });
        match key {
            "Enter" => parameters["text"] = "\r".into(),
            _ if key.chars().count() == 1 => parameters["text"] = key.into(),
            _ => {}
        }
        self.call("Input.dispatchKeyEvent", parameters.clone());
        parameters["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", parameters);
    }

    /// Types a text, key by key.
    pub fn write(&mut self, text: &str) {
        for character in text.chars() {
            self.press(&character.to_string());
        }
    }

    /// Clicks in the middle of an element, where a reader's mouse would.
    ///
    /// # Panics
    ///
    /// If there is no such element, or if another one covers it.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{
                const wanted = document.querySelector({});
                wanted.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = wanted.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(x, y);
                return wanted.contains(hit) ? [x, y] : `covered by ${{hit?.outerHTML}}`;
            }})()",
            json!(selector)
        ));
        assert!(place.is_array(), "{selector} is {place}");
        for kind in ["mousePressed", "mouseReleased"] {
            let parameters = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", parameters);
        }
    }

    /// The page as a PDF on A4, as the browser prints it.
    ///
    /// # Panics
    ///
    /// If the browser cannot make the PDF.
    pub fn pdf(&mut self) -> Vec<u8> {
        let paper = json!({ "paperWidth": 8.27, "paperHeight": 11.69 });
        let printed = self.call("Page.printToPDF", paper);
        let pdf = BASE64_STANDARD.decode(text(&printed, "data"));
        pdf.expect("a file in base64")
    }

    /// Sets the size of the window.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// The value of a JavaScript expression. For a promise, the value that it resolves to.
    ///
    /// # Panics
    ///
    /// If the expression throws.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let mut result = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true }),
        );
        let thrown = &result["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown:#}");
        result["result"]["value"].take()
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Panics
    ///
    /// If the expression does not become true in time.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, expression: &str) {
        wait::until(what, wait::LIMIT, || {
            (self.evaluate(expression) == true).then_some(())
        });
    }

    /// Every URL that was requested so far, including the page's own.
    pub fn requests(&mut self) -> &[String] {
        self.catch_up();
        &self.requests
    }

    /// Every problem so far: errors and warnings in the console, uncaught exceptions, and the
    /// browser's own complaints.
    pub fn errors(&mut self) -> &[String] {
        self.catch_up();
        &self.errors
    }

    /// Writes a picture of the whole page to `target/screenshots`.
    ///
    /// # Panics
    ///
    /// If the picture cannot be taken or written.
    pub fn screenshot(&mut self, name: &str) -> PathBuf {
        let shot = self.call(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "fromSurface": true }),
        );
        let png = BASE64_STANDARD
            .decode(text(&shot, "data"))
            .expect("a picture in base64");
        let folder = environment::workspace().join("target/screenshots");
        let file = folder.join(format!("{name}.png"));
        fs::create_dir_all(&folder).expect("a folder for the pictures");
        fs::write(&file, png).expect("a file for the picture");
        file
    }

    /// A picture of a part of the page as WebP: left, top, width and height in pixels of
    /// the page. Each pixel of the page is `scale` pixels of the picture.
    ///
    /// # Panics
    ///
    /// If the picture cannot be taken.
    pub fn picture(&mut self, [x, y, width, height]: [u32; 4], scale: f64) -> Vec<u8> {
        let shot = self.call(
            "Page.captureScreenshot",
            json!({
                "format": "webp", "quality": 30, "captureBeyondViewport": true,
                "clip": { "x": x, "y": y, "width": width, "height": height, "scale": scale },
            }),
        );
        let webp = BASE64_STANDARD.decode(text(&shot, "data"));
        webp.expect("a picture in base64")
    }

    /// Calls a method of the protocol.
    ///
    /// # Panics
    ///
    /// If the browser answers with an error, or not at all.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        match self.try_call(method, parameters) {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        let (requests, errors) = (&mut self.requests, &mut self.errors);
        self.devtools.call(method, &parameters, |event| {
            if let Some(event) = event {
                note(event, requests, errors);
            }
        })
    }

    /// Reads the events that the browser has already sent.
    fn catch_up(&mut self) {
        self.evaluate("0");
    }

    /// Forgets the requests and the problems so far.
    pub fn forget(&mut self) {
        self.catch_up();
        self.requests.clear();
        self.errors.clear();
    }
}

/// Keeps what a test may ask for: the URL of a request, and any problem.
fn note(event: &Value, requests: &mut Vec<String>, errors: &mut Vec<String>) {
    let parameters = &event["params"];
    match event["method"].as_str() {
        Some("Network.requestWillBeSent") => {
            requests.push(text(&parameters["request"], "url"));
        }
        Some("Runtime.consoleAPICalled")
            if matches!(
                parameters["type"].as_str(),
                Some("error" | "warning" | "assert")
            ) =>
        {
            errors.push(format!("console: {}", parameters["args"]));
        }
        Some("Runtime.exceptionThrown") => {
            let details = &parameters["exceptionDetails"];
            errors.push(format!("exception: {details}"));
        }
        Some("Log.entryAdded")
            if matches!(
                parameters["entry"]["level"].as_str(),
                Some("error" | "warning")
            ) =>
        {
            errors.push(format!("browser: {}", parameters["entry"]));
        }
        _ => {}
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The call is not waited for, because the browser may have ended already.
        self.devtools.session = None;
        let context = json!({ "browserContextId": self.context });
        let _ = self.devtools.send("Target.disposeBrowserContext", &context);
    }
}

fn text(value: &Value, field: &str) -> String {
    match value[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no {field} in {value}"),
    }
}
