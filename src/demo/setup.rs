//! The demo's folder: the shipped rules and a real configuration that points at the stand-ins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::organisation::SimUser;
use super::rules::RULES;
use super::{DemoError, GitlabApi, HookSink, MailSink};

/// The header of the simulated audit stream.
pub(super) const GITLAB_TOKEN: &str = "demo-stream-token";
/// Watchfire's token at the stand-in GitLab.
pub(super) const ADMIN_TOKEN: &str = "demo-admin-token";
/// The configuration's file in the folder.
pub(super) const CONFIG_NAME: &str = "watchfire.yaml";
/// Where the daemon takes the simulated events.
pub(super) const INGEST_PATH: &str = "/ingest/gitlab";
/// The email action of the configuration below.
pub(super) const MAIL_ACTION: &str = "page-secops";
/// How many forwarders it has.
pub(super) const FORWARDERS: usize = 2;

/// The stand-ins, running.
#[derive(Debug)]
pub(super) struct Scenery {
    pub(super) gitlab: GitlabApi,
    pub(super) mails: MailSink,
    pub(super) hooks: HookSink,
}

/// Writes rules and configuration into `folder`, and answers the configuration's path.
pub(super) fn write(folder: &Path, users: &[SimUser], scenery: &Scenery) -> Result<PathBuf, DemoError> {
    let rules = folder.join("rules").join("gitlab");
    for made in [&rules, &folder.join("data")] {
        std::fs::create_dir_all(made).map_err(|source| DemoError::File { path: made.clone(), source })?;
    }
    for (name, text) in RULES {
        put(rules.join(name), text)?;
    }
    put(folder.join(CONFIG_NAME), &configuration(users, scenery))
}

fn put(path: PathBuf, text: &str) -> Result<PathBuf, DemoError> {
    match std::fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::File { path, source }),
    }
}

/// Looks secrets up.
pub(super) type Secrets = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The secrets that the configuration names; the process's own environment stays out of the demo.
pub(super) fn environment() -> Secrets {
    Arc::new(|name| {
        let value = match name {
            "WATCHFIRE_GITLAB_TOKEN" => GITLAB_TOKEN,
            "WATCHFIRE_INGEST_TOKEN" => "demo-ingest-token",
            "WATCHFIRE_ADMIN_TOKEN" => ADMIN_TOKEN,
            // "the webhook secret of the demo", as Standard Webhooks writes secrets.
            "WATCHFIRE_HOOK_SECRET" => "whsec_dGhlIHdlYmhvb2sgc2VjcmV0IG9mIHRoZSBkZW1v",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// JSON is YAML: texts are written as JSON, so that none needs a look for special characters.
fn configuration(users: &[SimUser], scenery: &Scenery) -> String {
    let mail = scenery.mails.address();
    let (mail_host, mail_port) = (json!(mail.ip().to_string()), mail.port());
    let gitlab = json!(scenery.gitlab.url());
    let webhook = json!(scenery.hooks.webhook_url());
    let forward = json!(scenery.hooks.forward_url());
    let bots = users.iter().filter(|user| user.bot).map(|user| user.username.as_str());
    let never = json!(std::iter::once("root").chain(bots).collect::<Vec<_>>());
    format!(
        r#"# Written by `watchfire demo`. What it talks to are stand-ins on this machine, which end with the demo.
data_dir: data
listen: 127.0.0.1:0
sources:
  - {{name: gitlab, type: gitlab, path: {INGEST_PATH}, token: {{env: WATCHFIRE_GITLAB_TOKEN}}}}
  - name: generic
    type: http
    path: /ingest/generic
    forge: gitlab
    token: {{env: WATCHFIRE_INGEST_TOKEN}}
rules: [rules/gitlab]
actions:
  {MAIL_ACTION}:
    type: email
    smtp: {{host: {mail_host}, port: {mail_port}, security: none}}
    from: "Watchfire <watchfire@example.com>"
    to: [secops@example.com]
  team-chat:
    type: webhook
    url: {webhook}
    secret: {{env: WATCHFIRE_HOOK_SECRET}}
  block-author:
    type: gitlab
    url: {gitlab}
    token: {{env: WATCHFIRE_ADMIN_TOKEN}}
    do: block
    dry_run: false
    never: {never}
    at_most: {{count: 20, per: 1h}}
responses: {{in_log: false, at_most: [{{accounts: 20, per: 1h}}]}}
routes:
  - {{actions: [{MAIL_ACTION}]}}
  - {{levels: [high, critical], actions: [team-chat]}}
  # Only administrators can delete an audit stream, and no administrator is ever blocked: a person is asked.
  - {{rules: [gitlab-audit-stream-deleted], actions: [block-author]}}
forward:
  - {{name: siem, type: http, url: {forward}}}
  - {{name: archive, type: file, path: archive.ndjson}}
"#
    )
}
