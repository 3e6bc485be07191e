//! Who and what is never touched, whatever is configured.

use std::fmt::Write;

use super::scene::{Api, Case, Ended, NOW, attempt, named};
use crate::demo::AccountState;

/// What is done to the world first.
type Edit = fn(&Api);

fn nothing(_: &Api) {}

fn gitlab(api: &Api, change: impl FnOnce(&mut crate::demo::GitlabWorld)) {
    if let Api::Gitlab(api) = api {
        api.edit(change);
    }
}

fn github(api: &Api, change: impl FnOnce(&mut crate::demo::GithubWorld)) {
    if let Api::Github(api) = api {
        api.edit(change);
    }
}

fn weak_gitlab(api: &Api) {
    gitlab(api, |world| world.tokens[0].scope = "read_api");
}

/// Its token belongs to an account that administers nothing.
fn no_admin(api: &Api) {
    gitlab(api, |world| world.users.get_mut(&99).unwrap().is_admin = false);
}

/// The same, and it owns the group.
fn group_owner(api: &Api) {
    no_admin(api);
    gitlab(api, |world| {
        let mut own = world.places["groups/5"].members[&20].clone();
        own.level = 50;
        world.places.get_mut("groups/5").unwrap().members.insert(99, own);
    });
}

fn second_owner_blocked(api: &Api) {
    gitlab(api, |world| {
        let owner = world.places["groups/5"].members[&20].clone();
        world.places.get_mut("groups/5").unwrap().members.insert(8, owner);
        world.users.get_mut(&8).unwrap().state = AccountState::Blocked;
    });
}

fn second_owner(api: &Api) {
    second_owner_blocked(api);
    gitlab(api, |world| world.users.get_mut(&8).unwrap().state = AccountState::Active);
}

fn weak_github(api: &Api) {
    github(api, |world| world.tokens[0].scopes = vec!["read:org"]);
}

fn no_owner(api: &Api) {
    github(api, |world| {
        let organization = world.organizations.get_mut("acme").unwrap();
        "member".clone_into(&mut organization.members.get_mut(&99).unwrap().role);
    });
}

fn no_site_admin(api: &Api) {
    github(api, |world| world.accounts.get_mut(&99).unwrap().site_admin = false);
}

fn stranger_joined(api: &Api) {
    github(api, |world| {
        let organization = world.organizations.get_mut("acme").unwrap();
        let member = organization.members[&7].clone();
        organization.members.insert(8, member);
    });
}

fn rows() -> Vec<(&'static str, Case, Edit)> {
    let gitlab = |verb: &str| named(&format!("gitlab {verb}"));
    let (block, remove) = (gitlab("block"), gitlab("remove_member (group)"));
    let (token, ssh) = (gitlab("revoke_token (personal)"), gitlab("delete_ssh_key"));
    let github_block = named("github block");
    let github_remove = named("github remove_member");
    let elsewhere = |case: Case, within| Case { within: Some(within), ..case };
    vec![
        ("an administrator", block.about("1"), nothing),
        ("Watchfire itself", block.about("99"), nothing),
        ("a bot", block.about("15"), nothing),
        ("the ghost user", block.about("16"), nothing),
        ("blocked by LDAP", gitlab("unblock").about("14"), nothing),
        ("nobody", block.about("4711"), nothing),
        ("a token that administers nothing", block, no_admin),
        ("a token that may only read", block, weak_gitlab),
        ("to ban who is blocked", gitlab("ban").about("8"), nothing),
        ("to unban who is blocked", gitlab("unban").about("8"), nothing),
        ("to deactivate who was active lately", gitlab("deactivate").about("7"), nothing),
        ("an administrator's token", token.about("21"), nothing),
        ("Watchfire's own token", token.about("19"), nothing),
        ("a token that is not there", token.about("4711"), nothing),
        ("a project's token in a project that is not there", elsewhere(token, "projects/77"), nothing),
        ("an administrator's key", elsewhere(ssh.about("6"), "users/1"), nothing),
        ("a key of somebody else", elsewhere(ssh, "users/8"), nothing),
        ("a deploy key as a user's", ssh.about("5"), nothing),
        ("an administrator's membership", remove.about("1"), nothing),
        ("a bot's membership", remove.about("15"), nothing),
        ("the last owner", remove.about("20"), nothing),
        ("the last owner who may sign in", remove.about("20"), second_owner_blocked),
        ("one of two owners", remove.about("20"), second_owner),
        ("to lower the last owner", gitlab("lower_member").about("20"), nothing),
        ("a member by way of the group above", gitlab("remove_member (project)").about("11"), nothing),
        ("no member", remove.about("9"), nothing),
        ("a group that is not there", elsewhere(remove, "groups/77"), nothing),
        ("a member, by a token of the group's owner", remove, group_owner),
        ("GitHub: an owner", github_remove.about("1"), nothing),
        ("GitHub: Watchfire itself", github_remove.about("99"), nothing),
        ("GitHub: a bot", github_remove.about("15"), nothing),
        ("GitHub: nobody", github_remove.about("4711"), nothing),
        ("GitHub: no member", github_remove.about("8"), nothing),
        ("GitHub: a token of no owner", github_remove, no_owner),
        ("GitHub: a token without the scope", github_remove, weak_github),
        ("GitHub: to block a member", github_block, stranger_joined),
        ("GitHub: to block with a token without the scope", github_block, weak_github),
        ("GitHub: to suspend without being a site administrator", named("github suspend"), no_site_admin),
        ("GitHub: to suspend Watchfire itself", named("github suspend").about("99"), nothing),
        ("GitHub: an owner's credential", named("github revoke_credential").about("162"), nothing),
        ("GitHub: a credential that is not there", named("github revoke_credential").about("4711"), nothing),
        ("http: in another state than it is for", named("http").about("9"), nothing),
        ("http: nobody", named("http").about("4711"), nothing),
    ]
}

#[tokio::test]
async fn some_are_never_touched() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut table = String::new();
    for (words, case, edit) in rows() {
        let api = case.api().await;
        edit(&api);
        let before = api.world();
        let ended = attempt(&case.responder(&api, "60s"), &case.subject()).await;
        assert_eq!(ended == Ended::Done, api.world() != before, "{words}: {ended}");
        writeln!(table, "{words} ({})\n    {}", case.name, ended.to_string().replace(&api.url(), "FORGE"))
            .unwrap();
    }
    insta::assert_snapshot!("refusals", table);
}

/// Its number is another's by now, or was never in this system.
#[tokio::test]
async fn subjects_of_other_systems_are_not_looked_up() {
    drop(rustls::crypto::ring::default_provider().install_default());
    for name in ["gitlab block", "github block"] {
        let case = named(name);
        let api = case.api().await;
        let responder = case.responder(&api, "60s");
        let mut other = case.subject();
        other.forge = "gitlab-b".to_owned();
        let error = responder.look(&other, NOW).await.unwrap_err();
        assert!(error.reason().contains("at the forge gitlab-b"), "{error}");
        for id in ["0", "-1", "7/../1", "", "@a/b", "seven"] {
            other = case.subject();
            id.clone_into(&mut other.id);
            assert!(responder.look(&other, NOW).await.is_err(), "{name}: {id}");
        }
        assert_eq!(api.changes(), 0);
    }
    let case = named("gitlab remove_member (group)");
    let api = case.api().await;
    for within in ["users/7", "groups/", "groups/5/members/1", "groups/../users", ""] {
        let mut subject = case.subject();
        subject.within = Some(within.to_owned());
        let error = case.responder(&api, "60s").look(&subject, NOW).await.unwrap_err();
        assert!(error.reason().contains("is not one of groups, projects"), "{error}");
    }
}
