//! Certificates of processes: joining by token, renewal and rotation while everything runs, revocation.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use storage::shell::{PeerTls, Transport};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    between::{Process, answers, ask, client, client_of, credentials, is_answered, locus, text, transport},
    common::{Demo, eventually, one},
    sign_in,
};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The authority's server on a directory.
fn authority(home: &Path) -> Process {
    Process::start(&["cert", "serve", "--secrets", text(home), "--listen", "127.0.0.1:0"], "authority ")
}

fn token(home: &Path, holder: &str, minutes: &str) -> String {
    locus(&["cert", "token", holder, "--secrets", text(home), "--minutes", minutes]).expect("a token")
}

/// Why a node that would join does not start.
fn refusal(data: &Path, security: &[&str]) -> String {
    let arguments = ["node", "--id", "1", "--listen", "127.0.0.1:0", "--data", text(data)];
    locus(&[&arguments, security].concat()).expect_err("it does not join")
}

#[tokio::test]
async fn a_node_joins_once_by_its_token() {
    let (home, away, data) = (directory(), directory(), directory());
    let token_1 = token(home.path(), "node-1", "60");
    let authority = authority(home.path());
    let address = authority.1.to_string();
    let joining = ["--secrets", text(away.path()), "--authority", &address, "--join", &token_1];
    let node = Process::node(1, data.path(), &joining);
    assert!(is_answered(node.1, 1, &transport(home.path(), "gateway")).await);
    assert!(
        away.path().join("node-1.key").exists() && !home.path().join("node-1.key").exists(),
        "the key stays where it is"
    );
    assert!(!away.path().join("ca.key").exists() && !away.path().join("cluster.key").exists());
    drop(node);
    // With its certificate it starts again; the token does not matter any more.
    drop(Process::node(1, data.path(), &joining));

    let other = directory();
    let with = |token: &str| {
        refusal(data.path(), &["--secrets", text(other.path()), "--authority", &address, "--join", token])
    };
    assert!(with(&token_1).contains("used"), "{}", with(&token_1));
    assert!(with(&token(home.path(), "node-1", "0")).contains("expired"));
    assert!(with(&token(home.path(), "node-2", "60")).contains("another's"));
    let elsewhere = directory();
    assert!(with(&token(elsewhere.path(), "node-1", "60")).contains("not the authority that the token names"));
    assert!(with("K1.rubbish").contains("not a token"));
    assert!(!other.path().join("node-1.crt").exists());
    let listed = locus(&["cert", "ls", "--secrets", text(home.path())]).expect("a list");
    assert!(
        listed.lines().any(|line| line.starts_with("node-1 ") && line.contains("elsewhere") && line.contains("valid")),
        "{listed}"
    );
}

#[tokio::test]
async fn a_gateway_joins_by_its_token_and_opens_what_others_have_sealed() {
    let (home, away, data) = (directory(), directory(), directory());
    let node = Process::node(1, data.path(), &["--secrets", text(home.path())]);
    let nodes = format!("1={}", node.1);
    // It makes the cluster's key, and signs the owner in.
    let first = Process::gateway(&nodes, &["--secrets", text(home.path())]);
    let pass = sign_in::owner_pass(home.path());
    let owner = sign_in::connect(&first.url(), "locus", &pass, "").await.expect("a session");
    owner.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.expect("a row");
    let (authority, token) = (authority(home.path()), token(home.path(), "gateway", "60"));
    let address = authority.1.to_string();
    let second = Process::gateway(&nodes, &["--secrets", text(away.path()), "--authority", &address, "--join", &token]);
    // The pass is made from the key at home: the gateway away has the same.
    let owner =
        sign_in::connect(&second.url(), "locus", &sign_in::owner_pass(home.path()), "").await.expect("a session");
    assert_eq!(one(&owner, "SELECT a FROM t").await, "1");
    assert!(away.path().join("gateway.crt").exists() && !away.path().join("ca.key").exists());
}

#[tokio::test]
async fn who_is_revoked_is_refused_and_cut_off() {
    let (home, data) = (directory(), directory());
    let node = Process::node(1, data.path(), &["--secrets", text(home.path())]);
    let (stays, goes) = (transport(home.path(), "gateway"), transport(home.path(), "gateway"));
    let open = client(node.1, 1, &goes);
    eventually("an answer", async || ask(&open, 1).await.ok()).await;
    locus(&["cert", "revoke", "gateway", "--secrets", text(home.path())]).expect("revoked");
    eventually("the open connection ends", async || ask(&open, 1).await.err()).await;
    assert!(!is_answered(node.1, 1, &goes).await);
    assert!(!is_answered(node.1, 1, &stays).await, "all of that name");
    assert!(is_answered(node.1, 1, &transport(home.path(), "gateway")).await, "a new one is let in");
}

/// Clients that go on with their work and sign in anew, while node 1 is dialled again and again.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
    node: Node,
}

/// Node 1 of a demo, for whoever dials it with the certificates of gateways.
struct Node {
    secrets: PathBuf,
    address: SocketAddr,
    cluster: String,
}

impl Node {
    fn of(demo: &Demo) -> Node {
        let node = demo.processes().iter().find(|process| process["role"] == "node" && process["id"] == 1);
        let address = node.and_then(|node| node["addr"].as_str()).and_then(|address| address.parse().ok());
        let plan: serde_json::Value = std::fs::read_to_string(demo.directory.join("demo.json"))
            .ok()
            .and_then(|plan| serde_json::from_str(&plan).ok())
            .expect("a plan");
        let cluster = plan["cluster"].as_str().expect("a name").to_owned();
        Node { secrets: demo.directory.join("secrets"), address: address.expect("an address"), cluster }
    }

    async fn answers(&self, transport: &Transport) -> bool {
        answers(&client_of(&self.cluster, self.address, 1, transport), 1).await
    }
}

impl Load {
    #[allow(clippy::disallowed_methods)]
    fn start(demo: &Demo) -> Load {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = Vec::new();
        for worker in 0..4 {
            let (url, stop, done) = (demo.url(), stop.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                let mut session = crate::common::connect(&url).await;
                while !stop.load(SeqCst) {
                    let update = format!("UPDATE busy SET n = n + 1 WHERE id = {worker}");
                    session.batch_execute(&update).await.expect("no statement fails");
                    // Half of them come and go.
                    if worker % 2 == 0 {
                        session = crate::common::connect(&url).await;
                    }
                    done.fetch_add(1, SeqCst);
                }
            }));
        }
        Load { stop, done, tasks, node: Node::of(demo) }
    }

    /// Until so much more has been done: whatever is wrong by now shows.
    async fn goes_on(&self) {
        let goal = self.done.load(SeqCst) + 200;
        eventually("work goes on", async || {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a client failed");
            // A key and its certificate do not change in one moment.
            if let Ok(fresh) = credentials(&self.node.secrets, "gateway") {
                assert!(self.node.answers(&Transport::Tls(PeerTls::new(fresh))).await, "no dialling fails");
            }
            (self.done.load(SeqCst) > goal).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await.expect("no failure");
        }
    }
}

#[tokio::test]
async fn everything_is_rotated_without_a_failed_request() {
    let demo = Demo::start(&["--nodes", "3"]);
    let secrets = demo.directory.join("secrets");
    let session = crate::common::connect(&demo.url()).await;
    session.batch_execute("CREATE TABLE busy (id int PRIMARY KEY, n int)").await.expect("a table");
    session.batch_execute("INSERT INTO busy SELECT i, 0 FROM generate_series(0, 3) i").await.expect("rows");
    let load = Load::start(&demo);
    load.goes_on().await;
    // A process whose files are brought by other means.
    let elsewhere = directory();
    let issue = ["cert", "issue", "gateway", "--secrets", text(&secrets), "--out", text(elsewhere.path())];
    locus(&issue).expect("a certificate");
    let late = || Transport::Tls(PeerTls::new(credentials(elsewhere.path(), "gateway").expect("certificates")));
    let rotate = |further: &[&str]| locus(&[&["cert", "rotate", "--secrets", text(&secrets)], further].concat());

    let said = rotate(&[]).expect("rotated");
    assert!(
        ["node-1", "node-2", "node-3", "gateway", "gateway (for clients)"].iter().all(|holder| said.contains(holder)),
        "{said}"
    );
    load.goes_on().await;
    assert!(load.node.answers(&late()).await, "the old one is not revoked");

    rotate(&["--retire"]).expect_err("nothing to retire");
    let (path, words) = (secrets.clone(), ["cert", "rotate", "--authority", "--grace-seconds", "5", "--secrets"]);
    // In its own time, while clients go on.
    let replaced = tokio::task::spawn_blocking(move || locus(&[&words[..], &[text(&path)]].concat()));
    replaced.await.expect("it ends").expect("a new authority");
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.goes_on().await;
    assert!(!load.node.answers(&late()).await, "it does not know the new authority");
    std::fs::copy(secrets.join("ca.crt"), elsewhere.path().join("ca.crt")).expect("it is told");
    assert!(load.node.answers(&late()).await, "the old authority is trusted still");

    let refused = rotate(&["--retire"]).expect_err("one is late");
    assert!(refused.contains("gateway"), "{refused}");
    rotate(&["--retire", "--force"]).expect("retired");
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.goes_on().await;
    assert!(!load.node.answers(&late()).await, "the old authority is not trusted any more");
    load.end().await;
    assert_eq!(demo.stop().status.code(), Some(0));
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_renewed_without_a_restart() {
    let (home, away, data) = (directory(), directory(), directory());
    let token = token(home.path(), "node-1", "60");
    let authority = authority(home.path());
    let (address, listed) =
        (authority.1.to_string(), |place: &Path| locus(&["cert", "ls", "--secrets", text(place)]).expect("a list"));
    let state = |list: &str| list.lines().find(|line| line.starts_with("node-1 ")).map(|line| line.contains(" valid "));

    // Where the authority's key is.
    let here = Process::node(1, &data.path().join("here"), &["--secrets", text(home.path())]);
    locus(&["cert", "issue", "node-1", "--days", "10", "--secrets", text(home.path()), "--out", text(home.path())])
        .expect("a certificate");
    eventually("renewal", async || (state(&listed(home.path())) == Some(true)).then_some(())).await;
    assert!(is_answered(here.1, 1, &transport(home.path(), "gateway")).await);

    // And elsewhere, by the authority.
    let joining = ["--secrets", text(away.path()), "--authority", &address, "--join", &token];
    let there = Process::node(1, &data.path().join("there"), &joining);
    let first = std::fs::read(away.path().join("node-1.crt")).expect("a certificate");
    locus(&["cert", "rotate", "--secrets", text(home.path())]).expect("rotated");
    eventually("renewal", async || {
        (std::fs::read(away.path().join("node-1.crt")).expect("a certificate") != first).then_some(())
    })
    .await;
    assert!(is_answered(there.1, 1, &transport(home.path(), "gateway")).await);
}
