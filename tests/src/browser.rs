//! A real browser, driven as a person would use it: what is clicked is what is written on it.
//!
//! [`Browser::check`] is what every page and state goes through: axe-core finds nothing to complain about, nothing is wider than
//! the window, the console is empty, and nothing was asked for from elsewhere. It also takes the pictures of `cargo xtask screenshots`.

use std::fmt;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use servers::Process;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xtask::browser::SCREENSHOTS_VARIABLE;

use crate::wait::until;

/// Nothing of the browser's own speaks to anybody, and nothing of it is shown.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=ko",
];

/// What axe-core holds pages against.
const STANDARDS: [&str; 7] =
    ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];

/// The size of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The narrowest that pages are made for.
    Narrow,
    /// A telephone.
    Phone,
    /// A wide screen.
    Desktop,
}

impl Size {
    const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Narrow => (320, 640),
            Self::Phone => (390, 844),
            Self::Desktop => (1280, 900),
        }
    }
}

/// One window, with cookies of its own.
pub struct Browser {
    // In this order they end: the session, what drives it, what it kept.
    client: Client,
    runtime: Runtime,
    _driver: Process,
    _profile: TempDir,
    base: String,
    /// Whether pages may run scripts.
    scripts: bool,
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("base", &self.base).finish_non_exhaustive()
    }
}

/// A command of Chromium's driver that WebDriver does not have.
#[derive(Debug)]
struct Chromium(&'static str, Value);

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    /// A window of a telephone's size, on the site at `base`.
    #[track_caller]
    #[must_use]
    pub fn open(base: &str) -> Self {
        let profile = tempfile::Builder::new().prefix("sugang-browser-").tempdir().expect("a folder");
        let (driver, port) = start_driver();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let binary = xtask::browser::program().expect("a browser: `cargo xtask setup`");
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": binary, "args": flags },
        });
        let capabilities = capabilities.as_object().cloned().expect("an object");
        let connecting = async {
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&format!("http://127.0.0.1:{port}"))
                .await
        };
        let client = runtime.block_on(connecting).expect("a session");
        let browser = Self {
            client,
            runtime,
            _driver: driver,
            _profile: profile,
            base: base.to_owned(),
            scripts: true,
        };
        // What a new window shows by itself is none of the site's.
        browser.runtime.block_on(browser.client.goto("about:blank")).expect("an empty page");
        browser.traffic();
        browser.console();
        browser.resize(Size::Phone);
        browser.speak("ko");
        browser
    }

    fn command(&self, command: Chromium) -> Value {
        self.runtime.block_on(self.client.issue_cmd(command)).expect("the browser to answer")
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command(Chromium("goog/cdp/execute", json!({ "cmd": command, "params": parameters })))
    }

    /// Makes the window another size.
    pub fn resize(&self, size: Size) {
        let (width, height) = size.pixels();
        let is_mobile = size != Size::Desktop;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// From now on the reader prefers dark pages, or light ones.
    pub fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "media": "", "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// From now on pages run no scripts.
    pub fn without_scripts(&mut self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        self.scripts = false;
    }

    /// As from a telephone on a slow line: the processor four times slower, and fast 3G.
    pub fn throttle(&self) {
        self.devtools("Emulation.setCPUThrottlingRate", &json!({ "rate": 4 }));
        let line = json!({ "offline": false, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750 });
        self.devtools("Network.enable", &json!({}));
        self.devtools("Network.emulateNetworkConditions", &line);
    }

    /// Reads in this language from now on.
    pub fn speak(&self, language: &str) {
        let cookie = json!({ "name": "sugang-language", "value": language, "url": self.base });
        self.devtools("Network.setCookie", &cookie);
    }

    /// Forgets a cookie.
    pub fn drop_cookie(&self, name: &str) {
        self.devtools("Network.deleteCookies", &json!({ "name": name, "url": self.base }));
    }

    /// Opens a page.
    #[track_caller]
    pub fn go(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.runtime.block_on(self.client.goto(&url)).expect("the page to open");
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.runtime.block_on(self.client.refresh()).expect("the page to load");
    }

    /// The path of the page, with its query.
    #[must_use]
    pub fn path(&self) -> String {
        let url = self.runtime.block_on(self.client.current_url()).expect("a page");
        url.as_str().strip_prefix(&self.base).unwrap_or(url.as_str()).to_owned()
    }

    /// Waits until the page is one whose path begins so: a click comes back before the page that it leads to. Gives the path.
    #[track_caller]
    pub fn wait_at(&self, beginning: &str) -> String {
        let begun = Instant::now();
        loop {
            let path = self.path();
            if path.starts_with(beginning) && !self.text().is_empty() {
                return path;
            }
            assert!(begun.elapsed() < crate::PATIENCE, "not at {beginning}, but at {path}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What can be read on the page.
    #[must_use]
    pub fn text(&self) -> String {
        self.text_of("main").unwrap_or_default()
    }

    /// What can be read in the first element that a selector names, if it is there.
    #[must_use]
    pub fn text_of(&self, selector: &str) -> Option<String> {
        self.runtime.block_on(async {
            let element = self.client.find(Locator::Css(selector)).await.ok()?;
            element.text().await.ok()
        })
    }

    /// An attribute of the first element that a selector names.
    #[must_use]
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.runtime.block_on(async {
            let element = self.client.find(Locator::Css(selector)).await.ok()?;
            element.attr(name).await.ok().flatten()
        })
    }

    /// Waits until the page says this.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let mut last = String::new();
        let begun = Instant::now();
        while begun.elapsed() < crate::PATIENCE {
            last = self.text();
            if last.contains(words) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited in vain for {words:?} on {}:\n{last}", self.path());
    }

    /// Clicks the link or button, or the label, that has these words on it.
    #[track_caller]
    pub fn click(&self, words: &str) {
        let path =
            format!("//*[self::a or self::button or self::label][normalize-space(.)={}]", quoted(words));
        self.click_where(Locator::XPath(&path), words);
    }

    /// Clicks the first element that a selector names.
    #[track_caller]
    pub fn click_on(&self, selector: &str) {
        self.click_where(Locator::Css(selector), selector);
    }

    /// What moves by itself may be put in anew between being found and being clicked, which a person would not notice.
    #[track_caller]
    fn click_where(&self, locator: Locator<'_>, called: &str) {
        let click = || {
            let clicked = self.runtime.block_on(async { self.client.find(locator).await?.click().await });
            clicked.map_err(|error: CmdError| error.to_string())
        };
        let mut clicked = click();
        while clicked.as_ref().is_err_and(|error| error.contains("stale element")) {
            clicked = click();
        }
        if let Err(error) = clicked {
            panic!("cannot click {called:?} on {}: {error}\n{}", self.path(), self.text());
        }
    }

    /// Types into a field in the place of what is in it.
    #[track_caller]
    pub fn fill(&self, name: &str, text: &str) {
        let selector = format!("[name={}]", quoted(name));
        let filled = self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(&selector)).await?;
            field.clear().await?;
            field.send_keys(text).await
        });
        filled.unwrap_or_else(|error| panic!("cannot fill {name} on {}: {error}", self.path()));
    }

    /// Chooses from a list, as somebody does who points at what it says.
    #[track_caller]
    pub fn select(&self, name: &str, value: &str) {
        self.click_on(&format!("select[name={}] option[value={}]", quoted(name), quoted(value)));
    }

    /// Puts a value into a field that people choose from a picker.
    #[track_caller]
    pub fn choose(&self, name: &str, value: &str) {
        let script = "document.querySelector(`[name='${arguments[0]}']`).value = arguments[1]";
        self.run(script, &[json!(name), json!(value)]);
    }

    /// Presses keys, in whatever has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let pressed =
            self.runtime.block_on(async { self.client.active_element().await?.send_keys(keys).await });
        pressed.unwrap_or_else(|error| panic!("cannot press keys on {}: {error}", self.path()));
    }

    /// Runs a script in the page, and gives back what it returns.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let ran = self.runtime.block_on(self.client.execute(script, arguments.to_vec()));
        ran.unwrap_or_else(|error| panic!("a script on {}: {error}", self.path()))
    }

    /// The same of a script that hands over later what it has, by calling its last argument.
    #[track_caller]
    pub fn run_async(&self, script: &str) -> Value {
        let ran = self.runtime.block_on(self.client.execute_async(script, Vec::new()));
        ran.unwrap_or_else(|error| panic!("a script on {}: {error}", self.path()))
    }

    /// Holds the page as it is now against what every page has to keep to. `name` is what its picture is called.
    #[track_caller]
    pub fn check(&self, name: &str) {
        self.picture(name);
        assert_eq!(self.violations(), Vec::<String>::new(), "axe-core on {name} ({})", self.path());
        let wider = self.run("return document.documentElement.scrollWidth - window.innerWidth", &[]);
        assert!(wider.as_i64().is_some_and(|wider| wider <= 0), "{name} is wider than the window: {wider}");
        assert_eq!(self.console(), Vec::<String>::new(), "the console of {name} ({})", self.path());
        let elsewhere: Vec<_> = self.requests().into_iter().filter(|url| !self.is_ours(url)).collect();
        assert_eq!(elsewhere, Vec::<String>::new(), "{name} asks elsewhere");
    }

    fn is_ours(&self, url: &str) -> bool {
        url.starts_with(&format!("{}/", self.base)) || url.starts_with("data:") || url.starts_with("about:")
    }

    /// What axe-core has to complain about.
    #[track_caller]
    fn violations(&self) -> Vec<String> {
        let axe = fs::read_to_string(xtask::browser::axe().expect("axe-core")).expect("axe-core");
        self.run(&axe, &[]);
        let script = "const [standards, done] = arguments;
            axe.run(document, { runOnly: standards }).then(({ violations }) => done(violations.map(
                ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`)))";
        let ran = self.runtime.block_on(self.client.execute_async(script, vec![json!(STANDARDS)]));
        let ran = ran.expect("axe-core to run");
        let ran = ran.as_array().expect("a list").iter();
        ran.map(|violation| violation.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the console showed since it was last asked for, but for what the driver itself did.
    fn console(&self) -> Vec<String> {
        let logged = self.command(Chromium("se/log", json!({ "type": "browser" })));
        let logged = logged.as_array().cloned().unwrap_or_default();
        // A page that says what is wrong has a status that says so too, which the console repeats.
        let is_error = |entry: &&Value| {
            let says = entry.get("message").and_then(Value::as_str).unwrap_or_default();
            !says.contains("Failed to load resource: the server responded with a status of 4")
                && !says.contains("status of 503")
        };
        logged
            .iter()
            .filter(is_error)
            .map(|entry| entry.get("message").map(Value::to_string).unwrap_or_default())
            .collect()
    }

    /// The URLs that were asked for since this was last asked, with how many bytes came back in all.
    fn traffic(&self) -> (Vec<String>, u64) {
        let logged = self.command(Chromium("se/log", json!({ "type": "performance" })));
        let (mut urls, mut bytes) = (Vec::new(), 0.0);
        for entry in logged.as_array().into_iter().flatten() {
            let message: Value =
                serde_json::from_str(entry.get("message").and_then(Value::as_str).unwrap_or_default())
                    .unwrap_or_default();
            let at = |pointer| message.pointer(pointer);
            match at("/message/method").and_then(Value::as_str) {
                Some("Network.requestWillBeSent") => {
                    let url = at("/message/params/request/url").and_then(Value::as_str);
                    urls.extend(url.map(str::to_owned));
                }
                Some("Network.loadingFinished") => {
                    let length = at("/message/params/encodedDataLength").and_then(Value::as_f64);
                    bytes += length.unwrap_or_default();
                }
                _ => {}
            }
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a page")]
        (urls, bytes as u64)
    }

    fn requests(&self) -> Vec<String> {
        self.traffic().0
    }

    /// How many bytes a page takes over the wire when nothing of it is there yet.
    #[track_caller]
    pub fn bytes_of(&self, path: &str) -> u64 {
        self.devtools("Network.clearBrowserCache", &json!({}));
        self.traffic();
        self.go(path);
        let mut bytes = 0;
        until("the page to be loaded", || {
            bytes += self.traffic().1;
            let ready = self.run("return document.readyState", &[]);
            (ready == "complete" && bytes > 0).then_some(())
        });
        bytes
    }

    /// Writes a picture of the page, where pictures are wanted.
    fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os(SCREENSHOTS_VARIABLE).map(PathBuf::from) else { return };
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({}));
        let (width, height) =
            (metrics.pointer("/cssContentSize/width"), metrics.pointer("/cssContentSize/height"));
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let shot =
            self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true, "clip": clip }));
        let png = data_encoding::BASE64
            .decode(shot.get("data").and_then(Value::as_str).unwrap_or_default().as_bytes());
        fs::write(folder.join(format!("{name}.png")), png.expect("a picture")).expect("to write a picture");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends with this value anyway, and its browser with it.
        let closing = self.client.clone().close();
        _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), closing).await });
    }
}

/// Words as XPath and CSS take them.
fn quoted(words: &str) -> String {
    if words.contains('"') { format!("'{words}'") } else { format!("\"{words}\"") }
}

/// A driver on a port that was free.
fn start_driver() -> (Process, u16) {
    let program = xtask::browser::driver().expect("chromedriver: `cargo xtask setup`");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    let mut command = Command::new(program);
    command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start("chromedriver", &mut command).expect("chromedriver to start");
    until("chromedriver to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    (process, port)
}
