//! Signing in within TLS by `tokio-postgres`: every way in, and one answer to everybody who is not let in.

use std::{fs, path::Path, time::Duration};

use auth::otp;
use tokio_postgres::{Client, config::ChannelBinding};

use crate::{
    common::{column, drive, eventually, one, state, unix_seconds},
    sign_in::{PASSWORD, Secure, drop_key, enrol, make_key, make_ticket, one_text, owner_pass, run},
    tls::{self, Tls},
};

impl Secure {
    fn tls(&self) -> Tls {
        Tls::trusting(&self.secrets().join("ca.crt"))
    }

    /// A client with the key and the certificate of these files (`make_key`).
    fn tls_with(&self, name: &str, files: &Path) -> Tls {
        let read = |kind: &str| fs::read_to_string(files.join(format!("{name}.{kind}"))).expect("a file");
        Tls::with_key(&self.secrets().join("ca.crt"), &read("crt"), &read("key"))
    }

    async fn owner_within_tls(&self) -> Client {
        self.enter(&self.tls(), "locus", &owner_pass(&self.secrets()), "").await.expect("the owner gets in")
    }

    async fn enter(
        &self,
        tls: &Tls,
        user: &str,
        password: &str,
        options: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        tls::connect(tls, &self.server.url, user, password, options).await
    }
}

/// In seconds.
const DAY: u64 = 86_400;

fn code(secret: &[u8], step: u64) -> String {
    otp::code(secret, step).expect("a code")
}

#[tokio::test]
async fn tokio_postgres_signs_in_in_every_way() {
    let secure = Secure::start();
    let (tls, owner) = (secure.tls(), secure.owner_within_tls().await);
    // From here on whoever gets in has come within TLS.
    run(&owner, "ALTER SYSTEM SET locus.hba = 'hostssl all all all auto'").await;
    let plain = crate::sign_in::connect(&secure.server.url, "locus", &owner_pass(&secure.secrets()), "").await;
    assert_eq!(state(&plain.expect_err("not in clear")), "28000");
    for role in ["clerk", "packet", "appended"] {
        run(&owner, &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await;
    }
    let ((packet, _), (appended, recovery)) = (enrol(&owner, "packet").await, enrol(&owner, "appended").await);
    let files = tempfile::tempdir().expect("a directory");
    run(&owner, &make_key("clerk", files.path())).await;
    let keyed = secure.tls_with("clerk", files.path());

    let clerk = secure.enter(&tls, "clerk", PASSWORD, "").await.expect("a password");
    let (ticket, secret) = make_ticket(&clerk).await;
    let options = format!("-c locus.otp={}", code(&packet, unix_seconds() / 30));
    let with_code = format!("{PASSWORD}{}", code(&appended, unix_seconds() / 30));
    let with_recovery = format!("{PASSWORD}{}", recovery[0]);
    let ways = [
        ("password", &tls, "clerk", PASSWORD, "", "clerk"),
        ("password+otp", &tls, "packet", PASSWORD, options.as_str(), "packet"),
        ("password+otp", &tls, "appended", with_code.as_str(), "", "appended"),
        ("password+recovery code", &tls, "appended", with_recovery.as_str(), "", "appended"),
        ("key", &keyed, "clerk", "", "", "clerk"),
        ("ticket", &tls, ticket.as_str(), secret.as_str(), "", "clerk"),
    ];
    for (factors, tls, user, password, options, role) in ways {
        let client = secure.enter(tls, user, password, options).await;
        let client = client.unwrap_or_else(|error| panic!("{user} by {factors}: {error:?}"));
        assert_eq!(one(&client, "SELECT session_user").await, role, "{factors}");
        let newest = "SELECT detail FROM locus.audit WHERE event = 'sign-in' ORDER BY number DESC LIMIT 1";
        assert_eq!(one(&owner, newest).await, factors);
    }
}

#[tokio::test]
async fn tokio_postgres_binds_scram_to_the_certificate() {
    let secure = Secure::start();
    let owner = secure.owner_within_tls().await;
    run(&owner, "SET password_encryption = 'scram-sha-256'").await;
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    let mut config = tls::config(&secure.server.url, "clerk", PASSWORD, "");
    config.channel_binding(ChannelBinding::Require);
    let (client, connection) = config.connect(secure.tls()).await.expect("SCRAM-SHA-256-PLUS");
    drive(connection);
    assert_eq!(one(&client, "SELECT session_user").await, "clerk");
    let refusal = config.password("wrong").connect(secure.tls()).await.err().expect("a refusal");
    assert_eq!((state(&refusal), refusal.as_db_error().expect("an answer").message().to_owned()), one_text("clerk"));
}

#[tokio::test]
async fn a_client_turns_back_from_a_server_that_it_does_not_know() {
    let secure = Secure::start();
    let owner = secure.owner_within_tls().await;
    run(&owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    // Of the same name as ours, and of another one.
    let files = tempfile::tempdir().expect("a directory");
    for name in ["Locus cluster CA", "Mallory's CA"] {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let stranger = params.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate");
        let path = files.path().join("ca.crt");
        fs::write(&path, stranger.pem()).expect("a file");
        let error = secure.enter(&Tls::trusting(&path), "clerk", PASSWORD, "").await.expect_err("no session");
        assert!(error.as_db_error().is_none(), "it has told nobody who it is: {error:?}");
        let why = format!("{error:?}");
        assert!(why.contains("InvalidCertificate(BadSignature") || why.contains("UnknownIssuer"), "{name}: {why}");
    }
    let config = tls::config(&secure.server.url, "clerk", PASSWORD, "");
    let stream = tokio::net::TcpStream::connect(secure.server.addr).await.expect("a connection");
    let elsewhere = secure.tls().named("locus.example.com").expect("a name");
    let error = config.connect_raw(stream, elsewhere).await.err().expect("no session");
    assert!(format!("{error:?}").contains("NotValidForName"), "{error:?}");
    // The server has taken no harm.
    assert_eq!(one(&owner, "SELECT 1").await, "1");
    secure.enter(&secure.tls(), "clerk", PASSWORD, "").await.expect("its own client");
}

#[tokio::test]
async fn a_certificate_counts_within_its_time_and_while_its_key_does() {
    let secure = Secure::start();
    let owner = secure.owner_within_tls().await;
    run(&owner, "CREATE ROLE clerk LOGIN").await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = |from: u64, until: u64| {
        let at = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        let mut params = rcgen::CertificateParams::default();
        (params.not_before, params.not_after) = (at(from), at(until));
        params.self_signed(&key).expect("a certificate").pem()
    };
    let with = |certificate: &str| Tls::with_key(&secure.secrets().join("ca.crt"), certificate, &key.serialize_pem());
    let expect_alert = async |tls: &Tls| {
        let error = secure.enter(tls, "clerk", "", "").await.expect_err("no session");
        assert!(error.as_db_error().is_none(), "{error:?}");
        assert!(format!("{error:?}").contains("AlertReceived(CertificateExpired)"), "{error:?}");
    };
    let (today, good) = (unix_seconds(), certificate(unix_seconds() - DAY, unix_seconds() + DAY));
    run(&owner, &format!("ALTER ROLE clerk ADD KEY '{good}'")).await;
    expect_alert(&with(&certificate(today - 2 * DAY, today - DAY))).await;
    expect_alert(&with(&certificate(today + DAY, today + 2 * DAY))).await;
    let keyed = with(&good);
    secure.enter(&keyed, "clerk", "", "").await.expect("the same key in time");
    // A handshake that goes on where an earlier one ended shows no certificate again: neither its time nor its key must last
    // longer by that.
    let end = unix_seconds() + 3;
    let ending = with(&certificate(today - DAY, end));
    secure.enter(&ending, "clerk", "", "").await.expect("still in time");
    eventually("the end of the certificate", async || (unix_seconds() > end).then_some(())).await;
    expect_alert(&ending).await;
    drop_key(&owner, "clerk").await;
    let refusal = secure.enter(&keyed, "clerk", "", "").await.expect_err("a refusal");
    assert_eq!((state(&refusal), refusal.as_db_error().expect("an answer").message().to_owned()), one_text("clerk"));
}

/// Tries to get in where nobody is to be let in, and keeps what came of it.
struct Refusals<'a> {
    secure: &'a Secure,
    /// Why it is refused, as the audit log has it, and the whole answer but for the name.
    seen: Vec<(&'static str, String)>,
}

impl Refusals<'_> {
    async fn expect(&mut self, why: &'static str, tls: &Tls, user: &str, password: &str, options: &str) {
        let outcome = self.secure.enter(tls, user, password, options).await;
        let error = outcome.err().unwrap_or_else(|| panic!("{user} got in: {why}"));
        let answer = error.as_db_error().unwrap_or_else(|| panic!("{why}: not an answer of the server: {error:?}"));
        assert_eq!((state(&error), answer.message().to_owned()), one_text(user), "{why}");
        self.seen.push((why, format!("{answer:?}").replace(user, "NAME")));
    }
}

#[tokio::test]
async fn nobody_learns_why_he_is_refused_but_the_operator() {
    let secure = Secure::start();
    let (tls, owner) = (secure.tls(), secure.owner_within_tls().await);
    let mut refusals = Refusals { secure: &secure, seen: Vec::new() };
    passwords(&mut refusals, &tls, &owner).await;
    codes(&mut refusals, &tls, &owner).await;
    tickets(&mut refusals, &tls, &owner).await;
    keys(&mut refusals, &tls, &owner).await;
    let (reasons, answers): (Vec<&str>, Vec<String>) = refusals.seen.drain(..).unzip();
    let other = answers.iter().zip(&reasons).find(|(answer, _)| **answer != answers[0]);
    assert_eq!(other, None, "every field of every answer is that of {}", answers[0]);
    let logged = "SELECT detail FROM locus.audit WHERE event = 'sign-in' AND NOT succeeded ORDER BY number";
    assert_eq!(column(&owner, logged).await, reasons);

    // Whoever has to wait, too, though he has the right password. What is refused so is logged a moment later.
    run(&owner, &format!("CREATE ROLE slow LOGIN PASSWORD '{PASSWORD}'")).await;
    for _ in 0..6 {
        refusals.expect("wrong password", &tls, "slow", "wrong", "").await;
    }
    refusals.expect("throttled", &tls, "slow", PASSWORD, "").await;
    assert!(refusals.seen.iter().all(|(_, answer)| *answer == answers[0]));
    let throttled = "SELECT count(*) FROM locus.audit WHERE role = 'slow' AND detail = 'throttled'";
    eventually("a row about throttling", async || (one(&owner, throttled).await == "1").then_some(())).await;
}

async fn passwords(refusals: &mut Refusals<'_>, tls: &Tls, owner: &Client) {
    run(owner, &format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await;
    run(owner, &format!("CREATE ROLE locked NOLOGIN PASSWORD '{PASSWORD}'")).await;
    run(owner, "CREATE ROLE bare LOGIN").await;
    run(owner, &format!("CREATE ROLE over LOGIN PASSWORD '{PASSWORD}' VALID UNTIL '2020-01-01'")).await;
    refusals.expect("wrong password", tls, "clerk", "wrong", "").await;
    refusals.expect("wrong password", tls, "clerk", "", "").await;
    refusals.expect("unknown role", tls, "nobody", PASSWORD, "").await;
    refusals.expect("unknown role", tls, "nobody", PASSWORD, "-c locus.otp=123456").await;
    refusals.expect("no rule admits", tls, "locked", PASSWORD, "").await;
    refusals.expect("no password", tls, "bare", PASSWORD, "").await;
    refusals.expect("password expired", tls, "over", PASSWORD, "").await;
}

async fn codes(refusals: &mut Refusals<'_>, tls: &Tls, owner: &Client) {
    run(owner, &format!("CREATE ROLE coded LOGIN PASSWORD '{PASSWORD}'")).await;
    let (secret, recovery) = enrol(owner, "coded").await;
    let (right, wrong) = (code(&secret, unix_seconds() / 30), code(&secret, unix_seconds() / 30 + 1000));
    let (in_packet, appended) = (|code: &str| format!("-c locus.otp={code}"), |code: &str| format!("{PASSWORD}{code}"));
    refusals.expect("code missing", tls, "coded", PASSWORD, "").await;
    refusals.expect("wrong code", tls, "coded", PASSWORD, &in_packet(&wrong)).await;
    refusals.expect("wrong code", tls, "coded", &appended(&wrong), "").await;
    refusals.expect("wrong code", tls, "coded", &appended("aaaaa-aaaaa"), "").await;
    refusals.secure.enter(tls, "coded", PASSWORD, &in_packet(&right)).await.expect("the right code");
    refusals.expect("code used before", tls, "coded", PASSWORD, &in_packet(&right)).await;
    refusals.expect("code used before", tls, "coded", &appended(&right), "").await;
    refusals.secure.enter(tls, "coded", &appended(&recovery[0]), "").await.expect("a recovery code");
    refusals.expect("wrong code", tls, "coded", &appended(&recovery[0]), "").await;
    refusals.expect("wrong password", tls, "coded", "wrong", &in_packet(&right)).await;
}

async fn tickets(refusals: &mut Refusals<'_>, tls: &Tls, owner: &Client) {
    run(owner, &format!("CREATE ROLE pool LOGIN PASSWORD '{PASSWORD}'")).await;
    let session = refusals.secure.enter(tls, "pool", PASSWORD, "").await.expect("a session");
    let [(first, first_secret), (second, secret), (third, third_secret)] =
        [make_ticket(&session).await, make_ticket(&session).await, make_ticket(&session).await];
    refusals.secure.enter(tls, &first, &first_secret, "").await.expect("a ticket");
    refusals.expect("wrong ticket", tls, &first, &secret, "").await;
    refusals.expect("wrong ticket", tls, "tok_AAAAAAAAAAAA", &secret, "").await;
    run(&session, &format!("DROP TICKET '{first}'")).await;
    refusals.expect("wrong ticket", tls, &first, &first_secret, "").await;
    run(owner, "ALTER ROLE pool NOLOGIN").await;
    refusals.expect("no rule admits", tls, &second, &secret, "").await;
    run(owner, "ALTER ROLE pool LOGIN PASSWORD 'another 12 winters gone'").await;
    refusals.expect("wrong ticket", tls, &third, &third_secret, "").await;
}

async fn keys(refusals: &mut Refusals<'_>, tls: &Tls, owner: &Client) {
    let secure = refusals.secure;
    let files = tempfile::tempdir().expect("a directory");
    run(owner, "CREATE ROLE keyed LOGIN").await;
    run(owner, &make_key("keyed", files.path())).await;
    make_key("mallory", files.path());
    let (keyed, mallory) = (secure.tls_with("keyed", files.path()), secure.tls_with("mallory", files.path()));
    // By the usual rule whoever has no key of the role is asked for a password; by the other one there is no conversation.
    refusals.expect("no password", &mallory, "keyed", "", "").await;
    run(owner, "ALTER SYSTEM SET locus.hba = 'hostssl all keyed all key\nhost all all all auto'").await;
    secure.enter(&keyed, "keyed", "", "").await.expect("the key");
    refusals.expect("unknown key", &mallory, "keyed", "", "").await;
    refusals.expect("unknown key", tls, "keyed", "", "").await;
    drop_key(owner, "keyed").await;
    refusals.expect("unknown key", &keyed, "keyed", "", "").await;
    run(owner, "ALTER SYSTEM RESET locus.hba").await;
    refusals.expect("no password", &keyed, "keyed", "", "").await;
}
