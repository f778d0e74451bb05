//! The page in a real browser: headless Chromium, driven by its own driver, on a cluster of real processes.
//!
//! Screenshots of every place, light, dark and 360 pixels wide, are written to `$LOCUS_SCREENSHOTS` or the target's `tmp/screenshots`, for people
//! to look at.

mod driver;
mod security;
mod steps;

#[path = "../black_box/common.rs"]
#[allow(dead_code)]
mod common;

use common::{Demo, signal};
use driver::{Browser, Look};
use steps::{
    cancel_a_statement, check_consistency, errors_are_marked, goes_on_after_a_reload, plan_is_drawn, run_sql, sign_in,
    state_says, survives_a_reload, visit_all, visit_narrow,
};

/// The password in a URL.
fn password(url: &str) -> String {
    let (_, rest) = url.split_once("//locus:").expect("a password");
    rest.split('@').next().expect("an address").to_owned()
}

/// One walk through everything: starting clusters and browsers is what takes long.
#[tokio::test]
async fn a_walk_through_the_page() {
    let demo = Demo::start(&["--nodes", "3"]);
    let url = demo.report["page_url"].as_str().expect("a page").to_owned();
    let password = password(&demo.url());
    let Some(browser) = Browser::start(&url, Look::Light).await else { return };
    sign_in(&browser, &url, &password).await;
    state_says(&browser, "3 nodes up, all").await;
    goes_on_after_a_reload(&browser).await;
    run_sql(&browser).await;
    plan_is_drawn(&browser).await;
    errors_are_marked(&browser).await;
    cancel_a_statement(&browser).await;
    survives_a_reload(&browser).await;
    check_consistency(&browser).await;
    visit_all(&browser, &url).await;

    let Some(small) = Browser::start(&url, Look::Small).await else { return };
    sign_in(&small, &url, &password).await;
    visit_narrow(&small, &url).await;
    small.close().await;

    signal(demo.pid("node", 3), "KILL");
    state_says(&browser, "2 of 3 nodes up").await;
    browser.screenshot("overview-degraded").await;
    browser.no_errors().await;
    browser.close().await;

    let Some(dark) = Browser::start(&url, Look::Dark).await else { return };
    sign_in(&dark, &url, &password).await;
    visit_all(&dark, &url).await;
    dark.close().await;
}
