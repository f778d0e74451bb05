//! Between processes: nothing is readable, and strangers are refused.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use base::NodeId;
use storage::{
    message::{RequestBody, ResponseBody},
    router::{CallError, NodeClient},
    shell::{Credentials, PeerTls, Pem, TcpClient, Transport},
};
use tokio::runtime::Handle;
use tokio_postgres::tls::TlsConnect;

use crate::{
    common::{LOCUS, eventually, one},
    sign_in,
    tls::Tls,
    web,
};

const CLUSTER: &str = "between";
const MARKER: &str = "a-word-that-is-in-no-other-message";

/// A process that ends with this one. Its address is on the first line that begins so.
pub struct Process(Child, pub SocketAddr);

impl Process {
    pub fn start(arguments: &[&str], says: &str) -> Process {
        let mut command = Command::new(LOCUS);
        command.args(arguments).arg("--stop-with-stdin").env_remove("LOCUS_LOG");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("locus runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let line = lines.into_iter().find(|line| line.starts_with(says)).expect("it says where it listens");
        let address = line.split(['@', ' ', '/']).find_map(|word| word.parse().ok()).expect("an address");
        Process(child, address)
    }

    pub fn node(id: u64, data: &Path, security: &[&str]) -> Process {
        let (id, data) = (id.to_string(), data.display().to_string());
        let arguments = ["node", "--id", &id, "--listen", "127.0.0.1:0", "--data", &data, "--cluster", CLUSTER];
        Process::start(&[&arguments, security].concat(), "node ")
    }

    pub fn gateway(nodes: &str, security: &[&str]) -> Process {
        let arguments = ["gateway", "--sql-addr", "127.0.0.1:0", "--nodes", nodes, "--cluster", CLUSTER];
        Process::start(&[&arguments, security].concat(), "SQL: ")
    }

    pub fn url(&self) -> String {
        format!("postgresql://locus@{}/locus", self.1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Passes connections on and keeps a copy of all bytes, in both directions.
fn tap(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (address, heard) = (listener.local_addr().expect("an address"), Arc::<Mutex<Vec<u8>>>::default());
    let copy = heard.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(target) else { continue };
            for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())]
                .into_iter()
                .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
            {
                let copy = copy.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes) {
                        copy.lock().expect("no panic").extend_from_slice(&bytes[..count]);
                        if to.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (address, heard)
}

/// Writes and reads the marker through a gateway, and looks for it in what went from it to the node.
async fn is_readable(security: &[&str], secrets: Option<&Path>) -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Process::node(1, &directory.path().join("node"), security);
    let (address, heard) = tap(node.1);
    let gateway = Process::gateway(&format!("1={address}"), security);
    let password = secrets.map_or(String::new(), sign_in::owner_pass);
    let client = sign_in::connect(&gateway.url(), "locus", &password, "").await.expect("a session");
    client.batch_execute(&format!("CREATE TABLE t (a text); INSERT INTO t VALUES ('{MARKER}')")).await.expect("a row");
    assert_eq!(one(&client, "SELECT a FROM t").await, MARKER);
    let heard = heard.lock().expect("no panic");
    assert!(heard.len() > 1000, "everything went through the tap");
    heard.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
}

#[tokio::test]
async fn what_processes_say_to_each_other_is_not_readable() {
    let secrets = tempfile::tempdir().expect("a directory");
    let shown = secrets.path().display().to_string();
    assert!(!is_readable(&["--secrets", &shown], Some(secrets.path())).await);
    // The tap would have found it.
    assert!(is_readable(&["--insecure"], None).await);
}

/// A session of the page goes from the browser to the web tier, and from there to the gateway.
#[tokio::test]
async fn nor_is_what_the_page_says() {
    let (secrets, data) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let security = ["--secrets", text(secrets.path())];
    let node = Process::node(1, &data.path().join("node"), &security);
    let gateway = Process::gateway(&format!("1={}", node.1), &security);
    let (to_gateway, relayed) = tap(gateway.1);
    let files = ["ca.crt", "gateway.crt", "gateway.key"].map(|name| secrets.path().join(name));
    let [authority, certificate, key] = files.each_ref().map(|file| text(file));
    let to_gateway = to_gateway.to_string();
    let arguments = ["web", "--listen", "127.0.0.1:0", "--gateway", &to_gateway, "--web-gateway-ca", authority];
    let own = ["--web-tls-cert", certificate, "--web-tls-key", key];
    let page = Process::start(&[&arguments[..], &own].concat(), "Page: https://");
    let (to_page, said) = tap(page.1);

    let tls = Tls::trusting(&files[0]).named("127.0.0.1").expect("a name");
    let stream = tokio::net::TcpStream::connect(to_page).await.expect("the web tier listens");
    let stream = tls.connect(stream).await.expect("https");
    let client = web::sign_in_over(stream, to_page, "https", "locus", &sign_in::owner_pass(secrets.path())).await;
    client.batch_execute(&format!("CREATE TABLE t (a text); INSERT INTO t VALUES ('{MARKER}')")).await.expect("a row");
    assert_eq!(one(&client, "SELECT a FROM t").await, MARKER);
    for heard in [relayed, said] {
        let heard = heard.lock().expect("no panic");
        assert!(heard.len() > 1000, "everything went through the tap");
        assert!(!heard.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()));
    }

    let mut plain = TcpStream::connect(page.1).expect("the web tier listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    // An alert of TLS, or nothing at all.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "no page in clear");
}

/// The transport of a holder, whose certificate is made by this directory's authority.
pub fn transport(secrets: &Path, holder: &str) -> Transport {
    let out = tempfile::tempdir().expect("a directory");
    locus(&["cert", "issue", holder, "--secrets", text(secrets), "--out", text(out.path())]).expect("a certificate");
    Transport::Tls(PeerTls::new(credentials(out.path(), holder).expect("certificates")))
}

/// What a directory has for this holder.
pub fn credentials(directory: &Path, holder: &str) -> io::Result<Credentials> {
    let file = if holder == "gateway" { "gateway-peer" } else { holder };
    let read = |name: &str| std::fs::read(directory.join(name));
    let (authorities, chain) = (read("ca.crt")?, read(&format!("{file}.crt"))?);
    Credentials::from_pem(&Pem {
        authorities: &authorities,
        chain: &chain,
        key: &read(&format!("{file}.key"))?,
        revoked: "",
    })
}

/// Runs a command to its end: what it printed, or what it complained about.
pub fn locus(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(LOCUS).args(arguments).env_remove("LOCUS_LOG").output().expect("locus runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

pub fn client(address: SocketAddr, id: u64, transport: &Transport) -> TcpClient {
    client_of(CLUSTER, address, id, transport)
}

pub fn client_of(cluster: &str, address: SocketAddr, id: u64, transport: &Transport) -> TcpClient {
    TcpClient::new(cluster, &BTreeMap::from([(NodeId(id), address.to_string())]), transport, &Handle::current())
}

pub async fn ask(client: &TcpClient, id: u64) -> Result<ResponseBody, CallError> {
    client.call(NodeId(id), RequestBody::LocalRanges, Duration::from_secs(1)).await
}

/// Whether a gateway that speaks so gets an answer from the node that it takes for number `id`.
pub async fn is_answered(address: SocketAddr, id: u64, transport: &Transport) -> bool {
    answers(&client(address, id, transport), id).await
}

/// Whether this client gets an answer before long.
pub async fn answers(client: &TcpClient, id: u64) -> bool {
    let attempt = async || ask(client, id).await;
    let answered = eventually("an answer", async || match attempt().await {
        Err(CallError::Unsent(_)) => None,
        answer => Some(answer.is_ok()),
    });
    // It connects within milliseconds, or never.
    tokio::time::timeout(Duration::from_secs(3), answered).await.unwrap_or(false)
}

#[tokio::test]
async fn strangers_are_refused() {
    let (ours, theirs) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let data = tempfile::tempdir().expect("a directory");
    let shown = ours.path().display().to_string();
    let node = Process::node(1, &data.path().join("node"), &["--secrets", &shown]);
    let gateway = transport(ours.path(), "gateway");
    assert!(is_answered(node.1, 1, &gateway).await);
    assert!(!is_answered(node.1, 2, &gateway).await, "another node than the one that is meant");
    assert!(!is_answered(node.1, 1, &transport(ours.path(), "node-2")).await, "a node that says it is a gateway");
    assert!(!is_answered(node.1, 1, &transport(theirs.path(), "gateway")).await, "of another cluster's authority");
    assert!(!is_answered(node.1, 1, &Transport::Plain).await, "without a certificate");
    assert!(is_answered(node.1, 1, &gateway).await, "the node goes on");
}
