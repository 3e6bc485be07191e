//! `watchfire notify`: what is configured to tell people and programs, and a message to see that it does.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::table;
use super::terminal;
use crate::action::{Action, GuardInput};
use crate::alert::Occasion;
use crate::clock::Clock;
use crate::config::{Config, load_without_secrets};
use crate::deliver::BuildContext;
use crate::encode::example;
use crate::store::DeliveryKind;

/// Options of `watchfire notify`.
#[derive(Debug, Args)]
#[command(after_help = "\
The message tells of an alert that was made up, and says so. Actions that respond are never run.

Examples:
  watchfire notify list --config /etc/watchfire/config.yaml
  watchfire notify test chat --config /etc/watchfire/config.yaml --dry-run
  watchfire notify test pager --config /etc/watchfire/config.yaml --occasion resolved --id 1f")]
pub struct NotifyArgs {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/watchfire/config.yaml")]
    config: PathBuf,
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// List the actions, and on which occasions they are told
    List,
    /// Send an example alert through an action
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The action's configured name
    name: String,
    /// Why it is told
    #[arg(long, value_name = "OCCASION", default_value = "opened", value_parser = occasion)]
    occasion: Occasion,
    /// The example's alert id, in hexadecimal: the same for several occasions of one example; made up when left out
    #[arg(long, value_name = "HEX")]
    id: Option<String>,
    /// Show what would be sent, without its secrets, and send nothing
    #[arg(long)]
    dry_run: bool,
}

fn occasion(text: &str) -> Result<Occasion, String> {
    Occasion::named(text).ok_or_else(|| {
        let known: Vec<&str> = Occasion::ALL.iter().map(|occasion| occasion.name()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

/// Lists actions, or tries one.
pub fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    // Only those of an action itself are needed: whoever tries one may not know the others.
    let config = load_without_secrets(&args.config).map_err(|error| super::Usage(error.to_string()))?;
    let context = BuildContext { env: &env, base: &config.base, egress: &config.egress };
    match &args.command {
        NotifyCommand::List => list(&config, &context),
        NotifyCommand::Test(test) => try_one(&config, &context, test),
    }
}

fn list(config: &Config, context: &BuildContext<'_>) -> anyhow::Result<ExitCode> {
    if config.actions.is_empty() {
        super::say("no actions are configured; see docs/notifications.md");
        return Ok(ExitCode::SUCCESS);
    }
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (name, settings) in &config.actions {
        let (responds, occasions) = match Action::build(name, settings, context) {
            Ok(action) => {
                let wanted = Occasion::ALL.into_iter().filter(|occasion| action.wants(*occasion));
                let names: Vec<&str> = wanted.map(Occasion::name).collect();
                (action.kind() == DeliveryKind::Respond, names.join(", "))
            }
            Err(error) => {
                faults.push(error.to_string());
                (settings.respond().is_some(), "not ready".to_owned())
            }
        };
        let kind = if responds { "responds" } else { "tells" };
        rows.push(vec![name.clone(), settings.words(), kind.to_owned(), occasions]);
    }
    super::print(&table::table(&["NAME", "WHAT", "KIND", "OCCASIONS"], &rows, &[0, 2], terminal::width()))?;
    faults.iter().for_each(|fault| super::say(fault));
    Ok(ExitCode::SUCCESS)
}

fn try_one(config: &Config, context: &BuildContext<'_>, test: &TestArgs) -> anyhow::Result<ExitCode> {
    let Some(settings) = config.actions.get(&test.name) else {
        let known: Vec<&str> = config.actions.keys().map(String::as_str).collect();
        let reason = format!("there is no action `{}`; configured are: {}", test.name, known.join(", "));
        return Err(super::Usage(reason).into());
    };
    let action = Arc::new(Action::build(&test.name, settings, context)?);
    if action.kind() == DeliveryKind::Respond {
        let reason =
            format!("`{}` responds: it would change an account; rehearse it with `dry_run`", test.name);
        return Err(super::Usage(reason).into());
    }
    let now = Clock::system().now();
    let unique = test.id.clone().unwrap_or_else(|| format!("{:016x}{:016x}", now.0, rand::random::<u64>()));
    let told = example(test.occasion, &unique, now);
    super::print(&action.preview(&told, now)?)?;
    if !action.wants(test.occasion) {
        super::say(&format!(
            "note: `{}` is not told of an alert that is {}",
            test.name,
            test.occasion.name()
        ));
    }
    if test.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    match runtime.block_on(action.run(&told, &GuardInput { recent: 0, now })) {
        Ok(outcome) => {
            super::say(&format!("told: {}", outcome.summary));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let hope = match &error {
                crate::deliver::DeliveryError::Retryable { .. } => "the daemon would try again",
                crate::deliver::DeliveryError::Permanent { .. } => "the daemon would give up",
            };
            super::say(&format!("failed ({hope}): {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::stand_in::{Say, StandIn};

    fn args(dir: &std::path::Path, config: &str, command: NotifyCommand) -> NotifyArgs {
        let path = dir.join("w.yaml");
        std::fs::write(&path, config).unwrap();
        NotifyArgs { config: path, command }
    }

    fn test(name: &str, dry_run: bool) -> NotifyCommand {
        NotifyCommand::Test(TestArgs { name: name.into(), occasion: Occasion::Resolved, id: None, dry_run })
    }

    #[test]
    fn an_example_is_sent_and_a_rehearsal_is_not() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(StandIn::start(vec![Say::status(204), Say::status(400)]));
        let dir = tempfile::tempdir().unwrap();
        let config = format!("actions: {{hook: {{type: webhook, url: '{}'}}}}", server.url());
        run(&args(dir.path(), &config, test("hook", true))).unwrap();
        assert!(server.asked().is_empty());
        let sent = run(&args(dir.path(), &config, test("hook", false))).unwrap();
        assert_eq!(format!("{sent:?}"), format!("{:?}", ExitCode::SUCCESS));
        let body: serde_json::Value = serde_json::from_slice(&server.asked().remove(0).body).unwrap();
        assert_eq!((&body["occasion"], &body["triage"]["verdict"]), (&"resolved".into(), &"test".into()));
        assert!(body["alert"]["title"].as_str().unwrap().contains("only a test"));
        let refused = run(&args(dir.path(), &config, test("hook", false))).unwrap();
        assert_eq!(format!("{refused:?}"), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn responses_are_not_tried_and_unknown_names_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = "actions: {call: {type: http, url: 'http://127.0.0.1:1/', kind: respond}}";
        for (name, part) in [("call", "would change an account"), ("cal", "configured are: call")] {
            let error = run(&args(dir.path(), config, test(name, false))).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        run(&args(dir.path(), config, NotifyCommand::List)).unwrap();
        // Whoever tries one action need not know the secrets of sources and of other actions.
        let others = "sources: [{name: s, type: gitlab, path: /in, token: {env: WF_NOT_SET}}]\n\
                      actions: {hook: {type: webhook, url: 'http://127.0.0.1:1/'}, \
                      other: {type: slack, url: {env: WF_NOT_SET}}}";
        run(&args(dir.path(), others, test("hook", true))).unwrap();
        run(&args(dir.path(), others, NotifyCommand::List)).unwrap();
        let error = run(&args(dir.path(), others, test("other", true))).unwrap_err();
        assert!(error.to_string().contains("WF_NOT_SET"), "{error}");
    }
}
