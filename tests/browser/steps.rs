//! What a person does with the page.

use fantoccini::Locator;

use crate::{common::eventually, driver::Browser};

const PLACES: [&str; 9] =
    ["overview", "nodes", "ranges", "statements", "sessions", "locks", "schema", "sql", "consistency"];

pub async fn sign_in(browser: &Browser, url: &str, password: &str) {
    browser.client.goto(url).await.expect("the page opens");
    browser.find("#sign-in").await;
    browser.fill("form.sign-in input[type=password]", password).await;
    browser.screenshot("sign-in").await;
    browser.accessible("sign-in").await;
    browser.click_until("#sign-in", "#title").await;
}

pub async fn state_says(browser: &Browser, wanted: &str) {
    go(browser, "overview").await;
    browser.reads("#state", wanted).await;
}

/// By the menu, as a person would.
async fn go(browser: &Browser, place: &str) {
    let address = if place == "overview" { "/".to_owned() } else { format!("/{place}") };
    browser.find(&format!(".menu a[href='{address}']")).await.click().await.expect("the menu is there");
    browser.reads("#title", title(place).as_str()).await;
}

fn title(place: &str) -> String {
    if place == "sql" { "SQL".to_owned() } else { place[..1].to_uppercase() + &place[1..] }
}

async fn run(browser: &Browser, sql: &str) {
    browser.fill("#statements", sql).await;
    browser.find("#run").await.click().await.expect("the button is there");
}

pub async fn run_sql(browser: &Browser) {
    go(browser, "sql").await;
    run(browser, "SELECT 6 * 7 AS answer;\nSELECT count(*) AS customers FROM customers;").await;
    browser.reads("#results", "42").await;
    browser.reads("#results", "40").await;
    run(browser, "CREATE TABLE from_the_page (id int PRIMARY KEY); INSERT INTO from_the_page VALUES (1), (2)").await;
    browser.reads("#results", "2 rows").await;
    run(browser, "EXPLAIN SELECT * FROM orders WHERE id = 1").await;
    browser.find("#results .plan-node").await;
    browser.screenshot("sql-plan").await;
}

pub async fn errors_are_marked(browser: &Browser) {
    run(browser, "SELECT 1;\nSELECT * FROM nowhere").await;
    browser.reads("#results", "42P01").await;
    browser.reads(".marked", "nowhere").await;
    browser.screenshot("sql-error").await;
}

pub async fn cancel_a_statement(browser: &Browser) {
    run(browser, "SELECT pg_sleep(120)").await;
    browser.find("#cancel:not([disabled])").await.click().await.expect("the button is there");
    browser.reads("#results", "57014").await;
}

pub async fn survives_a_reload(browser: &Browser) {
    browser.client.refresh().await.expect("the page loads again");
    browser.reads("#title", "SQL").await;
    browser.find("#statements").await;
    let kept = eventually("the draft is there", async || {
        let script = "return document.getElementById('statements')?.value ?? ''";
        let text = browser.client.execute(script, Vec::new()).await.ok()?;
        text.as_str().filter(|text| text.contains("pg_sleep")).map(str::to_owned)
    });
    kept.await;
}

pub async fn check_consistency(browser: &Browser) {
    go(browser, "consistency").await;
    browser.find("#run-check").await.click().await.expect("the button is there");
    browser.reads("#verdict", "Consistent").await;
    browser.screenshot("consistency-verdict").await;
}

/// Every place: a picture, and no serious fault for those who cannot see it.
pub async fn visit_all(browser: &Browser, url: &str) {
    for place in PLACES {
        go(browser, place).await;
        settled(browser).await;
        browser.screenshot(place).await;
        browser.accessible(place).await;
    }
    browser.client.goto(&format!("{url}schema/public/orders")).await.expect("a link into the page");
    settled(browser).await;
    browser.reads("main", "CREATE TABLE public.orders").await;
    browser.screenshot("schema-table").await;
    browser.accessible("schema-table").await;
    browser.client.set_window_size(360, 740).await.expect("a small window");
    browser.screenshot("small").await;
    let overflow = "return document.documentElement.scrollWidth > window.innerWidth + 1";
    let overflows = browser.client.execute(overflow, Vec::new()).await.expect("an answer");
    assert_eq!(overflows, serde_json::Value::from(false), "wider than the window");
    browser.client.set_window_size(1280, 900).await.expect("a large window");
}

async fn settled(browser: &Browser) {
    browser.find("#title").await;
    eventually("everything is loaded", async || {
        let loading = browser.client.find_all(Locator::Css(".loading")).await.ok()?;
        loading.is_empty().then_some(())
    })
    .await;
}
