//! The certificates of nodes and gateways, as the gateway of this session knows them. `locus cert` makes and revokes them, where
//! the authority's key is.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::Row,
};

const CERTIFICATES: &str = "SELECT holder, state, file,
       to_char(valid_from, 'YYYY-MM-DD HH24:MI:SS') AS valid_from,
       to_char(valid_until, 'YYYY-MM-DD HH24:MI:SS') AS valid_until, sha256
FROM locus.certificates c ORDER BY holder, c.valid_from";

const COLUMNS: [Column; 6] = [
    column("holder", "Holder", Show::Text),
    column("state", "State", Show::With(state)),
    column("file", "File", Show::Text),
    column("valid_from", "Valid from", Show::Text),
    column("valid_until", "Valid until", Show::Text),
    column("sha256", "Fingerprint", Show::Code),
];

pub fn part(app: App) -> AnyView {
    let feed = Feed::new(app, 30, || CERTIFICATES.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter by holder, state…")}</div>
        {panel("Certificates", feed, Empty("None: the processes of this cluster speak in clear."), move |rows| {
            table(app, "Certificates", &COLUMNS, &rows)
        })}
    }
    .into_any()
}

fn state(_: App, row: Row<'_>) -> AnyView {
    let word = row.text("state");
    match word.as_str() {
        "revoked" | "ended" => status("bad", word),
        "ends soon" | "to be replaced" => status("warn", word),
        "valid" => status("good", word),
        _ => status("info", word),
    }
}
