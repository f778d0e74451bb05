//! Ctrl-K: to any place or table by a few letters.

use std::time::Duration;

use leptos::{prelude::*, task::spawn_local};

use crate::{
    app::App,
    browser,
    parts::dialog::modal,
    route::{Page, Route},
};

const ENTRIES_MAX: usize = 12;

const TABLES: &str = "SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname <> 'information_schema'
ORDER BY n.nspname = 'pg_catalog', 1, 2";

#[derive(Clone, PartialEq)]
struct Entry {
    title: String,
    kind: &'static str,
    route: Route,
}

pub fn palette(app: App) -> AnyView {
    let typed = RwSignal::new(String::new());
    let chosen = RwSignal::new(0_usize);
    let entries = RwSignal::new(
        Page::ALL.map(|page| Entry { title: page.title().to_owned(), kind: "page", route: Route::to(page) }).to_vec(),
    );
    spawn_local(async move {
        let Some(link) = app.link.get_untracked() else { return };
        // Without the tables there are still the pages.
        let Ok(rows) = link.query(TABLES).await else { return };
        let tables = rows.iter().map(|row| {
            let (schema, name) = (row.text("schema"), row.text("name"));
            Entry {
                title: format!("{schema}.{name}"),
                kind: "table",
                route: Route::of(Page::Schema, &[&schema, &name]),
            }
        });
        entries.try_update(|entries| entries.extend(tables));
    });
    let found = Memo::new(move |_| {
        let wanted = typed.get().to_lowercase();
        let mut found: Vec<Entry> = entries.get().into_iter().filter(|entry| matches(&entry.title, &wanted)).collect();
        found.truncate(ENTRIES_MAX);
        found
    });
    let go = move |position: usize| {
        if let Some(entry) = found.get_untracked().get(position) {
            app.palette.set(false);
            app.go(entry.route.clone());
        }
    };
    let keys = move |event: leptos::ev::KeyboardEvent| {
        let count = found.get_untracked().len().max(1);
        match event.key().as_str() {
            "ArrowDown" => chosen.update(|at| *at = (*at + 1) % count),
            "ArrowUp" => chosen.update(|at| *at = (*at + count - 1) % count),
            "Enter" => go(chosen.get_untracked()),
            _ => return,
        }
        event.prevent_default();
    };
    let list = move || {
        let entries = found.get().into_iter().enumerate().map(|(position, entry)| {
            view! {
                <li
                    id=format!("go-{position}")
                    role="option"
                    aria-selected=move || (chosen.get() == position).to_string()
                    on:click=move |_| go(position)
                >
                    {entry.title}
                    <span class="note">{entry.kind}</span>
                </li>
            }
        });
        entries.collect_view()
    };
    spawn_local(async {
        browser::sleep(Duration::ZERO).await;
        browser::focus("go");
    });
    let body = view! {
        <input
            id="go"
            role="combobox"
            aria-expanded="true"
            aria-controls="go-list"
            aria-activedescendant=move || format!("go-{}", chosen.get())
            aria-label="Page or table"
            placeholder="Page or table"
            autocomplete="off"
            spellcheck="false"
            on:keydown=keys
            on:input:target=move |event| {
                typed.set(event.target().value());
                chosen.set(0);
            }
        />
        <ul id="go-list" class="choices-list" role="listbox" aria-label="Pages and tables">{list}</ul>
    };
    modal("Go to", move || app.palette.set(false), body.into_any())
}

/// Whether the letters occur in this order.
fn matches(title: &str, wanted: &str) -> bool {
    let title = title.to_lowercase();
    let mut letters = title.chars();
    wanted.chars().filter(|letter| !letter.is_whitespace()).all(|letter| letters.any(|other| other == letter))
}
