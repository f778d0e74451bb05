//! Chromium and its driver.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::common::eventually;

/// A place is usable within 2 s on a machine of its own; this one builds and tests besides.
const USABLE_MILLIS_MAX: f64 = 5000.0;

/// How a browser shows pages; pictures are named after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    Light,
    Dark,
    /// A telephone, 360 pixels wide.
    Small,
}

impl Look {
    fn name(self) -> &'static str {
        match self {
            Look::Light => "light",
            Look::Dark => "dark",
            Look::Small => "small",
        }
    }
}

pub struct Browser {
    pub client: Client,
    look: Look,
    /// Ends with the browser.
    _driver: Driver,
}

/// The driver's process, and whatever it has started: browsers outlive a driver that is only killed.
struct Driver {
    process: Child,
    /// What the browser writes; removed with this.
    profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, with a line that says why, on a machine without a browser or a binary without the page; with `LOCUS_TEST_PAGE`
    /// set, both must be there.
    pub async fn start(url: &str, look: Look) -> Option<Browser> {
        let must = std::env::var_os("LOCUS_TEST_PAGE").is_some();
        if !has_page(url) {
            assert!(!must, "the binary has no page: cargo xtask web");
            eprintln!("skipped: the binary was built without the page (cargo xtask web)");
            return None;
        }
        let Some((driver, address)) = Driver::start() else {
            assert!(!must, "chromedriver is missing (Debian: chromium chromium-driver)");
            eprintln!("skipped: no chromedriver (Debian: apt-get install chromium chromium-driver)");
            return None;
        };
        let dark = if look == Look::Dark { "0" } else { "1" };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", driver.profile.path().display()),
            format!("--blink-settings=preferredColorScheme={dark}"),
        ];
        let mut options = json!({ "args": arguments });
        if look == Look::Small {
            let screen = json!({ "width": 360, "height": 740, "pixelRatio": 1.0, "touch": false });
            options["mobileEmulation"] = json!({ "deviceMetrics": screen });
        }
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&address).await;
        Some(Browser { client: client.expect("a browser"), look, _driver: driver })
    }

    pub async fn find(&self, css: &str) -> Element {
        eventually(css, async || self.client.find(Locator::Css(css)).await.ok()).await
    }

    /// Clicks. The first click may come before the program listens, so it is repeated until it had its effect.
    pub async fn click_until(&self, css: &str, effect: &str) {
        eventually(effect, async || {
            if self.client.find(Locator::Css(effect)).await.is_ok() {
                return Some(());
            }
            // It may have gone in between.
            if let Ok(element) = self.client.find(Locator::Css(css)).await {
                let _ = element.click().await;
            }
            tokio::time::timeout(Duration::from_secs(2), self.find(effect)).await.ok().map(|_| ())
        })
        .await;
    }

    /// Clicks what is there and can be clicked; it may be drawn anew in between.
    pub async fn click(&self, css: &str) {
        eventually(css, async || self.client.find(Locator::Css(css)).await.ok()?.click().await.ok()).await;
    }

    /// Waits until there is no such element any more.
    pub async fn gone(&self, css: &str) {
        let what = format!("{css} is gone");
        eventually(&what, async || self.client.find_all(Locator::Css(css)).await.ok()?.is_empty().then_some(())).await;
    }

    pub async fn text(&self, css: &str) -> Option<String> {
        self.client.find(Locator::Css(css)).await.ok()?.text().await.ok()
    }

    /// Waits until an element's text contains this.
    pub async fn reads(&self, css: &str, wanted: &str) {
        self.reads_any(css, &[wanted]).await;
    }

    /// Waits until an element's text contains one of these.
    pub async fn reads_any(&self, css: &str, wanted: &[&str]) {
        let what = format!("{css} reads {wanted:?}");
        let is_wanted = |text: &String| wanted.iter().any(|wanted| text.contains(wanted));
        eventually(&what, async || self.text(css).await.filter(is_wanted)).await;
    }

    /// What a field holds.
    pub async fn value(&self, css: &str) -> String {
        let field = serde_json::to_value(self.find(css).await).expect("an element");
        let value = self.client.execute("return arguments[0].value", vec![field]).await.expect("a field");
        value.as_str().expect("a text").to_owned()
    }

    /// Replaces what a field holds.
    pub async fn fill(&self, css: &str, text: &str) {
        let script = "const [field, text] = arguments; field.value = text;
            field.dispatchEvent(new Event('input', { bubbles: true }));";
        let field = serde_json::to_value(self.find(css).await).expect("an element");
        self.client.execute(script, vec![field, text.into()]).await.expect("the field is filled");
    }

    pub async fn screenshot(&self, name: &str) {
        let directory = std::env::var_os("LOCUS_SCREENSHOTS")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"), PathBuf::from);
        std::fs::create_dir_all(&directory).expect("a directory");
        let picture = self.client.screenshot().await.expect("a picture");
        let file = directory.join(format!("{name}-{}.png", self.look.name()));
        std::fs::write(&file, picture).expect("the picture is written");
    }

    /// axe-core finds nothing serious, where `$LOCUS_AXE` says where it is (`scripts/axe.sh` does).
    pub async fn accessible(&self, place: &str) {
        let Some(axe) = std::env::var_os("LOCUS_AXE").and_then(|path| std::fs::read_to_string(path).ok()) else {
            eprintln!("not checked for accessibility: {place}: no axe-core (scripts/axe.sh)");
            return;
        };
        self.client.execute(&axe, Vec::new()).await.expect("axe-core is loaded");
        let script = "const done = arguments[arguments.length - 1];
            axe.run().then((result) => done(result.violations
                .filter((one) => ['serious', 'critical'].includes(one.impact))
                .map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(' | ')}`)));";
        let found = self.client.execute_async(script, Vec::new()).await.expect("axe-core runs");
        assert_eq!(found, json!([]), "{place}, {}", self.look.name());
    }

    /// The page has not panicked.
    pub async fn no_errors(&self) {
        let panics = self.client.execute("return window.locusPanics ?? 0", Vec::new()).await.expect("a number");
        assert_eq!(panics, Value::from(0), "the page has panicked");
    }

    /// That the element is there soon after the navigation: how soon, at most, since it is asked for again and again.
    pub async fn is_usable_soon(&self, what: &str, css: &str) {
        self.find(css).await;
        let millis = self.client.execute("return performance.now()", Vec::new()).await.expect("a time");
        let millis = millis.as_f64().expect("a number");
        eprintln!("{what}: {millis:.0} ms after the navigation");
        assert!(millis < USABLE_MILLIS_MAX, "{what}: {millis} ms after the navigation");
    }

    /// Nothing of the place is wider than the window.
    pub async fn is_narrow_enough(&self, place: &str) {
        let script = "const root = document.documentElement;
            const wide = [...document.querySelectorAll('body *')].filter((one) =>
                one.getBoundingClientRect().right > root.clientWidth + 1 && !one.closest('.scroll, dialog, .editor'));
            return [root.clientWidth, root.scrollWidth, wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))]";
        let found = self.client.execute(script, Vec::new()).await.expect("an answer");
        assert_eq!(found[0], 360, "{place}: the window's width");
        assert!(found[1].as_u64().is_some_and(|width| width <= 360), "{place} is wider than the window: {found}");
    }

    pub async fn close(self) {
        // The driver is ended below in any case.
        let _ = self.client.clone().close().await;
    }
}

impl Driver {
    /// The driver and its address; `None` where there is none.
    fn start() -> Option<(Driver, String)> {
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--log-level=WARNING"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn().ok()?;
        let mut driver = Driver { process, profile: tempfile::tempdir().expect("a directory") };
        let lines = BufReader::new(driver.process.stdout.take().expect("a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let rest = line.split_once("started successfully on port ")?.1.to_owned();
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = format!("http://127.0.0.1:{}", port.expect("the driver says its port"));
        Some((driver, address))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let started = descendants(self.process.id());
        // It may have ended already, and so may they.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in started {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// All processes that this one has started, those that they have started, and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

/// Whether the binary under test carries the page.
fn has_page(url: &str) -> bool {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(authority).expect("the web tier listens");
    write!(stream, "GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.contains("/assets/app-")
}
