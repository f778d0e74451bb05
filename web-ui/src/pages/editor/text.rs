//! The text field: a plain one, with the same text in colours underneath and a list of words at the cursor. So it has all
//! that the browser gives to text fields (undo, dictation, screen readers) and nothing has to be loaded for it.

use std::{ops::Range, sync::Arc, time::Duration};

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::Editor;
use crate::{
    browser,
    parts::feed::Feed,
    rows::Rows,
    statement::{KEYWORDS, Kind, tokens, word_before},
};

const FIELD: &str = "statements";
const OFFERS_MAX: usize = 8;
/// Names that can be completed.
const NAMES: &str = "SELECT n.nspname AS schema, c.relname AS name, a.attname AS column_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// A stretch of the text that the server complains about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(pub Range<usize>);

impl Marker {
    /// The word at this character of a statement that begins at this byte of the text.
    pub fn at(statement: &str, start: usize, character: usize) -> Marker {
        let byte = statement.char_indices().nth(character).map_or(statement.len(), |(byte, _)| byte);
        let token =
            tokens(statement).into_iter().find(|token| token.start <= byte && byte < token.start + token.text.len());
        let range = token.map_or(byte..byte, |token| byte..token.start + token.text.len());
        Marker(start + range.start..start + range.end)
    }
}

fn field() -> Option<web_sys::HtmlTextAreaElement> {
    document().get_element_by_id(FIELD)?.dyn_into().ok()
}

/// What is selected, in bytes. The browser counts in UTF-16.
pub fn selection(text: &str) -> Option<Range<usize>> {
    let field = field()?;
    let (start, end) = (field.selection_start().ok()??, field.selection_end().ok()??);
    Some(byte_at(text, start as usize)..byte_at(text, end as usize))
}

fn byte_at(text: &str, units: usize) -> usize {
    let mut seen = 0;
    for (byte, character) in text.char_indices() {
        if seen >= units {
            return byte;
        }
        seen += character.len_utf16();
    }
    text.len()
}

/// The list of words at the cursor.
#[derive(Clone, Default)]
struct Offers {
    words: Vec<String>,
    chosen: usize,
    /// What is replaced, in bytes.
    range: Range<usize>,
    /// Line and column of the cursor.
    place: (usize, usize),
}

pub fn editor(editor: Editor) -> AnyView {
    let names = Feed::new(editor.app, 0, || NAMES.to_owned());
    let offers = RwSignal::new(None::<Offers>);
    let input = move |text: String| {
        let cursor = selection(&text).map_or(text.len(), |range| range.end);
        let typed = word_before(&text, cursor).len();
        offers.set(if typed >= 2 { offer(names, &text, cursor) } else { None });
        editor.set_text(text);
    };
    let keys = move |event: leptos::ev::KeyboardEvent| {
        let with_control = event.ctrl_key() || event.meta_key();
        let handled = match (event.key().as_str(), with_control, offers.get_untracked()) {
            ("Enter", true, _) => {
                editor.run("");
                true
            }
            (" ", true, _) => {
                let text = editor.text();
                let cursor = selection(&text).map_or(text.len(), |range| range.end);
                offers.set(offer(names, &text, cursor));
                true
            }
            ("Escape", _, Some(_)) => {
                offers.set(None);
                true
            }
            ("ArrowDown" | "ArrowUp", false, Some(list)) => {
                let step = if event.key() == "ArrowDown" { 1 } else { list.words.len() - 1 };
                offers.set(Some(Offers { chosen: (list.chosen + step) % list.words.len(), ..list }));
                true
            }
            ("Enter" | "Tab", false, Some(list)) => {
                accept(editor, offers, &list, list.chosen);
                true
            }
            _ => false,
        };
        if handled {
            event.prevent_default();
        }
    };
    view! {
        <div class="editor">
            <pre class="colours" aria-hidden="true">{move || coloured(&editor.text(), editor.marker.get())}</pre>
            <textarea
                id=FIELD
                aria-label="Statements"
                aria-autocomplete="list"
                spellcheck="false"
                autocapitalize="none"
                autocomplete="off"
                prop:value=move || editor.text()
                on:keydown=keys
                on:blur=move |_| offers.set(None)
                on:input:target=move |event| input(event.target().value())
            ></textarea>
            {move || offers.get().map(|list| offer_list(editor, offers, &list))}
        </div>
    }
    .into_any()
}

fn coloured(text: &str, marker: Option<Marker>) -> AnyView {
    let marked = marker.map(|marker| marker.0).unwrap_or(0..0);
    let spans = tokens(text).into_iter().map(|token| {
        let class = match token.kind {
            Kind::Keyword => "keyword",
            Kind::Number => "number",
            Kind::Text => "text",
            Kind::Comment => "comment",
            _ => "",
        };
        let is_marked = !marked.is_empty() && token.start < marked.end && marked.start < token.start + token.text.len();
        view! { <span class=class class:marked=is_marked>{token.text.to_owned()}</span> }
    });
    // The last line of a field is shown even when it is empty; that of a `pre` is not.
    view! {
        {spans.collect_view()}
        "\n"
    }
    .into_any()
}

fn offer(names: Feed, text: &str, cursor: usize) -> Option<Offers> {
    let typed = word_before(text, cursor);
    // After a dot, what follows it.
    let (qualifier, part) = typed.rsplit_once('.').map_or(("", typed), |(before, after)| (before, after));
    let rows = names.rows.get_untracked().unwrap_or_default();
    let words = candidates(&rows, qualifier, part);
    if words.is_empty() {
        return None;
    }
    let before = &text[..cursor];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let place = (before.matches('\n').count(), before[line_start..].chars().count() - part.chars().count());
    Some(Offers { words, chosen: 0, range: cursor - part.len()..cursor, place })
}

fn candidates(rows: &Arc<Rows>, qualifier: &str, part: &str) -> Vec<String> {
    let (qualifier, part) = (qualifier.to_lowercase(), part.to_lowercase());
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        if word.to_lowercase().starts_with(&part)
            && word.to_lowercase() != part
            && !words.iter().any(|known| known == word)
        {
            words.push(word.to_owned());
        }
    };
    for row in rows.iter() {
        let (schema, name) = (row.get("schema").unwrap_or_default(), row.get("name").unwrap_or_default());
        if qualifier.is_empty() || qualifier == schema {
            add(name);
        }
        if qualifier.is_empty() || qualifier == name {
            add(row.get("column_name").unwrap_or_default());
        }
        if qualifier.is_empty() {
            add(schema);
        }
    }
    if qualifier.is_empty() && !part.is_empty() {
        KEYWORDS.iter().for_each(|keyword| add(keyword));
    }
    words.sort_by_key(|word| (word.len(), word.clone()));
    words.truncate(OFFERS_MAX);
    words
}

fn offer_list(editor: Editor, offers: RwSignal<Option<Offers>>, list: &Offers) -> AnyView {
    let (line, column) = list.place;
    let items = list.words.iter().enumerate().map(|(position, word)| {
        let list = list.clone();
        // Before the field loses the focus, which would close the list.
        let take = move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            accept(editor, offers, &list, position);
        };
        view! {
            <li role="option" aria-selected=(position == list_chosen(offers)).to_string() on:mousedown=take>
                {word.clone()}
            </li>
        }
    });
    let items = items.collect_view();
    view! {
        <ul class="choices-list offers" role="listbox" aria-label="Words" style:left=format!("calc({column}ch + 12px)") style:top=format!("{}px", line * 20 + 32)>
            {items}
        </ul>
    }
    .into_any()
}

fn list_chosen(offers: RwSignal<Option<Offers>>) -> usize {
    offers.read_untracked().as_ref().map_or(0, |list| list.chosen)
}

fn accept(editor: Editor, offers: RwSignal<Option<Offers>>, list: &Offers, position: usize) {
    let mut text = editor.text();
    let Some(word) = list.words.get(position).filter(|_| list.range.end <= text.len()) else { return };
    text.replace_range(list.range.clone(), word);
    let cursor = text[..list.range.start + word.len()].encode_utf16().count() as u32;
    offers.set(None);
    editor.set_text(text);
    leptos::task::spawn_local(async move {
        browser::sleep(Duration::ZERO).await;
        if let Some(field) = field() {
            // A field that is gone has no cursor.
            let _ = field.set_selection_range(cursor, cursor);
        }
    });
}
