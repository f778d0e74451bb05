//! What the tests share: starting processes, connecting, polling with deadlines.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::LazyLock,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// The binary under test.
pub const LOCUS: &str = env!("CARGO_BIN_EXE_locus");

/// How long anything may take that is known to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until the condition gives something.
#[allow(clippy::disallowed_methods)]
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A `locus start` process. A panic in it fails the test, whatever else the test looks at.
pub struct Server {
    child: Child,
    /// Ends with the process; the lines that tell of panics.
    listener: Option<JoinHandle<Vec<String>>>,
    pub url: String,
    pub addr: SocketAddr,
    page: SocketAddr,
    _directory: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server with data of its own and these further arguments.
    pub fn start(arguments: &[&str]) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Server::start_in(directory.path(), arguments);
        server._directory = Some(directory);
        server
    }

    /// Everybody is trusted.
    pub fn start_in(directory: &Path, arguments: &[&str]) -> Server {
        Server::spawn(directory, &[&["--insecure"], arguments].concat())
    }

    /// Nobody is trusted.
    pub fn start_secure(directory: &Path) -> Server {
        Server::spawn(directory, &[])
    }

    fn spawn(directory: &Path, arguments: &[&str]) -> Server {
        let mut command = Command::new(LOCUS);
        command
            .args(["start", "--stop-with-stdin", "--sql-addr", "127.0.0.1:0", "--web-addr", "127.0.0.1:0", "--data"])
            .arg(directory);
        // Its standard input is a pipe from this process: however the test ends, the server ends with it.
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.env_remove("LOCUS_LOG").spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let listener = Some(std::thread::spawn(move || panics(stderr)));
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut after = |start: &str| {
            let line = lines.find(|line| line.starts_with(start)).expect("the server says where it listens");
            line[start.len()..].to_owned()
        };
        let page = after("Page: http://").trim_end_matches('/').parse().expect("an address");
        let url = after("SQL: ");
        let addr = address(&url);
        Server { child, listener, url, addr, page, _directory: None }
    }

    /// Where the page is served.
    pub fn page_addr(&self) -> SocketAddr {
        self.page
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("its end");
    }

    /// Asks the server to stop and waits for its end.
    pub fn terminate(&mut self) {
        signal(self.pid(), "TERM");
        self.child.wait().expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let panics = self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default();
        assert!(std::thread::panicking() || panics.is_empty(), "the server has panicked: {panics:?}");
    }
}

/// Passes on what a server logs; the lines that tell of panics.
fn panics(stderr: ChildStderr) -> Vec<String> {
    let (mut reader, mut line, mut panics) = (BufReader::new(stderr), Vec::new(), Vec::new());
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        eprint!("{text}");
        if text.contains("panicked at") {
            panics.push(text.trim_end().to_owned());
        }
        line.clear();
    }
    panics
}

/// A server that tests share where they use tables of their own. Ends with the test program.
pub fn shared() -> &'static Server {
    static SHARED: LazyLock<Server> = LazyLock::new(|| {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shared-{}", std::process::id()));
        Server::start_in(&directory, &[])
    });
    &SHARED
}

pub fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once('@').expect("a URL");
    rest.split('/').next().expect("a host").parse().expect("an address")
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// Connects; the connection is driven in the background.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    drive(connection);
    client
}

/// Drives a connection in the background. Its errors reach the client's calls too.
#[allow(clippy::disallowed_methods)]
pub fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move { drop(connection.await) });
}

/// The rows of a query, as text.
pub async fn rows(client: &Client, query: &str) -> Vec<SimpleQueryRow> {
    let messages = client.simple_query(query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// The first column, as text.
pub async fn column(client: &Client, query: &str) -> Vec<String> {
    rows(client, query).await.iter().map(|row| row.get(0).unwrap_or("NULL").to_owned()).collect()
}

/// The first column of the only row, as text.
pub async fn one(client: &Client, query: &str) -> String {
    let mut column = column(client, query).await;
    assert_eq!(column.len(), 1, "{query}");
    column.remove(0)
}

/// The SQLSTATE of an error; panics when it came from this side.
pub fn state(error: &tokio_postgres::Error) -> String {
    error.code().unwrap_or_else(|| panic!("not an answer of the server: {error:?}")).code().to_owned()
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods)]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The secret in an otpauth URI, as an authenticator reads it.
pub fn otp_secret(uri: &str) -> Vec<u8> {
    let encoded = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next());
    base32(encoded.expect("a secret"))
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u64, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => continue,
        };
        bits = bits << 5 | u64::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Runs psql; the script comes by standard input.
pub fn psql(url: &str, arguments: &[&str], script: &str) -> Output {
    let mut command = Command::new("psql");
    command.args([url, "--no-psqlrc"]).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql is installed");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("psql reads");
    child.wait_with_output().expect("psql ends")
}

/// A bare connection that speaks bytes.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub fn connect(addr: SocketAddr) -> Raw {
        let stream = TcpStream::connect(addr).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Raw { stream }
    }

    /// Connects and starts up; reads to ReadyForQuery.
    pub fn session(addr: SocketAddr) -> Raw {
        let mut raw = Raw::connect(addr);
        raw.send(&startup(3 << 16, b"user\0locus\0database\0locus\0\0"));
        let messages = raw.until(b'Z');
        assert_eq!(messages[0], (b'R', vec![0, 0, 0, 0]), "authentication is over at once");
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next message; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return None,
            Err(error) => panic!("{error}"),
        }
        let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).expect("the rest of a message");
        Some((header[0], body))
    }

    /// Messages up to and with the first of this type.
    pub fn until(&mut self, tag: u8) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        while messages.last().is_none_or(|(last, _)| *last != tag) {
            let next = self.next();
            messages.push(next.unwrap_or_else(|| panic!("the stream ended after {messages:?}")));
        }
        messages
    }

    /// The types of the messages up to and with the first of this type.
    pub fn tags_until(&mut self, tag: u8) -> String {
        self.until(tag).iter().map(|(tag, _)| *tag as char).collect()
    }

    /// Reads an error and then the end of the stream; its SQLSTATE.
    pub fn fatal(&mut self) -> String {
        let messages = self.until(b'E');
        let (_, body) = messages.last().expect("an error");
        assert_eq!(error_field(body, b'S').as_deref(), Some("FATAL"));
        assert_eq!(self.next(), None, "nothing follows");
        error_field(body, b'C').expect("a SQLSTATE")
    }
}

pub fn startup(code: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(code.to_be_bytes());
    bytes.extend(body);
    bytes
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

/// Parse and Bind of the unnamed statement and portal, without parameters, results in text.
pub fn parse_bind(text: &str) -> Vec<u8> {
    let parse = message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat());
    [parse, message(b'B', b"\0\0\0\0\0\0\0\0")].concat()
}

pub fn execute(max_rows: i32) -> Vec<u8> {
    message(b'E', &[b"\0".as_slice(), &max_rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn error_field(body: &[u8], code: u8) -> Option<String> {
    let mut fields = body.split(|byte| *byte == 0);
    fields.find(|field| field.first() == Some(&code)).map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

/// A `locus demo` cluster in the background.
pub struct Demo {
    pub directory: PathBuf,
    pub report: Value,
    _temporary: tempfile::TempDir,
}

impl Demo {
    pub fn start(arguments: &[&str]) -> Demo {
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = temporary.path().join("demo");
        let mut demo = Demo { directory, report: Value::Null, _temporary: temporary };
        demo.up(&[&["--sql-addr", "127.0.0.1:0"], arguments].concat());
        demo
    }

    /// Starts what is missing.
    pub fn up(&mut self, arguments: &[&str]) {
        let json = self.directory.with_extension("json");
        let mut command = Command::new(LOCUS);
        command.args(["demo", "--background", "--data"]).arg(&self.directory).arg("--json").arg(&json).args(arguments);
        let output = command.stdin(Stdio::null()).output().expect("locus runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "locus demo: {text}");
        let report = std::fs::read_to_string(&json).expect("a report");
        self.report = serde_json::from_str(&report).expect("JSON");
    }

    pub fn url(&self) -> String {
        self.report["sql_urls"][0].as_str().expect("a URL").to_owned()
    }

    pub fn processes(&self) -> &Vec<Value> {
        self.report["processes"].as_array().expect("processes")
    }

    pub fn pid(&self, role: &str, id: u64) -> u32 {
        let process = self.processes().iter().find(|process| process["role"] == role && process["id"] == id);
        process.and_then(|process| process["pid"].as_u64()).expect("a pid") as u32
    }

    pub fn kill_all(&self) {
        for process in self.processes() {
            signal(process["pid"].as_u64().expect("a pid") as u32, "KILL");
        }
    }

    pub fn stop(&self) -> Output {
        Command::new(LOCUS).args(["demo", "stop", "--data"]).arg(&self.directory).output().expect("locus runs")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.directory.join("logs")).into_iter().flatten().flatten() {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- {}\n{}", entry.path().display(), lines[lines.len().saturating_sub(30)..].join("\n"));
            }
        }
        self.stop();
    }
}
