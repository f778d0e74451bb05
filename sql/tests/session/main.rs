//! Golden scripts of whole sessions, on an in-memory world with the real transaction layer. Regenerate with
//! `UPDATE_GOLDENFILES=1 cargo test -p locus-sql --test session`.
//!
//! `a:> SQL` runs a text in session `a` as the simple protocol does (without a name: session `a`); sessions whose names begin
//! with `g2` belong to a second gateway. After COPY FROM STDIN, `a: data "…"` feeds (backslash escapes are the script's) and
//! `a: done` or `a: fail` ends it. Tags: `[types]` prints the columns' types first, `[status]` the transaction status after,
//! `[fetch=2]` runs with a row limit. `a: close` ends a session, `wait 60` lets seconds pass, `settings` prints what was
//! reported, `garbage` runs the background job of gateway 1 once. A text that waits for another session prints `waits`; its own
//! output comes below the command that sets it free.

mod world;

use std::error::Error;

use goldenscript::{Command, Context, Runner};
use test_each_file::test_each_path;

test_each_path! { in "./sql/tests/scripts/session" as session => test }
test_each_path! { in "./sql/tests/scripts/schema" as schema => test }

fn test(path: &std::path::Path) {
    goldenscript::run(&mut Script { world: world::World::new() }, path).expect("script");
}

struct Script {
    world: world::World,
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let session = context.prefix.clone().unwrap_or_else(|| "a".to_owned());
        let argument = || command.consume_args().next_pos().unwrap_or("").to_owned();
        Ok(match command.name.as_str() {
            "data" => self.world.data(&session, argument()),
            "done" => self.world.done(&session),
            "fail" => self.world.fail(&session, argument()),
            "close" => self.world.close(&session),
            "wait" => self.world.wait(argument().parse()?),
            "settings" => self.world.settings(&session),
            "garbage" => self.world.garbage(),
            sql => self.world.run(&session, sql.to_owned(), &context.tags),
        })
    }
}
