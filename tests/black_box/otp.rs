//! `locus otp enrol`, as a person would use it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use auth::otp;

use crate::{
    common::{LOCUS, otp_secret, unix_seconds},
    sign_in::{PASSWORD, Secure, connect},
};

#[tokio::test]
async fn a_role_is_enrolled_from_the_terminal() {
    let secure = Secure::start();
    let (url, owner) = (&secure.server.url, secure.owner().await);
    owner.batch_execute(&format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await.expect("a role");
    let mut command = Command::new(LOCUS);
    command.args(["otp", "enrol", "clerk", "--url", url, "--secrets"]).arg(secure.secrets());
    let mut enrol = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("locus runs");
    let (mut typed, shown) = (enrol.stdin.take().expect("a pipe"), enrol.stdout.take().expect("a pipe"));
    let mut shown = BufReader::new(shown).lines().map_while(Result::ok);
    let (mut drawn, mut uri) = (Vec::new(), None);
    while uri.is_none() {
        let line = shown.next().expect("the URI");
        if line.starts_with("otpauth://") { uri = Some(line) } else { drawn.push(line) }
    }
    assert!(drawn.len() > 20 && drawn.iter().any(|line| line.contains('█')), "a QR code: {drawn:?}");

    let code = otp::code(&otp_secret(&uri.expect("the URI")), unix_seconds() / 30 - 1).expect("a code");
    writeln!(typed, "000000").and_then(|()| writeln!(typed, "{code}")).expect("it reads");
    let codes: Vec<String> = shown.filter(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    assert!(enrol.wait().expect("its end").success());
    connect(url, "clerk", PASSWORD, "").await.map(drop).expect_err("the password alone does not do any more");
    connect(url, "clerk", &format!("{PASSWORD}{}", codes[0]), "").await.expect("a recovery code");
}
