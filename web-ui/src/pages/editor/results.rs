//! What came of the statements, in their order.

use std::sync::Arc;

use leptos::prelude::*;

use super::{Editor, Ran};
use crate::{
    browser::{self, pg::Outcome},
    export, format,
    pages::plan,
    parts::{icon::status, panel::failure_text, table},
    rows::Rows,
    statement::verb,
};

/// Rows drawn at once; more come on request.
const ROWS_DRAWN: usize = 200;

pub fn results(editor: Editor) -> AnyView {
    let ran = editor.ran.get();
    let notices = editor.notices.get().into_iter().map(|notice| view! { <p class="note">{notice}</p> }).collect_view();
    let all = ran.iter().enumerate().map(|(position, ran)| result(position + 1, ran)).collect_view();
    view! {
        <div id="results" aria-live="polite">
            {notices}
            {all}
        </div>
    }
    .into_any()
}

fn result(number: usize, ran: &Ran) -> AnyView {
    let title = format!("{number} · {}", verb(&ran.sql));
    let time = format::millis(ran.millis);
    let (summary, exports, body) = match &ran.outcome {
        Err(failure) => (
            status("bad", time),
            None,
            view! { <div class="failed" role="alert">{failure_text(failure)}</div> }.into_any(),
        ),
        Ok(outcome) => match &**outcome {
            Outcome::Done(count) => {
                (status("good", format!("{} · {time}", format::plural(*count as usize, "row"))), None, ().into_any())
            }
            Outcome::Rows(rows) if plan::is_plan(rows) => (status("good", time), None, plan::plan(rows)),
            Outcome::Rows(rows) => {
                let rows = Arc::new(rows.clone());
                let mut said = format!("{} · {time}", format::plural(rows.len(), "row"));
                if rows.truncated {
                    said = format!("first {said}; there are more");
                }
                (status("good", said), Some(export_buttons(rows.clone())), paged(title.clone(), rows))
            }
        },
    };
    let label = title.clone();
    view! {
        <section class="panel" aria-label=label>
            <header class="panel-head">
                <h2>{title}</h2>
                {summary}
                <code class="note">{format::one_line(&ran.sql, 60)}</code>
                <span class="grow"></span>
                {exports}
            </header>
            {body}
        </section>
    }
    .into_any()
}

fn export_buttons(rows: Arc<Rows>) -> AnyView {
    let again = rows.clone();
    view! {
        <button class="quiet" on:click=move |_| browser::download("result.csv", "text/csv", &export::csv(&rows))>"CSV"</button>
        <button class="quiet" on:click=move |_| browser::download("result.json", "application/json", &export::json(&again))>"JSON"</button>
    }
    .into_any()
}

fn paged(caption: String, rows: Arc<Rows>) -> AnyView {
    let drawn = RwSignal::new(ROWS_DRAWN);
    let all = rows.len();
    let more = move || {
        (drawn.get() < all).then(|| {
            view! { <button class="quiet" on:click=move |_| drawn.update(|count| *count += ROWS_DRAWN)>"Show more of them"</button> }
        })
    };
    let part = move || {
        let shown = drawn.get().min(all);
        let part = Rows { columns: rows.columns.clone(), rows: rows.rows[..shown].to_vec(), truncated: false };
        table::plain(caption.clone(), &part)
    };
    view! {
        {part}
        {more}
    }
    .into_any()
}
