//! The settings that say for whom a session works. Nothing but the session itself changes them, after it has decided that it
//! may (`session::identity`).

use std::sync::Arc;

use super::{Overrides, Settings};
use crate::error::Result;

impl Settings {
    /// Sets `role` or `session_authorization`, after it was found to be allowed; `None`: as at start-up.
    pub(crate) fn set_identity(&mut self, name: &'static str, value: Option<&str>, local: bool) -> Result<()> {
        let value = value.map(str::to_owned).or_else(|| self.startup.get(name).cloned());
        self.apply(name, value.as_deref(), local);
        Ok(())
    }

    /// What `is_superuser` says: of whoever the session works for, so it goes with the identity.
    pub(crate) fn set_superuser(&mut self, superuser: bool, local: bool) {
        self.apply("is_superuser", Some(if superuser { "on" } else { "off" }), local);
    }

    fn apply(&mut self, name: &str, value: Option<&str>, local: bool) {
        let apply = |map: &mut Overrides| match value {
            Some(value) => drop(Arc::make_mut(map).insert(name.to_owned(), value.to_owned())),
            None => drop(Arc::make_mut(map).remove(name)),
        };
        apply(&mut self.current);
        if !local {
            apply(&mut self.session);
        }
        self.generation += 1;
    }

    /// `RESET ALL`: everything but the identity.
    pub fn reset_all(&mut self) {
        let identity: Vec<(String, String)> = ["role", "session_authorization", "is_superuser"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.session.get(*name)?.clone())))
            .collect();
        let mut values = (*self.startup).clone();
        values.extend(identity);
        self.session = Arc::new(values);
        self.current = Arc::clone(&self.session);
        self.generation += 1;
    }
}
