//! `/api/v1/rules`: which rules run, what they found, and what is wrong with their files.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Cursor, Page, PageAsked};
use super::problem::Problem;
use crate::alert::Level;
use crate::engine::{RuleSet, Unit};
use crate::event::Catalogue;
use crate::rule::ast::Body;
use crate::rule::{Diagnostic, Severity};
use crate::store::RuleAlerts;
use crate::time::Timestamp;

const LIST: &str = "rules";
/// More mistakes than this help nobody at once.
const PROBLEMS_MAX: usize = 1_000;

/// How the rule files were read last.
#[derive(Debug)]
pub struct RulesStatus {
    /// The rules that run.
    pub rules: Arc<RuleSet>,
    /// What is wrong with the files as they are now.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that are broken and run in their last good version.
    pub kept: Vec<Arc<str>>,
    /// When.
    pub read_at: Timestamp,
}

impl RulesStatus {
    /// What the rules see of events beyond their bytes.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        self.rules.catalogue()
    }
}

/// What a rule looks for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RuleKind {
    /// Each matching event.
    Single,
    /// What the matching events of a key amount to.
    Behavior,
    /// What other rules found.
    Correlation,
    /// What a script says.
    Script,
}

/// A rule that runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rule {
    id: String,
    title: String,
    level: Level,
    /// `experimental`, `test`, `stable` and so on.
    status: Option<String>,
    kind: RuleKind,
    tags: Vec<String>,
    /// The fields that set its groups apart.
    key: Vec<String>,
    /// Whether it only feeds correlations and alerts nobody by itself.
    silent: bool,
    file: String,
    /// Where in the file it begins.
    line: u32,
    /// How many alerts it has raised.
    alerts: u64,
    /// The event time of the newest one's last finding.
    #[schema(format = DateTime)]
    last_alert_at: Option<String>,
}

/// A rule with what its author wrote for people.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleWhole {
    #[serde(flatten)]
    rule: Rule,
    description: Option<String>,
    references: Vec<String>,
    falsepositives: Vec<String>,
    /// The actions it names.
    respond: Vec<String>,
    /// Whether responses to its alerts only rehearse.
    dry_run: bool,
    /// What is wrong with its file as it is now.
    problems: Vec<FileProblem>,
}

/// Something that is wrong with a rule file or a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileProblem {
    severity: Severity,
    /// A stable short name.
    code: String,
    message: String,
    help: Option<String>,
    file: String,
    /// From 1; 0 when the file as a whole is meant.
    line: u32,
    /// From 1, in characters.
    column: u32,
    /// Whether the file's last good version goes on.
    last_good_version_runs: bool,
}

/// How the rule files were read last.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Loaded {
    #[schema(format = DateTime)]
    read_at: String,
    /// How many rules run.
    rules: u64,
    errors: u64,
    warnings: u64,
    /// What is wrong with the files, at most 1,000.
    problems: Vec<FileProblem>,
}

impl Rule {
    fn new(unit: &Unit, alerts: Option<&RuleAlerts>) -> Self {
        let rule = &unit.rule;
        let kind = match &rule.body {
            Body::Single(_) => RuleKind::Single,
            Body::Behavior(..) => RuleKind::Behavior,
            Body::Correlation(_) => RuleKind::Correlation,
            Body::Script(..) => RuleKind::Script,
        };
        Self {
            id: rule.id.to_string(),
            title: rule.title.clone(),
            level: rule.level,
            status: rule.status.clone(),
            kind,
            tags: rule.tags.clone(),
            key: unit.key_names.clone(),
            silent: unit.is_silent,
            file: rule.origin.path.to_string(),
            line: rule.origin.line,
            alerts: alerts.map_or(0, |alerts| alerts.count),
            last_alert_at: alerts.map(|alerts| alerts.last_at.to_string()),
        }
    }
}

impl RulesStatus {
    fn problem(&self, found: &Diagnostic) -> FileProblem {
        FileProblem {
            severity: found.severity,
            code: found.code.to_owned(),
            message: found.message.clone(),
            help: found.help.clone(),
            file: found.path.to_string(),
            line: found.line,
            column: found.column,
            last_good_version_runs: self.kept.contains(&found.path),
        }
    }

    fn count(&self, severity: Severity) -> u64 {
        self.diagnostics.iter().filter(|found| found.severity == severity).count() as u64
    }
}

async fn alerts(control: &Control) -> Result<BTreeMap<String, RuleAlerts>, Problem> {
    let counted = control.ask(|store| store.alerts_by_rule()).await?;
    Ok(counted.into_iter().map(|alerts| (alerts.rule.clone(), alerts)).collect())
}

/// List rules
///
/// Those that run, by id, with how many alerts each has raised.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", params(PageAsked),
    responses((status = 200, description = "A page of rules", body = Page<Rule>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(PageAsked { cursor, limit }): Asked<PageAsked>,
) -> Result<Json<Page<Rule>>, Problem> {
    let after = cursor.map(|cursor| Ok::<_, Problem>(cursor.place::<1>(LIST)?[0].to_owned())).transpose()?;
    let alerts = alerts(&control).await?;
    let status = Arc::clone(&control.rules.borrow());
    let mut units: Vec<&Unit> = status.rules.units().iter().collect();
    units.retain(|unit| after.as_deref().is_none_or(|after| &*unit.rule.id > after));
    units.sort_by(|one, other| one.rule.id.cmp(&other.rule.id));
    units.truncate(limit.and_one());
    let place = |unit: &&Unit| Cursor::new(LIST, &[&unit.rule.id]);
    Ok(Json(Page::new(units, limit, place, |unit| Rule::new(unit, alerts.get(&*unit.rule.id)))))
}

/// Show how the rule files were read
///
/// How many rules run, and all that is wrong with the files.
#[utoipa::path(get, path = "/api/v1/rules/status", tag = "rules",
    responses((status = 200, description = "The last reading", body = Loaded)))]
pub(super) async fn status(State(control): State<Arc<Control>>) -> Json<Loaded> {
    let status = Arc::clone(&control.rules.borrow());
    Json(Loaded {
        read_at: status.read_at.to_string(),
        rules: status.rules.units().len() as u64,
        errors: status.count(Severity::Error),
        warnings: status.count(Severity::Warning),
        problems: status.diagnostics.iter().take(PROBLEMS_MAX).map(|found| status.problem(found)).collect(),
    })
}

/// Show a rule
#[utoipa::path(get, path = "/api/v1/rules/{id}", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = RuleWhole)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<RuleWhole>, Problem> {
    let alerts = alerts(&control).await?;
    let status = Arc::clone(&control.rules.borrow());
    let unit = status.rules.unit(&id).ok_or_else(|| Problem::missing("rule of this id that runs"))?;
    let rule = &unit.rule;
    let own = status.diagnostics.iter().filter(|found| found.path == rule.origin.path);
    Ok(Json(RuleWhole {
        rule: Rule::new(unit, alerts.get(&id)),
        description: rule.description.clone(),
        references: rule.references.clone(),
        falsepositives: rule.falsepositives.clone(),
        respond: rule.respond.clone(),
        dry_run: rule.dry_run,
        problems: own.take(PROBLEMS_MAX).map(|found| status.problem(found)).collect(),
    }))
}
