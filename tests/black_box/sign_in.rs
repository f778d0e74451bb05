//! Signing in where nobody is trusted: passwords, codes, keys, tickets, and what is refused.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use auth::{otp, owner, seal::ClusterKey};
use tokio_postgres::{Client, Config, NoTls};

use crate::common::{
    Demo, LOCUS, Server, column, drive, eventually, one, otp_secret, psql, rows, signal, state, unix_seconds,
};

pub const PASSWORD: &str = "violet kettle 77 sparrows";

pub fn owner_pass(secrets: &Path) -> String {
    let key = std::fs::read(secrets.join("cluster.key")).expect("the cluster's key");
    owner::pass(&ClusterKey::new(key.try_into().expect("32 bytes")), "locus", unix_seconds())
}

pub async fn connect(url: &str, user: &str, password: &str, options: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config: Config = url.parse().expect("a URL");
    config.user(user).password(password).options(options);
    let (client, connection) = config.connect(NoTls).await?;
    drive(connection);
    Ok(client)
}

/// SQLSTATE and message of a refusal.
async fn refused(url: &str, user: &str, password: &str, options: &str) -> (String, String) {
    match connect(url, user, password, options).await {
        Ok(_) => panic!("{user} got in"),
        Err(error) => (state(&error), error.as_db_error().expect("an answer").message().to_owned()),
    }
}

/// What every refusal says.
pub fn one_text(user: &str) -> (String, String) {
    ("28P01".to_owned(), format!("password authentication failed for user \"{user}\""))
}

pub struct Secure {
    pub server: Server,
    directory: tempfile::TempDir,
}

impl Secure {
    pub fn start() -> Secure {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start_secure(directory.path());
        Secure { server, directory }
    }

    pub fn secrets(&self) -> PathBuf {
        self.directory.path().join("secrets")
    }

    pub async fn owner(&self) -> Client {
        let pass = owner_pass(&self.secrets());
        connect(&self.server.url, "locus", &pass, "").await.expect("the owner gets in")
    }
}

pub async fn run(client: &Client, text: &str) {
    client.batch_execute(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
}

async fn denied(client: &Client, text: &str) -> String {
    let error = client.batch_execute(text).await.expect_err(text);
    assert_eq!(state(&error), "42501", "{text}: {error:?}");
    error.as_db_error().expect("an answer").message().to_owned()
}

#[tokio::test]
async fn a_password_lets_in_and_every_failure_reads_the_same() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    run(&owner, &format!("CREATE ROLE group_only PASSWORD '{PASSWORD}'")).await;
    run(&owner, "CREATE ROLE bare LOGIN").await;
    let clerk = connect(url, "clerk", PASSWORD, "").await.expect("the right password");
    assert_eq!(one(&clerk, "SELECT session_user || '/' || current_user").await, "clerk/clerk");
    for (user, password) in
        [("clerk", "wrong"), ("clerk", ""), ("nobody", PASSWORD), ("group_only", PASSWORD), ("bare", PASSWORD)]
    {
        assert_eq!(refused(url, user, password, "").await, one_text(user), "{user} {password}");
    }
    // A password never shows up where statements do.
    let shown = one(&owner, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%kett' || 'le%'").await;
    assert_eq!(shown, "0");
    let audited = "SELECT count(*) FROM locus.audit WHERE event = 'sign-in' AND role = 'clerk' AND succeeded";
    assert_eq!(one(&owner, audited).await, "1");
    assert_eq!(one(&owner, "SELECT is_whole FROM locus.verify_audit()").await, "t");
}

#[tokio::test]
async fn weak_passwords_are_refused() {
    let secure = Secure::start();
    let owner = secure.owner().await;
    for (password, message) in [("short", "password is too short"), ("passwordpassword", "password is too common")] {
        let error = owner.batch_execute(&format!("CREATE ROLE weak LOGIN PASSWORD '{password}'")).await.unwrap_err();
        assert_eq!((state(&error).as_str(), error.as_db_error().unwrap().message()), ("22023", message));
    }
}

#[tokio::test]
async fn scram_for_clients_that_insist() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, "SET password_encryption = 'scram-sha-256'").await;
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    assert_eq!(one(&owner, "SELECT password FROM locus.role_factors WHERE role = 'clerk'").await, "scram-sha-256");
    let clerk = connect(url, "clerk", PASSWORD, "").await.expect("the right password");
    assert_eq!(one(&clerk, "SELECT 1").await, "1");
    assert_eq!(refused(url, "clerk", "wrong", "").await, one_text("clerk"));
    // Bound to the certificate, by libpq.
    let conninfo =
        format!("{url}?user=clerk&password=violet%20kettle%2077%20sparrows&sslmode=require&channel_binding=require");
    let output = psql(&conninfo, &["-qAt", "-c", "SELECT 1"], "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1", "{}", String::from_utf8_lossy(&output.stderr));
}

/// Enrols a one-time password; its secret and the recovery codes. The code of the step before this one is used.
pub async fn enrol(client: &Client, role: &str) -> (Vec<u8>, Vec<String>) {
    let uri = one(client, &format!("ALTER ROLE {role} ENABLE OTP")).await;
    let secret = otp_secret(&uri);
    let code = otp::code(&secret, unix_seconds() / 30 - 1).expect("a code");
    let codes = column(client, &format!("ALTER ROLE {role} CONFIRM OTP '{code}'")).await;
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

#[tokio::test]
async fn one_time_codes_by_both_carriers_and_recovery_codes_once() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let (secret, recovery) = enrol(&owner, "clerk").await;
    let code = otp::code(&secret, unix_seconds() / 30).expect("a code");
    assert_eq!(refused(url, "clerk", PASSWORD, "").await, one_text("clerk"), "without a code");
    assert_eq!(refused(url, "clerk", PASSWORD, "-c locus.otp=000000").await, one_text("clerk"));
    let carried = format!("-c locus.otp={code}");
    let clerk = connect(url, "clerk", PASSWORD, &carried).await.expect("by the start-up packet");
    let error = clerk.batch_execute("SHOW locus.otp").await.expect_err("it is no setting");
    assert_eq!(state(&error), "42704");
    assert_eq!(refused(url, "clerk", PASSWORD, &carried).await, one_text("clerk"), "the same code again");
    assert_eq!(refused(url, "clerk", &format!("{PASSWORD}{code}"), "").await, one_text("clerk"), "or appended");
    // Appended: recovery codes do not depend on the time.
    connect(url, "clerk", &format!("{PASSWORD}{}", recovery[0]), "").await.expect("a recovery code");
    assert_eq!(refused(url, "clerk", &format!("{PASSWORD}{}", recovery[0]), "").await, one_text("clerk"));
    assert_eq!(one(&owner, "SELECT recovery_codes FROM locus.role_factors WHERE role = 'clerk'").await, "9");
    run(&owner, "ALTER ROLE clerk DISABLE OTP").await;
    connect(url, "clerk", PASSWORD, "").await.expect("the password alone");
}

/// The URLs of a cluster, its owner, and the secret of a clerk who signs in with codes.
async fn clerk_of(demo: &Demo) -> (Vec<String>, Client, Vec<u8>) {
    let urls = demo.report["sql_urls"].as_array().expect("URLs").iter();
    let urls: Vec<String> = urls.map(|url| url.as_str().unwrap().to_owned()).collect();
    let pass = owner_pass(&demo.directory.join("secrets"));
    let owner = connect(&urls[0], "locus", &pass, "").await.expect("the owner gets in");
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let (secret, _) = enrol(&owner, "clerk").await;
    (urls, owner, secret)
}

#[tokio::test]
async fn fifty_sign_ins_with_one_code_over_two_gateways_let_one_in() {
    let demo = Demo::start(&["--nodes", "1", "--gateways", "2", "--empty"]);
    let (urls, _, secret) = clerk_of(&demo).await;
    let options = format!("-c locus.otp={}", otp::code(&secret, unix_seconds() / 30).expect("a code"));
    let attempts = (0..50).map(|number| connect(&urls[number % 2], "clerk", PASSWORD, &options));
    let outcomes = futures::future::join_all(attempts).await;
    let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(admitted, 1);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        // Some may not have had their turn at hashing.
        assert!(["28P01", "53300"].contains(&state(error).as_str()), "{error:?}");
    }
}

#[allow(clippy::disallowed_methods)]
#[tokio::test]
async fn while_a_node_is_cut_off_one_code_still_lets_in_one_at_most() {
    let demo = Demo::start(&["--nodes", "3", "--gateways", "2", "--empty"]);
    let (urls, owner, secret) = clerk_of(&demo).await;
    let leader = "SELECT leader FROM locus.ranges WHERE leader IS NOT NULL ORDER BY range_id DESC LIMIT 1";
    let leader: u64 = one(&owner, leader).await.parse().expect("a node");
    let options = format!("-c locus.otp={}", otp::code(&secret, unix_seconds() / 30).expect("a code"));
    let attempts = (0..50).map(|number| {
        let (url, options) = (urls[number % 2].clone(), options.clone());
        tokio::spawn(async move { connect(&url, "clerk", PASSWORD, &options).await })
    });
    let attempts: Vec<_> = attempts.collect();
    // In the middle of it: it neither answers nor hangs up.
    signal(demo.pid("node", leader), "STOP");
    let outcomes = futures::future::join_all(attempts).await;
    signal(demo.pid("node", leader), "CONT");
    let admitted = outcomes.iter().filter(|outcome| outcome.as_ref().expect("no panic").is_ok()).count();
    assert!(admitted <= 1, "{admitted} got in");
    if admitted == 1 {
        assert!(connect(&urls[1], "clerk", PASSWORD, &options).await.is_err(), "and nobody after it");
    }
}

#[tokio::test]
async fn rules_decide_and_nobody_locks_himself_out() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE staff; GRANT staff TO clerk"))
        .await;
    let refusals = [
        ("", "Rules for nobody"),
        ("host all +staff all auto", "the owner is no member"),
        ("host all all 10.0.0.0/8 auto", "another network"),
        ("hostssl all all all auto", "not encrypted"),
        ("host all all all reject", "nobody at all"),
        ("host all all all key", "the owner has no key"),
        ("host all all all scram-sha-256", "the owner has no such password"),
    ];
    for (rules, why) in refusals {
        let error = owner.batch_execute(&format!("ALTER SYSTEM SET locus.hba = '{rules}'")).await.expect_err(why);
        assert_eq!(error.as_db_error().expect("an answer").message(), "these rules would lock you out", "{why}");
    }
    run(&owner, "ALTER SYSTEM SET locus.hba = 'host all locus loopback auto\nhost all +staff all reject'").await;
    let (state, message) = refused(url, "clerk", PASSWORD, "").await;
    assert_eq!(state, "28000");
    assert_eq!(message, "no sign-in rule admits user \"clerk\" from address 127.0.0.1, no encryption");
    let tested = rows(&owner, "EXPLAIN SIGN IN clerk FROM '127.0.0.1' WITHOUT TLS").await;
    assert_eq!(tested[0].get(2), Some("reject"));
    run(&owner, "ALTER SYSTEM RESET locus.hba").await;
    connect(url, "clerk", PASSWORD, "").await.expect("as before");
}

#[tokio::test]
async fn a_pinned_key_lets_in_and_another_does_not() {
    let secure = Secure::start();
    let owner = secure.owner().await;
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let keys = tempfile::tempdir().expect("a directory");
    run(&owner, &make_key("clerk", keys.path())).await;
    make_key("mallory", keys.path());
    let try_with = |name: &str| {
        let path = |kind: &str| keys.path().join(format!("{name}.{kind}")).display().to_string();
        let url = format!(
            "{}?user=clerk&sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
            secure.server.url,
            secure.secrets().join("ca.crt").display(),
            path("crt"),
            path("key"),
        );
        psql(&url, &["-w", "-qAt", "-c", "SELECT current_user"], "")
    };
    let output = try_with("clerk");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "clerk", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!try_with("mallory").status.success());
    drop_key(&owner, "clerk").await;
    assert!(!try_with("clerk").status.success(), "the key was taken away");
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_refused() {
    let secure = Secure::start();
    let owner = secure.owner().await;
    run(&owner, "CREATE ROLE clerk LOGIN").await;
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str| files.path().join(name).display().to_string();
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    std::fs::write(path("key"), key.serialize_pem()).expect("a file");
    std::fs::set_permissions(path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("rights");
    let good = params.self_signed(&key).expect("a certificate").pem();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let ended = params.self_signed(&key).expect("a certificate").pem();
    run(&owner, &format!("ALTER ROLE clerk ADD KEY '{good}'")).await;
    let try_with = |certificate: &str| {
        std::fs::write(path("crt"), certificate).expect("a file");
        let (crt, key) = (path("crt"), path("key"));
        let url = format!("{}?user=clerk&sslmode=require&sslcert={crt}&sslkey={key}", secure.server.url);
        psql(&url, &["-w", "-qAt", "-c", "SELECT current_user"], "")
    };
    let output = try_with(&good);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "clerk", "{}", String::from_utf8_lossy(&output.stderr));
    let output = try_with(&ended);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("certificate expired"), "{error}");
}

/// Makes `ROLE.key` and `ROLE.crt`; the statement that gives the role the key.
pub fn make_key(role: &str, out: &Path) -> String {
    let output = Command::new(LOCUS).args(["key", "gen", role, "--out"]).arg(out).output().expect("locus runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().next().expect("a statement").to_owned()
}

/// Takes the role's only key away.
pub async fn drop_key(owner: &Client, role: &str) {
    let pin = one(owner, &format!("SELECT keys[1] FROM locus.role_factors WHERE role = '{role}'")).await;
    run(owner, &format!("ALTER ROLE {role} DROP KEY '{pin}'")).await;
}

/// A new ticket of the session's role: its name and its secret.
pub async fn make_ticket(client: &Client) -> (String, String) {
    let rows = rows(client, "CREATE TICKET").await;
    let text = |at: usize| rows[0].get(at).expect("a value").to_owned();
    (text(0), text(1))
}

#[tokio::test]
async fn tickets_live_until_they_are_dropped_or_the_factors_change() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let clerk = connect(url, "clerk", PASSWORD, "").await.expect("a session");
    let (first, secret) = make_ticket(&clerk).await;
    let by_ticket = connect(url, &first, &secret, "").await.expect("the ticket");
    assert_eq!(one(&by_ticket, "SELECT current_user").await, "clerk");
    assert_eq!(
        denied(&by_ticket, "CREATE TICKET").await,
        "a session that was begun by a ticket cannot make another one"
    );
    assert_eq!(refused(url, &first, "wrong", "").await, one_text(&first));
    assert_eq!(one(&clerk, "SELECT count(*) FROM locus.tickets").await, "1");
    run(&clerk, &format!("DROP TICKET '{first}'")).await;
    assert_eq!(refused(url, &first, &secret, "").await, one_text(&first));
    let (second, secret) = make_ticket(&clerk).await;
    run(&clerk, "ALTER ROLE clerk PASSWORD 'another 12 winters gone'").await;
    assert_eq!(refused(url, &second, &secret, "").await, one_text(&second), "the password has changed");
}

#[tokio::test]
async fn failures_slow_the_guesser_down_but_not_the_owner_with_a_code() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let (secret, _) = enrol(&owner, "clerk").await;
    for _ in 0..12 {
        refused(url, "clerk", "guess", "-c locus.otp=000000").await;
    }
    // Written soon after.
    let throttled = "SELECT count(*) > 0 FROM locus.audit WHERE role = 'clerk' AND detail = 'throttled'";
    eventually("a row about throttling", async || (one(&owner, throttled).await == "t").then_some(())).await;
    let options = format!("-c locus.otp={}", otp::code(&secret, unix_seconds() / 30).expect("a code"));
    connect(url, "clerk", PASSWORD, &options).await.expect("the owner is not locked out");
}

#[tokio::test]
async fn codes_cannot_be_guessed_by_whoever_knows_the_password() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let (secret, recovery) = enrol(&owner, "clerk").await;
    let right =
        |ahead: u64| format!("-c locus.otp={}", otp::code(&secret, unix_seconds() / 30 + ahead).expect("a code"));
    // Wrong ones, all at once: they are counted one after the other.
    let wrong = right(1000);
    let tries = (0..20).map(|_| refused(url, "clerk", PASSWORD, &wrong));
    for refusal in futures::future::join_all(tries).await {
        assert!(refusal == one_text("clerk") || refusal.0 == "53300", "{refusal:?}");
    }
    assert_eq!(refused(url, "clerk", PASSWORD, &right(0)).await, one_text("clerk"), "the right one has to wait");
    let by_recovery = format!("{PASSWORD}{}", recovery[0]);
    connect(url, "clerk", &by_recovery, "").await.expect("a recovery code cannot be guessed, and ends the wait");
    connect(url, "clerk", PASSWORD, &right(0)).await.expect("the right code");
}

#[tokio::test]
async fn privileges_are_checked() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    run(&owner, "CREATE TABLE pay (id int PRIMARY KEY, name text, wage int); INSERT INTO pay VALUES (1, 'ada', 9)")
        .await;
    run(&owner, "CREATE VIEW names AS SELECT name FROM pay").await;
    let clerk = connect(url, "clerk", PASSWORD, "").await.expect("a session");
    for text in [
        "SELECT * FROM pay",
        "SELECT 1 FROM pay",
        "INSERT INTO pay VALUES (2)",
        "UPDATE pay SET wage = 1",
        "DELETE FROM pay",
        "TRUNCATE pay",
        "COPY pay TO STDOUT",
        "SELECT id FROM pay FOR UPDATE",
    ] {
        assert_eq!(denied(&clerk, text).await, "permission denied for table pay", "{text}");
    }
    assert_eq!(denied(&clerk, "SELECT * FROM names").await, "permission denied for view names");
    assert_eq!(denied(&clerk, "DROP TABLE pay").await, "must be owner of table pay");
    assert_eq!(denied(&clerk, "CREATE TABLE own (a int)").await, "permission denied for schema public");
    assert_eq!(denied(&clerk, "CREATE ROLE other").await, "permission denied to create role");
    assert_eq!(denied(&clerk, "SET ROLE locus").await, "permission denied to set role \"locus\"");
    assert_eq!(denied(&clerk, "SELECT * FROM locus.audit").await, "permission denied for view audit");
    run(&owner, "GRANT SELECT (id, name) ON pay TO clerk; GRANT SELECT ON names TO clerk").await;
    assert_eq!(one(&clerk, "SELECT name FROM pay WHERE id = 1").await, "ada");
    assert_eq!(one(&clerk, "SELECT count(*) FROM pay").await, "1");
    assert_eq!(one(&clerk, "SELECT name FROM names").await, "ada");
    for text in
        ["SELECT wage FROM pay", "SELECT * FROM pay", "SELECT name FROM pay WHERE wage > 1", "SELECT pay FROM pay"]
    {
        assert_eq!(denied(&clerk, text).await, "permission denied for table pay", "{text}");
    }
    run(&owner, "CREATE ROLE staff; GRANT UPDATE (wage), SELECT ON pay TO staff; GRANT staff TO clerk").await;
    run(&clerk, "UPDATE pay SET wage = wage + 1 WHERE id = 1").await;
    assert_eq!(denied(&clerk, "UPDATE pay SET name = 'x'").await, "permission denied for table pay");
    run(&clerk, "SET ROLE staff").await;
    assert_eq!(one(&clerk, "SELECT current_user || ' ' || session_user").await, "staff clerk");
    run(&owner, "REVOKE staff FROM clerk; REVOKE ALL ON pay FROM clerk, staff").await;
    run(&clerk, "RESET ROLE").await;
    assert_eq!(denied(&clerk, "SELECT name FROM pay").await, "permission denied for table pay");
    assert_eq!(
        one(&clerk, "SELECT has_table_privilege('names', 'select') || ' ' || has_table_privilege('pay', 'select')")
            .await,
        "true false"
    );
    let dropped = owner.batch_execute("DROP ROLE clerk").await.expect_err("privileges depend on it");
    assert_eq!(state(&dropped), "2BP01");
}
