//! Mistakes in the settings are found when a responder is built, and what it does without `look` is said.

use super::scene::{Api, NOW, build, named};
use crate::encode::tests_support::notification;
use crate::respond::{Standing, SubjectKind};

#[test]
fn settings_that_make_no_sense_are_refused() {
    let token = "token: {env: SECRET}";
    for (name, yaml, part) in [
        ("gitlab", format!("{{url: 'https://u:p@x', {token}, do: block}}"), "only GitLab's address"),
        ("gitlab", format!("{{url: 'https://x/?a=b', {token}, do: block}}"), "only GitLab's address"),
        ("gitlab", format!("{{url: x, {token}, do: block}}"), "url"),
        ("gitlab", "{url: 'https://x', token: {env: NOPE}, do: block}".to_owned(), "NOPE"),
        ("gitlab", format!("{{url: 'https://x', {token}, do: delete}}"), "unknown variant `delete`"),
        ("gitlab", format!("{{url: 'https://x', {token}, do: lower_member}}"), "to: say the role"),
        ("gitlab", format!("{{url: 'https://x', {token}, do: lower_member, to: owner}}"), "owner"),
        ("gitlab", format!("{{url: 'https://x', {token}, do: block, to: guest}}"), "belongs to"),
        ("gitlab", format!("{{url: 'https://x', {token}, do: block, usr: a}}"), "unknown field `usr`"),
        ("github", format!("{{{token}, do: block}}"), "organization: say"),
        ("github", format!("{{{token}, do: block, organization: a/b}}"), "no name of an organisation"),
        ("github", format!("{{{token}, do: suspend}}"), "Enterprise Server"),
        (
            "github",
            format!("{{url: 'https://x/api/v3', {token}, do: suspend, organization: acme}}"),
            "take it out",
        ),
        ("github", format!("{{{token}, do: revoke_credential, organization: acme}}"), "target:"),
        ("github", format!("{{{token}, do: block, organization: acme, target: x}}"), "target:"),
        ("http", "{url: 'https://x/{{ alert.rule }}'}".to_owned(), "only `subject.id`"),
        ("http", "{url: 'https://{{ subject.id }}/x'}".to_owned(), "no template in or before the host"),
        ("http", "{url: 'https://x{{ subject.id }}'}".to_owned(), "must not be a template"),
        ("http", "{url: '{{ subject.id }}'}".to_owned(), "no template in or before the host"),
        ("http", "{url: 'https://x/', method: 'a b'}".to_owned(), "no HTTP method"),
        ("http", "{url: 'https://x/', body: '{{'}".to_owned(), "body: template"),
        ("http", "{url: 'https://x/', undo: {url: 'https://x/{{ befor }}'}}".to_owned(), "and `before`"),
        (
            "http",
            "{url: 'https://x/', look: {request: {url: 'https://x/'}, pointer: state, after: 1}}".to_owned(),
            "does not begin with `/`",
        ),
    ] {
        match build(name, &yaml) {
            Err(problem) => assert!(problem.to_string().contains(part), "{yaml}: {problem}"),
            Ok(responder) => panic!("{yaml}: {responder:?}"),
        }
    }
}

#[test]
fn another_system_role_or_organization_is_another_aim() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let token = "token: {env: SECRET}";
    let aim = |name: &str, yaml: &str| build(name, yaml).unwrap().aim();
    let lower =
        |more: &str| aim("gitlab", &format!("{{url: 'https://x', {token}, do: lower_member, {more}}}"));
    assert_eq!(lower("to: guest"), lower("to: guest, timeout: 3s, user: user_id"));
    assert_ne!(lower("to: guest"), lower("to: reporter"));
    assert_ne!(lower("to: guest"), lower("to: guest, forge: other"));
    let block =
        |organization: &str| aim("github", &format!("{{{token}, do: block, organization: {organization}}}"));
    assert_ne!(block("acme"), block("other"));
    let call = |yaml: &str| aim("http", yaml);
    let one = call("{url: 'https://x/{{ subject.id }}'}");
    assert_eq!(one, call("{url: 'https://x/{{ subject.id }}', body: '{}', undo: {url: 'https://x/'}}"));
    assert_ne!(one, call("{url: 'https://y/{{ subject.id }}'}"));
    assert_ne!(one, call("{url: 'https://x/{{ subject.id }}', method: DELETE}"));
    assert_eq!(one.len(), 16);
}

#[tokio::test]
async fn without_look_nothing_is_claimed() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let case = named("http");
    let api = case.api().await;
    let yaml = format!(
        "{{url: '{}/api/v4/users/{{{{ subject.id }}}}/block', headers: {{PRIVATE-TOKEN: {{env: SECRET}}}}}}",
        api.url()
    );
    let responder = build("http", &yaml).unwrap();
    assert!(!responder.reads_back() && responder.verb().undo.is_none());
    let subject = responder.subject(&notification()).unwrap();
    assert_eq!((subject.id.as_str(), subject.kind), ("7", SubjectKind::Other));
    let sight = responder.look(&subject, NOW).await.unwrap();
    assert_eq!((sight.standing, sight.state.as_str()), (Standing::ToDo, "not looked at"));
    let receipt = responder.act(&subject, &sight, NOW).await.unwrap();
    assert_eq!(receipt.answer, "201 true");
    let Api::Gitlab(gitlab) = &api else { panic!() };
    assert_eq!(gitlab.state_of(7).unwrap().name(), "blocked");
    assert_eq!(responder.look(&subject, NOW).await.unwrap().standing, Standing::ToDo);
    let error = responder.undo(&subject, &sight.before, NOW).await.unwrap_err();
    assert!(error.reason().contains("no `undo`"), "{error}");
}
