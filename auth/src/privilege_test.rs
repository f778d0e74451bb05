use super::*;

const OWNER: RoleId = 1;
const CLERK: RoleId = 2;
const STAFF: RoleId = 3;
const ROOT: RoleId = 4;
const GUEST: RoleId = 5;

fn roles(inherit: bool) -> Roles {
    let membership = |role, admin| Membership { role, grantor: OWNER, admin };
    let plain = RoleFacts { inherit: true, ..RoleFacts::default() };
    Roles::from([
        (OWNER, plain.clone()),
        (CLERK, RoleFacts { inherit, memberships: vec![membership(STAFF, true)], ..plain.clone() }),
        (STAFF, plain.clone()),
        (ROOT, RoleFacts { superuser: true, ..plain.clone() }),
        (GUEST, plain),
    ])
}

fn table(acl: &Acl, who: RoleId, inherit: bool) -> String {
    held(&roles(inherit), who, Object::Table, OWNER, Some(acl)).to_string()
}

#[test]
fn only_the_owner_and_superusers_begin_with_something() {
    let all = Object::Table.all();
    for (who, expected) in [(OWNER, all), (ROOT, all), (CLERK, Privileges::NONE), (99, Privileges::NONE)] {
        assert_eq!(held(&roles(true), who, Object::Table, OWNER, None), expected, "{who}");
    }
    let everybody = held(&roles(true), GUEST, Object::Database, OWNER, None);
    assert_eq!(everybody, Privileges::CONNECT | Privileges::TEMPORARY);
}

#[test]
fn privileges_come_by_membership_where_they_are_inherited() {
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.grant(OWNER, STAFF, Privileges::SELECT, false);
    acl.grant(OWNER, PUBLIC, Privileges::INSERT, false);
    assert_eq!(table(&acl, CLERK, true), "INSERT, SELECT");
    assert_eq!(table(&acl, CLERK, false), "INSERT");
    assert_eq!(table(&acl, GUEST, true), "INSERT");
    assert!(membership(&roles(false), CLERK, false).contains(&STAFF), "SET ROLE is open to it all the same");
}

#[test]
fn an_owner_may_take_its_own_privileges_but_not_its_right_to_grant() {
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.revoke(OWNER, OWNER, Privileges::SELECT, false, false, OWNER).unwrap();
    assert!(!held(&roles(true), OWNER, Object::Table, OWNER, Some(&acl)).contains(Privileges::SELECT));
    let (by, options) = grantor(&roles(true), OWNER, Object::Table, OWNER, &acl, Privileges::SELECT);
    assert_eq!((by, options.contains(Privileges::SELECT)), (OWNER, true));
}

#[test]
fn what_was_passed_on_goes_with_cascade_only() {
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.grant(OWNER, CLERK, Privileges::SELECT, true);
    let (by, options) = grantor(&roles(true), CLERK, Object::Table, OWNER, &acl, Privileges::SELECT);
    assert_eq!((by, options), (CLERK, Privileges::SELECT));
    acl.grant(by, GUEST, options, false);
    let kept = acl.clone();
    assert_eq!(acl.revoke(OWNER, CLERK, Privileges::SELECT, false, false, OWNER), Err(PassedOn));
    let mut acl = kept;
    acl.revoke(OWNER, CLERK, Privileges::SELECT, false, true, OWNER).unwrap();
    assert_eq!(acl, Acl::standard(Object::Table, OWNER));
}

#[test]
fn without_a_grant_option_nothing_can_be_passed_on() {
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.grant(OWNER, CLERK, Privileges::SELECT, false);
    let (_, options) = grantor(&roles(true), CLERK, Object::Table, OWNER, &acl, Privileges::SELECT);
    assert!(options.is_empty());
    let (by, options) = grantor(&roles(true), ROOT, Object::Table, OWNER, &acl, Privileges::SELECT);
    assert_eq!((by, options), (OWNER, Object::Table.all()), "a superuser grants as the owner");
}

#[test]
fn lists_are_shown_as_postgresql_shows_them() {
    let name = |role: RoleId| ["", "owner", "clerk"][role as usize].to_owned();
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.grant(OWNER, CLERK, Privileges::SELECT | Privileges::INSERT, false);
    acl.grant(OWNER, CLERK, Privileges::SELECT, true);
    acl.grant(OWNER, PUBLIC, Privileges::SELECT, false);
    let shown: Vec<String> = acl.0.iter().map(|item| item.show(&name)).collect();
    assert_eq!(shown, ["owner=arwdDxt/owner", "clerk=ar*/owner", "=r/owner"]);
}

#[test]
fn a_new_owner_takes_over_the_old_ones_grants() {
    let mut acl = Acl::standard(Object::Table, OWNER);
    acl.grant(OWNER, CLERK, Privileges::SELECT, false);
    acl.change_owner(OWNER, CLERK);
    let name = |role: RoleId| role.to_string();
    assert_eq!(acl.0.iter().map(|item| item.show(&name)).collect::<Vec<_>>(), ["2=arwdDxt/2"]);
}

#[test]
fn admission_needs_the_admin_option() {
    assert!(may_admit(&roles(true), CLERK, STAFF));
    assert!(may_admit(&roles(true), ROOT, STAFF));
    assert!(!may_admit(&roles(true), GUEST, STAFF));
    assert!(!may_admit(&roles(true), STAFF, STAFF));
}

#[test]
fn circles_of_membership_end() {
    let mut circle = roles(true);
    circle.get_mut(&STAFF).unwrap().memberships.push(Membership { role: CLERK, grantor: OWNER, admin: false });
    assert_eq!(membership(&circle, CLERK, true), BTreeSet::from([CLERK, STAFF]));
}
