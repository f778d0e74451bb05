//! Roles. Whoever may connect is a superuser for now; a role exists as soon as something is owned by it or it is connected.

use std::collections::BTreeSet;

use crate::{catalog::SessionCatalog, session::BOOTSTRAP_ROLE};

/// PostgreSQL's OID of the role that owns the system.
const BOOTSTRAP_OID: u32 = 10;

/// The OID of a role: made from its name, so that every gateway agrees.
pub fn role_oid(name: &str) -> u32 {
    if name == BOOTSTRAP_ROLE {
        return BOOTSTRAP_OID;
    }
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Above every OID of ours that may be near.
    0x8000_0000 | hash
}

/// All roles, by name.
pub fn roles(catalog: &SessionCatalog, user: &str) -> BTreeSet<String> {
    let mut roles = BTreeSet::from([BOOTSTRAP_ROLE.to_owned(), user.to_owned()]);
    roles.extend(catalog.snapshot.schemas().map(|schema| schema.owner.clone()));
    roles.extend(catalog.snapshot.relations().map(|relation| relation.owner.clone()));
    roles
}
