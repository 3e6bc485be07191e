//! Who may do what, for every path there is. Whoever adds one says here, too, whom it is for.

use std::collections::BTreeSet;

use crate::api::testing::{Setup, of};
use crate::store::Role;

/// The least role of each path of the document; the roles above it may the same.
const LEAST: [(Role, &str); 4] = [
    (
        Role::Viewer,
        "GET /alerts
         GET /alerts/stream
         GET /alerts/{id}
         GET /checkpoints
         GET /coverage
         GET /gaps
         GET /health
         GET /incidents
         GET /incidents/{id}
         GET /key
         GET /ledger
         GET /me
         GET /outbox
         GET /outbox/counts
         GET /outbox/{id}
         GET /respond
         GET /responses
         GET /responses/{id}
         GET /retention
         GET /retention/deletions
         GET /rules
         GET /rules/quality
         GET /rules/status
         GET /rules/{id}
         GET /segments
         GET /silences
         GET /silences/{id}
         GET /verify
         GET /verify/{id}",
    ),
    (
        Role::Analyst,
        "DELETE /silences/{id}
         GET /counts
         GET /events
         GET /events/{position}
         GET /events/{position}/trace
         GET /exports
         GET /holds
         GET /holds/{id}
         GET /rejected
         GET /rejected/{id}
         GET /reports/{every}
         GET /rules/{id}/exception
         POST /alerts/{id}/acknowledge
         POST /alerts/{id}/assign
         POST /alerts/{id}/comment
         POST /alerts/{id}/reopen
         POST /alerts/{id}/resolve
         POST /incidents/{id}/acknowledge
         POST /incidents/{id}/assign
         POST /incidents/{id}/resolve
         POST /silences
         POST /silences/preview
         POST /silences/{id}/extend",
    ),
    (
        Role::Responder,
        "POST /gaps
         POST /outbox/redrive
         POST /outbox/{id}/redrive
         POST /rejected/{id}/replay
         POST /respond/resume
         POST /respond/stop
         POST /responses
         POST /responses/undo
         POST /responses/{id}/approve
         POST /responses/{id}/refuse",
    ),
    (
        Role::Admin,
        "DELETE /holds/{id}
         DELETE /tokens/{id}
         GET /audit
         GET /audit/verify
         GET /tokens
         GET /tokens/{id}
         POST /holds
         POST /import
         POST /tokens
         POST /verify",
    ),
];

#[tokio::test]
async fn every_path_opens_to_the_roles_it_is_for_and_to_no_other() {
    let setup = Setup::new(true);
    let document = serde_json::to_value(crate::api::document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{} {}", method.to_uppercase(), path.strip_prefix("/api/v1").unwrap());
            let about = operation["description"].as_str().unwrap();
            let role =
                Role::ALL.into_iter().find(|role| about.ends_with(&format!("the role {}.", role.name())));
            documented.insert((name, role.unwrap()));
        }
    }
    let lines =
        |(role, names): (Role, &'static str)| names.lines().map(move |name| (name.trim().to_owned(), role));
    let expected: BTreeSet<(String, Role)> = LEAST.into_iter().flat_map(lines).collect();
    let differ: Vec<_> = documented.symmetric_difference(&expected).collect();
    assert!(differ.is_empty(), "paths whose role is not what is said here: {differ:?}");
    // Streams have no end of their own.
    setup.guard.end_streams();
    let tokens = Role::ALL.map(|role| (role, setup.token(role.name(), role)));
    for (name, least) in expected {
        let (method, path) = name.split_once(' ').unwrap();
        let path = path.replace("{id}", "nowhere").replace("{position}", "7").replace("{every}", "daily");
        for (role, token) in &tokens {
            let request = of(method, &format!("/api/v1{path}"), Some(token));
            let (status, _, body) = setup.send(request).await;
            let is_refused = status == 403 && body.contains(r#""code":"forbidden""#);
            assert!(status != 401 && is_refused == (*role < least), "{name} as {role:?}: {status} {body}");
        }
    }
}
