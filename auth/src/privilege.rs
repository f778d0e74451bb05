//! What a role may do: roles, their membership, and access control lists as PostgreSQL keeps them. Pure decisions over what
//! the catalog has stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{BitAnd, BitOr, Not},
};

use serde::{Deserialize, Serialize};

/// The OID of a role.
pub type RoleId = u32;

/// Everybody, as the grantee of a privilege.
pub const PUBLIC: RoleId = 0;

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges(u16);

/// In the order in which lists show them.
const LETTERS: [(Privileges, char, &str); 12] = [
    (Privileges::INSERT, 'a', "INSERT"),
    (Privileges::SELECT, 'r', "SELECT"),
    (Privileges::UPDATE, 'w', "UPDATE"),
    (Privileges::DELETE, 'd', "DELETE"),
    (Privileges::TRUNCATE, 'D', "TRUNCATE"),
    (Privileges::REFERENCES, 'x', "REFERENCES"),
    (Privileges::TRIGGER, 't', "TRIGGER"),
    (Privileges::EXECUTE, 'X', "EXECUTE"),
    (Privileges::USAGE, 'U', "USAGE"),
    (Privileges::CREATE, 'C', "CREATE"),
    (Privileges::TEMPORARY, 'T', "TEMPORARY"),
    (Privileges::CONNECT, 'c', "CONNECT"),
];

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(1 << 1);
    pub const UPDATE: Privileges = Privileges(1 << 2);
    pub const DELETE: Privileges = Privileges(1 << 3);
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    pub const EXECUTE: Privileges = Privileges(1 << 7);
    pub const USAGE: Privileges = Privileges(1 << 8);
    pub const CREATE: Privileges = Privileges(1 << 9);
    pub const TEMPORARY: Privileges = Privileges(1 << 10);
    pub const CONNECT: Privileges = Privileges(1 << 11);

    /// By its name in SQL.
    pub fn by_name(name: &str) -> Option<Privileges> {
        let name = if name.eq_ignore_ascii_case("TEMP") { "TEMPORARY" } else { name };
        LETTERS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name)).map(|(privilege, ..)| *privilege)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn intersects(self, other: Privileges) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of those in the set.
    pub fn names(self) -> impl Iterator<Item = (Privileges, &'static str)> {
        LETTERS.iter().filter(move |(privilege, ..)| self.contains(*privilege)).map(|(one, _, name)| (*one, *name))
    }
}

impl BitOr for Privileges {
    type Output = Privileges;
    fn bitor(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }
}

impl BitAnd for Privileges {
    type Output = Privileges;
    fn bitand(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }
}

impl Not for Privileges {
    type Output = Privileges;
    fn not(self) -> Privileges {
        Privileges(!self.0)
    }
}

/// What privileges are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Object {
    Table,
    Column,
    Sequence,
    Schema,
    Database,
}

impl Object {
    /// All privileges that there are on such an object.
    pub fn all(self) -> Privileges {
        use Privileges as P;
        match self {
            Object::Table => P::INSERT | P::SELECT | P::UPDATE | P::DELETE | P::TRUNCATE | P::REFERENCES | P::TRIGGER,
            Object::Column => P::INSERT | P::SELECT | P::UPDATE | P::REFERENCES,
            Object::Sequence => P::SELECT | P::UPDATE | P::USAGE,
            Object::Schema => P::USAGE | P::CREATE,
            Object::Database => P::CREATE | P::TEMPORARY | P::CONNECT,
        }
    }

    /// As an error names it.
    pub fn name(self) -> &'static str {
        match self {
            Object::Table => "table",
            Object::Column => "column",
            Object::Sequence => "sequence",
            Object::Schema => "schema",
            Object::Database => "database",
        }
    }
}

/// What somebody has granted to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    /// [`PUBLIC`]: everybody.
    pub grantee: RoleId,
    pub grantor: RoleId,
    pub privileges: Privileges,
    /// Those of them that the grantee may pass on.
    pub grantable: Privileges,
}

/// The access control list of one object. An object without one has [`Acl::standard`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl(pub Vec<AclItem>);

/// A privilege cannot be taken back because it was passed on, and CASCADE was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOn;

impl Acl {
    /// What holds before anybody has granted or revoked anything.
    pub fn standard(object: Object, owner: RoleId) -> Acl {
        let item = |grantee, privileges| AclItem { grantee, grantor: owner, privileges, grantable: Privileges::NONE };
        let everybody = match object {
            Object::Database => Privileges::TEMPORARY | Privileges::CONNECT,
            _ => Privileges::NONE,
        };
        let mut items = Vec::new();
        if !everybody.is_empty() {
            items.push(item(PUBLIC, everybody));
        }
        if object != Object::Column {
            items.push(item(owner, object.all()));
        }
        Acl(items)
    }

    /// Adds privileges.
    pub fn grant(&mut self, grantor: RoleId, grantee: RoleId, privileges: Privileges, with_option: bool) {
        let position = self.position(grantor, grantee).unwrap_or_else(|| {
            let none = Privileges::NONE;
            self.0.push(AclItem { grantee, grantor, privileges: none, grantable: none });
            self.0.len() - 1
        });
        let item = &mut self.0[position];
        item.privileges = item.privileges | privileges;
        if with_option {
            item.grantable = item.grantable | privileges;
        }
    }

    /// Takes privileges back that `grantor` has granted, or only the right to pass them on. What the grantee has passed on goes
    /// with it (`cascade`), or forbids it. `owner` may pass on everything always.
    pub fn revoke(
        &mut self,
        grantor: RoleId,
        grantee: RoleId,
        privileges: Privileges,
        only_option: bool,
        cascade: bool,
        owner: RoleId,
    ) -> Result<(), PassedOn> {
        let Some(position) = self.position(grantor, grantee) else { return Ok(()) };
        let item = &mut self.0[position];
        let lost_options = item.grantable & privileges;
        item.grantable = item.grantable & !privileges;
        if !only_option {
            item.privileges = item.privileges & !privileges;
        }
        if item.privileges.is_empty() {
            self.0.remove(position);
        }
        if grantee == owner || lost_options.is_empty() {
            return Ok(());
        }
        // Somebody else may have given it the same right.
        let still = self.0.iter().filter(|item| item.grantee == grantee);
        let kept = still.fold(Privileges::NONE, |kept, item| kept | item.grantable);
        let lost = lost_options & !kept;
        let dependents: Vec<AclItem> =
            self.0.iter().filter(|item| item.grantor == grantee && item.privileges.intersects(lost)).copied().collect();
        if !dependents.is_empty() && !cascade {
            return Err(PassedOn);
        }
        for dependent in dependents {
            self.revoke(grantee, dependent.grantee, lost, false, true, owner)?;
        }
        Ok(())
    }

    /// The owner has changed: what the old one granted is now granted by the new one.
    pub fn change_owner(&mut self, old: RoleId, new: RoleId) {
        for item in std::mem::take(&mut self.0) {
            let of = |role| if role == old { new } else { role };
            let (grantor, grantee) = (of(item.grantor), of(item.grantee));
            self.grant(grantor, grantee, item.privileges, false);
            self.grant(grantor, grantee, item.grantable, true);
        }
    }

    /// Whether the role is mentioned.
    pub fn names(&self, role: RoleId) -> bool {
        self.0.iter().any(|item| item.grantee == role || item.grantor == role)
    }

    fn position(&self, grantor: RoleId, grantee: RoleId) -> Option<usize> {
        self.0.iter().position(|item| item.grantor == grantor && item.grantee == grantee)
    }
}

impl AclItem {
    /// As PostgreSQL's `aclitem` is written: `clerk=arw*/owner`.
    pub fn show(&self, name: &dyn Fn(RoleId) -> String) -> String {
        let mut text = if self.grantee == PUBLIC { String::new() } else { name(self.grantee) };
        text.push('=');
        for (privilege, letter, _) in LETTERS {
            if self.privileges.contains(privilege) {
                text.push(letter);
                if self.grantable.contains(privilege) {
                    text.push('*');
                }
            }
        }
        text.push('/');
        text.push_str(&name(self.grantor));
        text
    }
}

/// What decisions need to know of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleFacts {
    pub superuser: bool,
    /// Uses the privileges of the roles it is a member of without SET ROLE.
    pub inherit: bool,
    pub memberships: Vec<Membership>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The role that the member belongs to.
    pub role: RoleId,
    pub grantor: RoleId,
    /// May make others members.
    pub admin: bool,
}

/// All roles by id.
pub type Roles = BTreeMap<RoleId, RoleFacts>;

pub fn is_superuser(roles: &Roles, who: RoleId) -> bool {
    roles.get(&who).is_some_and(|role| role.superuser)
}

/// The roles that `who` is a member of, itself and indirect ones included; with `inherited` those whose privileges it uses.
pub fn membership(roles: &Roles, who: RoleId, inherited: bool) -> BTreeSet<RoleId> {
    let mut found = BTreeSet::from([who]);
    let mut left = vec![who];
    while let Some(next) = left.pop() {
        let Some(role) = roles.get(&next) else { continue };
        if inherited && !role.inherit {
            continue;
        }
        left.extend(role.memberships.iter().map(|membership| membership.role).filter(|role| found.insert(*role)));
    }
    found
}

/// Whether `who` may do what only `owner` may.
pub fn acts_as(roles: &Roles, who: RoleId, owner: RoleId) -> bool {
    is_superuser(roles, who) || membership(roles, who, true).contains(&owner)
}

/// Whether `who` may make others members of `role`.
pub fn may_admit(roles: &Roles, who: RoleId, role: RoleId) -> bool {
    let admin = |member: &RoleId| {
        let memberships = roles.get(member).map_or(&[][..], |facts| &facts.memberships);
        memberships.iter().any(|membership| membership.role == role && membership.admin)
    };
    is_superuser(roles, who) || membership(roles, who, true).iter().any(admin)
}

/// The privileges that `who` has on an object; all of them for a superuser.
pub fn held(roles: &Roles, who: RoleId, object: Object, owner: RoleId, acl: Option<&Acl>) -> Privileges {
    if is_superuser(roles, who) {
        return object.all();
    }
    let standard;
    let acl = match acl {
        Some(acl) => acl,
        None => {
            standard = Acl::standard(object, owner);
            &standard
        }
    };
    let mine = membership(roles, who, true);
    let counts = |item: &&AclItem| item.grantee == PUBLIC || mine.contains(&item.grantee);
    acl.0.iter().filter(counts).fold(Privileges::NONE, |held, item| held | item.privileges)
}

/// In whose name `who` grants, and which privileges that one may pass on: the owner's, where `who` may act as the owner.
pub fn grantor(
    roles: &Roles,
    who: RoleId,
    object: Object,
    owner: RoleId,
    acl: &Acl,
    wanted: Privileges,
) -> (RoleId, Privileges) {
    if acts_as(roles, who, owner) {
        return (owner, object.all());
    }
    let options = |role: RoleId| {
        let items = acl.0.iter().filter(|item| item.grantee == role);
        items.fold(Privileges::NONE, |options, item| options | item.grantable) & wanted
    };
    // The one who may pass on most of it; the role itself before those it belongs to.
    let mut best = (who, options(who));
    for role in membership(roles, who, true) {
        let found = options(role);
        if found.0.count_ones() > best.1.0.count_ones() {
            best = (role, found);
        }
    }
    best
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().map(|(_, name)| name).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
#[path = "privilege_test.rs"]
mod tests;
