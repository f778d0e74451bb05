//! What a person does with the page.

use fantoccini::Locator;

use crate::{common::eventually, driver::Browser};

const PLACES: [&str; 10] =
    ["overview", "nodes", "ranges", "statements", "sessions", "locks", "schema", "sql", "security", "consistency"];

/// What the place Security consists of besides its first part.
const PARTS: [&str; 6] = ["codes", "keys", "tickets", "rules", "certificates", "audit"];

pub async fn sign_in(browser: &Browser, url: &str, password: &str) {
    browser.client.goto(url).await.expect("the page opens");
    browser.is_usable_soon("the sign-in form", "#sign-in").await;
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
pub async fn go(browser: &Browser, place: &str) {
    let address = if place == "overview" { "/".to_owned() } else { format!("/{place}") };
    browser.find(&format!(".menu a[href='{address}']")).await.click().await.expect("the menu is there");
    browser.reads("#title", title(place).as_str()).await;
}

fn title(place: &str) -> String {
    if place == "sql" { "SQL".to_owned() } else { place[..1].to_uppercase() + &place[1..] }
}

pub async fn run(browser: &Browser, sql: &str) {
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
}

/// What each node took, and what it asked of each range.
pub async fn plan_is_drawn(browser: &Browser) {
    run(
        browser,
        "EXPLAIN ANALYZE SELECT c.name, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY 1",
    )
    .await;
    browser.reads_any("#results .plan-node", &[" µs", " ms"]).await;
    browser.reads("#results .plan-range", "on range").await;
    browser.screenshot("sql-plan").await;
    browser.accessible("sql-plan").await;
    run(browser, "EXPLAIN SELECT * FROM orders WHERE id = 1").await;
    browser.reads("#results .plan-node", "orders").await;
    browser.gone("#results .plan-range").await;
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
    // A weaker level allows what the stronger one forbids: there is something to draw.
    choose(browser, "#isolation", "read-committed").await;
    browser.find("#run-check").await.click().await.expect("the button is there");
    browser.reads("#verdict", "read-committed, which is promised to this workload at READ COMMITTED").await;
    let vertex = browser.find(".choice[aria-pressed='false']").await;
    vertex.click().await.expect("a transaction of the circle");
    browser.find(".choice[aria-pressed='true']").await;
    let script = "document.querySelector('.diagram').scrollIntoView({ block: 'center' })";
    browser.client.execute(script, Vec::new()).await.expect("the drawing is there");
    browser.screenshot("consistency-anomaly").await;
    browser.accessible("consistency-anomaly").await;
    choose(browser, "#workload", "bank").await;
    choose(browser, "#isolation", "serializable").await;
    browser.find("#run-check").await.click().await.expect("the button is there");
    browser.reads("#verdict", "bank: Nothing in").await;
}

/// Takes another entry of a list of choices, and finds it in the address.
async fn choose(browser: &Browser, css: &str, value: &str) {
    let script = "const [field, value] = arguments; field.value = value;
        field.dispatchEvent(new Event('change', { bubbles: true })); return location.search";
    let field = serde_json::to_value(browser.find(css).await).expect("an element");
    let address = browser.client.execute(script, vec![field, value.into()]).await.expect("a choice");
    assert!(address.as_str().is_some_and(|address| address.contains(value)), "{address}");
}

/// The overview is there again without a sign-in.
pub async fn goes_on_after_a_reload(browser: &Browser) {
    browser.client.refresh().await.expect("the page loads again");
    browser.is_usable_soon("the overview after a reload", "#state").await;
}

/// Every place: a picture, and no serious fault for those who cannot see it.
pub async fn visit_all(browser: &Browser, url: &str) {
    for place in PLACES {
        go(browser, place).await;
        look_at(browser, place).await;
    }
    go(browser, "security").await;
    for part in PARTS {
        browser.click(&format!(".parts a[href='/security/{part}']")).await;
        browser.find(&format!(".parts [aria-current] a[href='/security/{part}']")).await;
        match part {
            "rules" => {
                browser.click("#test-rules").await;
                browser.reads("#decision", "Admitted by auto").await;
            }
            "certificates" => browser.reads("main table", "valid").await,
            "audit" => browser.reads("#chain", "Whole").await,
            _ => {}
        }
        look_at(browser, &format!("security-{part}")).await;
    }
    browser.client.goto(&format!("{url}schema/public/orders")).await.expect("a link into the page");
    browser.reads("main", "CREATE TABLE public.orders").await;
    look_at(browser, "schema-table").await;
}

async fn look_at(browser: &Browser, place: &str) {
    settled(browser).await;
    browser.screenshot(place).await;
    browser.accessible(place).await;
}

/// Every place on a telephone: nothing has to be pushed sideways.
pub async fn visit_narrow(browser: &Browser, url: &str) {
    let parts = PARTS.map(|part| format!("security/{part}"));
    let places = PLACES.into_iter().map(|place| if place == "overview" { "" } else { place });
    let places = places.map(str::to_owned).chain(parts).chain(["schema/public/orders".to_owned()]);
    for place in places {
        browser.client.goto(&format!("{url}{place}")).await.expect("a link into the page");
        settled(browser).await;
        if place == "sql" {
            run(browser, "EXPLAIN ANALYZE SELECT * FROM orders WHERE id = 1; SELECT * FROM orders").await;
            browser.find("#results .plan-range").await;
            browser.find("#results section:nth-of-type(2) table").await;
        }
        browser.is_narrow_enough(&place).await;
        let name = if place.is_empty() { "overview".to_owned() } else { place.replace('/', "-") };
        browser.screenshot(&name).await;
    }
    browser.click(".menu-button").await;
    browser.find(".menu.open").await;
    browser.is_narrow_enough("the menu").await;
    browser.screenshot("menu").await;
}

async fn settled(browser: &Browser) {
    browser.find("#title").await;
    eventually("everything is loaded", async || {
        let loading = browser.client.find_all(Locator::Css(".loading")).await.ok()?;
        loading.is_empty().then_some(())
    })
    .await;
}
