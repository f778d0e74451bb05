//! Signing in while the network is cut: real processes in network namespaces, where packets are thrown away. That takes root;
//! `sign_in` has a test with a node that stands still, which everybody can run.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use auth::otp;
use futures::future::join_all;
use jepsen::real::{
    Cluster, ClusterOptions, Needs, namespaces,
    partition::{between, isolate},
    places::Member,
    wire::Target,
};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::{
    common::{LOCUS, PATIENCE, drive, eventually, one, rows, unix_seconds},
    sign_in::{PASSWORD, enrol, one_text, owner_pass, run},
    tls::{self, Tls},
};

/// At both gateways together.
const ATTEMPTS: usize = 50;

type Outcome = Result<Client, tokio_postgres::Error>;

/// A gateway as clients beside it see it.
struct Door {
    target: Target,
    tls: Tls,
}

impl Door {
    async fn enter(&self, user: &str, password: &str, options: &str) -> Outcome {
        let stream = self.target.connect().await.expect("the gateway listens");
        let config = tls::config("postgresql:///locus", user, password, options);
        let (client, connection) = config.connect_raw(stream, self.tls.clone()).await?;
        drive(connection);
        Ok(client)
    }
}

struct Siege {
    cluster: std::sync::Arc<Cluster>,
    doors: Vec<Door>,
    secrets: PathBuf,
    _directory: tempfile::TempDir,
}

impl Siege {
    async fn start() -> Siege {
        let directory = tempfile::tempdir().expect("a directory");
        let secrets = directory.path().join("secrets");
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("partition");
        // Of an earlier run, if there was one; these stay for whoever has to look into them.
        let _ = std::fs::remove_dir_all(&logs);
        let options = ClusterOptions {
            program: LOCUS.into(),
            nodes: 3,
            gateways: 2,
            needs: Needs { network: true, ..Needs::default() },
            secrets: Some(secrets.clone()),
            logs,
            planted_fault: None,
            seed: 1,
        };
        let cluster = Cluster::start(&options).await.expect("a cluster");
        let tls = Tls::trusting(&secrets.join("ca.crt"));
        let doors = cluster.targets().into_iter().map(|target| Door { target, tls: tls.clone() }).collect();
        Siege { cluster, doors, secrets, _directory: directory }
    }

    async fn owner(&self, door: usize) -> Outcome {
        self.doors[door].enter("locus", &owner_pass(&self.secrets), "").await
    }

    /// The leader of the range that holds what is stored of roles, and its term.
    async fn keeper(&self, owner: &Client) -> (Member, u64) {
        // The system range is the first; the catalog's keys come before those of all tables.
        let catalog =
            "SELECT leader, term FROM locus.ranges WHERE range_id > 1 AND leader IS NOT NULL ORDER BY start_key";
        let row = eventually("a leader", async || rows(owner, catalog).await.into_iter().next()).await;
        let number = |at: usize| row.get(at).and_then(|text| text.parse::<u64>().ok()).expect("a number");
        (Member::Node(number(0) as u8), number(1))
    }

    /// Half of the attempts at each gateway, all with one code, and the network cut as soon as they are on their way; healed
    /// when the second gateway, which is on the majority's side, can let people in again.
    async fn contest(&self, user: &str, options: &str, cut: Cut, keeper: Member) -> Vec<Outcome> {
        let (cluster, filter) = (&self.cluster, self.cluster.new_owner());
        let rules = match cut {
            Cut::WithItsGateway => {
                let (nodes, gateways) = (cluster.nodes(), cluster.gateways());
                let others: Vec<Member> = nodes.iter().copied().filter(|node| *node != keeper).collect();
                between(&[keeper, gateways[0]], &[&others[..], &gateways[1..]].concat())
            }
            Cut::Alone => isolate(keeper, cluster.nodes(), cluster.gateways(), true).0,
        };
        let attempts = join_all((0..ATTEMPTS).map(|number| self.doors[number % 2].enter(user, PASSWORD, options)));
        let weather = async {
            cluster.set_rules(filter, rules).await.expect("packet filters");
            eventually("the majority goes on without its old leader", async || {
                timeout(Duration::from_secs(3), self.owner(1)).await.ok()?.ok()
            })
            .await;
            cluster.set_rules(filter, Vec::new()).await.expect("no packet filters");
        };
        let (outcomes, ()) = tokio::join!(attempts, weather);
        outcomes
    }
}

/// Who is left alone with the leader of the range that holds the used codes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    WithItsGateway,
    Alone,
}

/// What came of the attempts, by SQLSTATE or what else there was.
fn tally(user: &str, outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        let kind = match outcome {
            Ok(_) => "let in".to_owned(),
            Err(error) => match error.as_db_error() {
                Some(answer) if answer.code().code() == "28P01" => {
                    assert_eq!(("28P01".to_owned(), answer.message().to_owned()), one_text(user));
                    "28P01".to_owned()
                }
                Some(answer) => format!("{} {}", answer.code().code(), answer.message()),
                None => error.to_string(),
            },
        };
        *tally.entry(kind).or_default() += 1;
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_partition_one_code_lets_in_one_at_most() {
    if let Some(obstacle) = namespaces::obstacle().await {
        println!("skipped: no network namespaces ({obstacle})");
        return;
    }
    let siege = Siege::start().await;
    let owner = siege.owner(0).await.expect("the owner gets in");
    let cuts = [("clerk", Cut::WithItsGateway), ("baker", Cut::Alone)];
    let mut secrets = Vec::new();
    for (user, _) in cuts {
        run(&owner, &format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")).await;
        secrets.push(enrol(&owner, user).await.0);
    }
    let options = |secret: &[u8], step: u64| format!("-c locus.otp={}", otp::code(secret, step).expect("a code"));
    let mut used_steps = Vec::new();
    for ((user, cut), secret) in cuts.into_iter().zip(&secrets) {
        let (keeper, term) = siege.keeper(&owner).await;
        let step = unix_seconds() / 30;
        let outcomes = siege.contest(user, &options(secret, step), cut, keeper).await;
        used_steps.push(step);
        let tally = tally(user, &outcomes);
        println!("{cut:?}: {tally:?}");
        let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(admitted <= 1, "{admitted} got in by one code");
        assert!(tally.contains_key("28P01"), "nobody came so far that the code was looked at: {tally:?}");
        siege.cluster.wait_until_ready(PATIENCE).await.expect("all is well again");
        let owner = siege.owner(1).await.expect("the owner gets in");
        assert!(siege.keeper(&owner).await.1 > term, "the cut has cost nobody the leadership");
        // A commit whose outcome stayed unknown counts as a failure: the code is used all the same.
        let logged =
            format!("SELECT count(*) FROM locus.audit WHERE event = 'sign-in' AND role = '{user}' AND succeeded");
        let logged: usize = one(&owner, &logged).await.parse().expect("a number");
        assert!((admitted..=1).contains(&logged), "{logged} are on record, {admitted} were let in");
    }
    for ((user, _), (secret, step)) in cuts.into_iter().zip(secrets.iter().zip(used_steps)) {
        eventually("the next code", async || (unix_seconds() / 30 > step).then_some(())).await;
        let fresh = options(secret, step + 1);
        // So many used codes have made the role wait; it does not use up the fresh one.
        let admitted =
            eventually("a fresh code", async || siege.doors[0].enter(user, PASSWORD, &fresh).await.ok()).await;
        assert_eq!(one(&admitted, "SELECT session_user").await, user);
        let again = siege.doors[1].enter(user, PASSWORD, &fresh).await;
        assert_eq!(tally(user, &[again]).into_iter().collect::<Vec<_>>(), [("28P01".to_owned(), 1)]);
    }
    assert_eq!(one(&owner, "SELECT is_whole FROM locus.verify_audit()").await, "t");
    assert_eq!(siege.cluster.problems().await, Vec::<String>::new());
}
