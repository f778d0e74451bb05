//! Signing in by the page: with one-time codes, again after the session was taken away, and out.

use auth::otp;
use tokio_postgres::Client;

use crate::{
    common::{Demo, connect, eventually, one, otp_secret, unix_seconds},
    driver::{Browser, Look},
    steps::{go, run},
};

/// As WebDriver knows the key.
const ESCAPE: &str = "\u{e00c}";
const PASSWORD: &str = "violet kettle 77 sparrows";

#[tokio::test]
async fn a_clerk_signs_in_with_codes_and_again() {
    let demo = Demo::start(&["--nodes", "1", "--empty"]);
    let url = demo.report["page_url"].as_str().expect("a page").to_owned();
    let owner = connect(&demo.url()).await;
    owner.batch_execute(&format!("CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")).await.expect("a role");
    let Some(browser) = Browser::start(&url, Look::Light).await else { return };
    browser.client.goto(&url).await.expect("the page opens");

    submit(&browser, "clerk", "not the password", "").await;
    is_refused(&browser).await;
    browser.screenshot("sign-in-refused").await;
    browser.accessible("sign-in-refused").await;
    submit(&browser, "clerk", PASSWORD, "").await;
    browser.find("#title").await;

    let (secret, recovery_codes) = enrol(&browser).await;
    has_one_ticket(&owner).await;
    browser.client.refresh().await.expect("the page loads again");
    browser.reads("#otp-state", "On").await;
    browser.gone("#recovery-codes").await;
    tickets_need_more_than_a_ticket(&browser).await;
    browser.click("#sign-out").await;
    browser.find("#sign-in").await;
    tickets_are(&owner, "0 of 0").await;

    submit(&browser, "clerk", PASSWORD, "").await;
    is_refused(&browser).await;
    submit(&browser, "clerk", PASSWORD, &code(&secret, 0).await).await;
    browser.find("#title").await;
    has_one_ticket(&owner).await;

    signs_in_again_over_the_page(&browser, &owner, &recovery_codes[0]).await;
    makes_a_ticket(&browser, &demo).await;
    browser.no_errors().await;
    browser.close().await;
}

/// Fills in the form, at the entrance or in the dialog, and sends it.
async fn submit(browser: &Browser, user: &str, password: &str, code: &str) {
    browser.fill("#user", user).await;
    browser.fill("#password", password).await;
    browser.fill("#code", code).await;
    browser.click("#sign-in").await;
}

/// The form is still there, says why, and has not lost what was typed.
async fn is_refused(browser: &Browser) {
    browser.reads(".sign-in [role=alert]", "28P01").await;
    browser.reads(".sign-in [role=alert]", "password authentication failed for user \"clerk\"").await;
    assert_eq!(browser.value("#user").await, "clerk");
}

async fn run_this_sql(browser: &Browser) {
    browser.click("dialog button[type=submit]:not([disabled])").await;
    browser.gone("dialog").await;
}

async fn open_part(browser: &Browser, part: &str) {
    go(browser, "security").await;
    browser.click(&format!(".parts a[href='/security/{part}']")).await;
}

/// Enrols as a person does who reads the URI instead of the QR code; the secret and the recovery codes.
async fn enrol(browser: &Browser) -> (Vec<u8>, Vec<String>) {
    open_part(browser, "codes").await;
    browser.reads("#otp-state", "Off").await;
    browser.click("#enable-otp").await;
    browser.reads("dialog pre", "ALTER ROLE clerk ENABLE OTP").await;
    run_this_sql(browser).await;
    let uri = browser.find("#otp-uri").await.text().await.expect("a URI");
    assert!(uri.starts_with("otpauth://totp/"), "{uri}");
    browser.find(".qr svg[role=img]").await;
    browser.screenshot("security-enrolment").await;
    browser.accessible("security-enrolment").await;

    let secret = otp_secret(&uri);
    browser.click("#confirm-otp").await;
    // The step before, so that the present one is left for the next sign-in.
    browser.fill("dialog input", &code(&secret, 1).await).await;
    browser.reads("dialog pre", "ALTER ROLE clerk CONFIRM OTP '…'").await;
    browser.screenshot("security-confirm").await;
    run_this_sql(browser).await;
    let codes = browser.find("#recovery-codes").await.text().await.expect("recovery codes");
    let codes: Vec<String> = codes.split_whitespace().map(str::to_owned).collect();
    assert_eq!(codes.len(), otp::RECOVERY_CODES, "{codes:?}");
    assert!(codes.iter().all(|code| otp::is_recovery_code(code)), "{codes:?}");
    browser.reads("#otp-state", "On").await;
    browser.screenshot("security-recovery-codes").await;
    (secret, codes)
}

/// The code of the present step, or of so many before, while there is time left to type it.
async fn code(secret: &[u8], steps_before: u64) -> String {
    let step = eventually("the first half of a step", async || {
        let now = unix_seconds();
        (now % 30 < 15).then_some(now / 30)
    });
    otp::code(secret, step.await - steps_before).expect("a code")
}

/// How many of the clerk's tickets are valid, as somebody else sees it.
async fn tickets_are(owner: &Client, expected: &str) {
    const TICKETS: &str = "SELECT count(*) FILTER (WHERE is_alive) || ' of ' || count(*)
        FROM locus.tickets WHERE role = 'clerk'";
    let what = format!("{expected} tickets are valid");
    eventually(&what, async || (one(owner, TICKETS).await == expected).then_some(())).await;
}

async fn has_one_ticket(owner: &Client) {
    tickets_are(owner, "1 of 1").await;
}

/// After a reload the session is one by ticket, which makes no others.
async fn tickets_need_more_than_a_ticket(browser: &Browser) {
    open_part(browser, "tickets").await;
    browser.reads("main table", "this page").await;
    browser.click("#create-ticket").await;
    browser.reads("dialog", "with more than a ticket").await;
    browser.click("dialog > button.wide").await;
    browser.gone("dialog").await;
}

/// The session is ended and its ticket taken back from outside; the page asks, and goes on where it was.
async fn signs_in_again_over_the_page(browser: &Browser, owner: &Client, recovery_code: &str) {
    go(browser, "sql").await;
    run(browser, "SELECT current_user, 6 * 7 AS answer").await;
    browser.reads("#results", "42").await;
    browser.fill("#statements", "SELECT 'not run yet'").await;
    let ticket = one(owner, "SELECT ticket FROM locus.tickets WHERE role = 'clerk'").await;
    owner.batch_execute(&format!("DROP TICKET '{ticket}'")).await.expect("the ticket is taken back");
    let end = "SELECT pg_terminate_backend(pid) FROM locus.sessions WHERE user_name = 'clerk'";
    owner.batch_execute(end).await.expect("the sessions are ended");
    browser.reads("dialog .sign-in [role=alert]", "the ticket has ended").await;
    browser.screenshot("sign-in-again").await;
    browser.accessible("sign-in-again").await;
    // There is nothing to go on with: it stays, however often Escape is pressed.
    for _ in 0..3 {
        browser.find("dialog #password").await.send_keys(ESCAPE).await.expect("a key is pressed");
        browser.find("dialog[open]").await;
    }

    submit(browser, "clerk", PASSWORD, recovery_code).await;
    browser.gone("dialog").await;
    browser.reads("#results", "42").await;
    assert_eq!(browser.value("#statements").await, "SELECT 'not run yet'");
    run(browser, "SELECT current_user || ' is back' AS said").await;
    browser.reads("#results", "clerk is back").await;
}

/// A ticket for a program, which it lets in.
async fn makes_a_ticket(browser: &Browser, demo: &Demo) {
    open_part(browser, "tickets").await;
    browser.click("#create-ticket").await;
    run_this_sql(browser).await;
    browser.find("#ticket-secret").await;
    let shown = browser.text("section[aria-label='The new ticket'] dl").await.expect("a ticket");
    let words: Vec<&str> = shown.split_whitespace().collect();
    let user = words.iter().find(|word| word.starts_with("tok_")).expect("a name");
    let secret = browser.text("#ticket-secret").await.expect("a secret");
    let (_, place) = demo.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL");
    let program = connect(&format!("postgresql://{user}:{secret}@{place}")).await;
    assert_eq!(one(&program, "SELECT current_user").await, "clerk");
}
