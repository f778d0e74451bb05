//! The rules of sign-in, how they are changed, and what they decide for somebody.

use leptos::prelude::*;

use super::{field, text_area};
use crate::{
    app::App,
    parts::{
        dialog::Action,
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::plain,
    },
    rows::{Row, Rows},
    statement::{quote_name, quote_text, with_text},
};

const RULES: &str = "SELECT rule, type, database, role, address, method FROM locus.hba ORDER BY rule";

const SETTING: &str = "locus.hba";

pub fn part(app: App) -> AnyView {
    let rules = Feed::new(app, 10, || RULES.to_owned());
    view! {
        {panel("Rules, the first that fits decides", rules, Empty("No rules: nobody is admitted."), |rows| plain("Rules".to_owned(), &rows))}
        {tester(app)}
        {change(app, rules)}
    }
    .into_any()
}

/// Which rule decides for somebody.
fn tester(app: App) -> AnyView {
    let role = RwSignal::new(app.role.get_untracked());
    let address = RwSignal::new("127.0.0.1".to_owned());
    let database = RwSignal::new(app.credentials.read_untracked().database.clone());
    let encrypted = RwSignal::new(true);
    let asked = RwSignal::new(String::new());
    let verdict = Feed::new(app, 0, move || asked.get());
    let ask = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let (role, address) = (quote_name(&role.read_untracked()), quote_text(address.read_untracked().trim()));
        let database = quote_name(&database.read_untracked());
        let plain = if encrypted.get_untracked() { "" } else { " WITHOUT TLS" };
        asked.set(format!("EXPLAIN SIGN IN {role} FROM {address} DATABASE {database}{plain}"));
    };
    view! {
        <form class="toolbar" aria-label="Try the rules out" on:submit=ask>
            {field("Role", role)}
            {field("Address", address)}
            {field("Database", database)}
            <label>
                <input type="checkbox" prop:checked=encrypted on:change:target=move |event| encrypted.set(event.target().checked()) />
                "within TLS"
            </label>
            <button id="test-rules" type="submit">"Which rule decides?"</button>
        </form>
        {move || (!asked.read().is_empty()).then(|| panel("What the rules decide", verdict, Empty("No answer."), |rows| decision(&rows)))}
    }
    .into_any()
}

fn decision(rows: &Rows) -> AnyView {
    let Some(row) = rows.first() else { return ().into_any() };
    let verdict = match row.get("method") {
        Some("reject") => status("bad", "Refused"),
        Some("trust") => status("warn", "Admitted without proof"),
        method => status("good", format!("Admitted by {}", method.unwrap_or_default())),
    };
    let by = match (row.get("rule"), row.get("text")) {
        (Some(number), Some(text)) => {
            view! { "by rule " {number.to_owned()} ": " <code>{text.to_owned()}</code> }.into_any()
        }
        _ => "because no rule fits".into_any(),
    };
    view! { <p id="decision" class="line">{verdict} " " {by}</p> }.into_any()
}

/// One rule as a line of the text that sets them.
fn line(row: Row<'_>) -> String {
    ["type", "database", "role", "address", "method"].map(|column| row.text(column)).join(" ")
}

fn change(app: App, rules: Feed) -> AnyView {
    let text = RwSignal::new(String::new());
    // What holds, until somebody begins to write.
    Effect::new(move |_| {
        let Some(rows) = rules.rows.get() else { return };
        if text.read_untracked().is_empty() {
            text.set(as_text(&rows));
        }
    });
    let set = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let sql = with_text(&format!("ALTER SYSTEM SET {SETTING} ="), text.read_untracked().trim());
        let said = "Decides from now on who is admitted, in the whole cluster. Sessions go on. Rules that would lock you out \
                    are refused.";
        // So that the field shows them as the server reads them.
        Action::new("Set the rules", said, sql).naming(SETTING).then(move |_| text.set(String::new())).ask(app);
    };
    let reset = move |_| {
        let said = "Removes these rules: those of a new cluster hold again.";
        let sql = format!("ALTER SYSTEM RESET {SETTING}");
        Action::new("Reset the rules", said, sql).naming(SETTING).then(move |_| text.set(String::new())).ask(app);
    };
    view! {
        <form class="panel padded" aria-label="Change the rules" on:submit=set>
            <header class="panel-head"><h2>"Change the rules"</h2></header>
            <p class="line">
                "A rule a line: type, database, role, address, method, as in " <code>"hostssl all +staff 10.0.0.0/8 auto"</code>
            </p>
            <div class="toolbar inside">
                {text_area("Rules", "", 6, text)}
                <button type="submit">"Set…"</button>
                <button type="button" on:click=reset>"Reset…"</button>
            </div>
        </form>
    }
    .into_any()
}

fn as_text(rows: &Rows) -> String {
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
