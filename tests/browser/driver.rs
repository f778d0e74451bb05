//! Chromium and its driver.

use std::{
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

pub struct Browser {
    pub client: Client,
    scheme: &'static str,
    driver: Child,
}

impl Browser {
    /// `None`, with a line that says why, on a machine without a browser or a binary without the page; with `LOCUS_TEST_PAGE`
    /// set, both must be there.
    pub async fn start(url: &str, scheme: &'static str) -> Option<Browser> {
        let must = std::env::var_os("LOCUS_TEST_PAGE").is_some();
        if !has_page(url) {
            assert!(!must, "the binary has no page: cargo xtask web");
            eprintln!("skipped: the binary was built without the page (cargo xtask web)");
            return None;
        }
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--log-level=WARNING"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let Ok(mut driver) = command.spawn() else {
            assert!(!must, "chromedriver is missing (Debian: chromium chromium-driver)");
            eprintln!("skipped: no chromedriver (Debian: apt-get install chromium chromium-driver)");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let rest = line.split_once("started successfully on port ")?.1.to_owned();
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = format!("http://127.0.0.1:{}", port.expect("the driver says its port"));
        let dark = if scheme == "dark" { "0" } else { "1" };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--blink-settings=preferredColorScheme={dark}"),
        ];
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&address).await;
        Some(Browser { client: client.expect("a browser"), scheme, driver })
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

    pub async fn text(&self, css: &str) -> Option<String> {
        self.client.find(Locator::Css(css)).await.ok()?.text().await.ok()
    }

    /// Waits until an element's text contains this.
    pub async fn reads(&self, css: &str, wanted: &str) {
        let what = format!("{css} reads {wanted:?}");
        eventually(&what, async || self.text(css).await.filter(|text| text.contains(wanted))).await;
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
        let file = directory.join(format!("{name}-{}.png", self.scheme));
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
        assert_eq!(found, json!([]), "{place}, {}", self.scheme);
    }

    /// The page has not panicked.
    pub async fn no_errors(&self) {
        let panics = self.client.execute("return window.locusPanics ?? 0", Vec::new()).await.expect("a number");
        assert_eq!(panics, Value::from(0), "the page has panicked");
    }

    pub async fn close(self) {
        // The driver is ended below in any case.
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
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
