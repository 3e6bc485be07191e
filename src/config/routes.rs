//! What is wrong with `routes`, `inhibit`, `maintenance`, `storm` and `notices` although every key is known.

use super::document::Document;
use super::error::Findings;
use super::suggest;
use super::tree::Node;

/// More routes inside each other are refused.
const DEPTH_MAX: usize = 8;
/// More routes are refused.
const ROUTES_MAX: usize = 1_000;
/// More inhibitions, and more maintenance windows, are refused.
const RULES_MAX: usize = 200;

/// Looks at all of them.
pub(super) fn check<'n>(
    document: &Document,
    section: &impl Fn(&str) -> &'n Node,
    findings: &mut Findings<'_>,
) {
    let mut look = Look { document, findings, count: 0 };
    look.routes(section("routes"), 1);
    for (name, count) in [("inhibit", document.inhibit.len()), ("maintenance", document.maintenance.len())] {
        if count > RULES_MAX {
            look.add(
                "route",
                section(name),
                format!("`{name}` has more than {RULES_MAX} entries"),
                "make some of them one".to_owned(),
            );
        }
    }
    for (number, inhibition) in document.inhibit.iter().enumerate() {
        let Some(node) = section("inhibit").items().get(number) else { continue };
        for (key, condition) in [("when", &inhibition.when), ("hold", &inhibition.hold)] {
            if condition.is_empty() {
                let help =
                    "say which alerts: levels, tags, rules, entities, sources, forges or authors".to_owned();
                look.add("inhibit", node.get(key).unwrap_or(node), format!("`{key}` asks for nothing"), help);
            }
        }
    }
    let windows = section("maintenance");
    super::check::unique(windows, "name", "maintenance window", look.findings);
    if let Some(actions) = section("notices").get("actions") {
        look.tells(actions);
    }
}

struct Look<'a, 'f> {
    document: &'a Document,
    findings: &'a mut Findings<'f>,
    count: usize,
}

impl Look<'_, '_> {
    fn routes(&mut self, list: &Node, depth: usize) {
        for route in list.items() {
            self.count += 1;
            if self.count == ROUTES_MAX + 1 {
                let help = "several rules, tags or levels can stand in one route".to_owned();
                self.add("route", route, format!("there are more than {ROUTES_MAX} routes"), help);
            }
            self.route(route);
            let Some(children) = route.get("routes") else { continue };
            if depth >= DEPTH_MAX {
                let help = "write some of them side by side".to_owned();
                self.add(
                    "route",
                    children,
                    format!("routes lie more than {DEPTH_MAX} deep in each other"),
                    help,
                );
            } else {
                self.routes(children, depth + 1);
            }
        }
    }

    fn route(&mut self, route: &Node) {
        let is_stop = route.get("stop").and_then(Node::text) == Some("true");
        let has_some = |key: &str| route.get(key).is_some_and(|list| !list.items().is_empty());
        match route.get("actions") {
            Some(actions) => {
                if actions.items().is_empty() && !has_some("routes") && !is_stop {
                    let help = "name the actions that this route adds".to_owned();
                    self.add("route", actions, "a route without actions does nothing".to_owned(), help);
                }
                self.known(actions);
            }
            None if has_some("routes") || has_some("escalate") || is_stop => {}
            None => {
                let help = "name the actions that this route adds, or routes inside it".to_owned();
                self.add("route", route, "a route without actions does nothing".to_owned(), help);
            }
        }
        for step in route.get("escalate").map(Node::items).unwrap_or_default() {
            if let Some(actions) = step.get("actions") {
                self.tells(actions);
            }
        }
    }

    /// Names of configured actions.
    fn known(&mut self, actions: &Node) {
        let known: Vec<&str> = self.document.actions.keys().map(String::as_str).collect();
        for action in actions.items() {
            let Some(name) = action.text().filter(|name| !known.contains(name)) else { continue };
            let help = suggest::help(name, "configured actions", &known);
            self.add("unknown-action", action, format!("there is no action `{name}`"), help);
        }
    }

    /// Names of configured actions that tell somebody, rather than change something.
    fn tells(&mut self, actions: &Node) {
        self.known(actions);
        for action in actions.items() {
            let Some(config) = action.text().and_then(|name| self.document.actions.get(name)) else {
                continue;
            };
            if config.respond().is_some() {
                let message = format!("`{}` tells nobody", action.text().unwrap_or_default());
                let help =
                    "name actions that send messages; what changes accounts is named by rules and routes"
                        .to_owned();
                self.add("route", action, message, help);
            }
        }
    }

    fn add(&mut self, code: &'static str, node: &Node, message: String, help: String) {
        self.findings.add(code, Some(node.place), message, Some(help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load::parse;

    const ACTIONS: &str = "actions:\n  page: {type: webhook, url: 'https://example.com/page'}\n  \
        mail: {type: webhook, url: 'https://example.com/mail'}\n  lead: {type: webhook, url: 'https://example.com/lead'}\n  \
        boss: {type: webhook, url: 'https://example.com/boss'}\n  ticket: {type: webhook, url: 'https://example.com/t'}\n  \
        block: {type: gitlab, url: 'https://example.com', token: {env: T}, do: block}\n";

    #[test]
    fn the_page_about_routing_shows_what_works() {
        let page = include_str!("../../docs/routing.md");
        let examples: Vec<&str> =
            page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 7);
        for example in examples {
            let text = format!("{ACTIONS}{example}");
            if let Err(error) = parse(&text, Path::new("routing.md"), None) {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_found() {
        let deep = format!("{}{}\n", "routes: [{actions: [mail], ".repeat(9), "}]".repeat(9));
        for (text, words) in [
            ("routes: [{levels: [high]}]\n", "a route without actions does nothing"),
            ("routes: [{actions: []}]\n", "a route without actions does nothing"),
            ("routes: [{routes: [{actions: [mial]}]}]\n", "did you mean `mail`?"),
            ("routes: [{escalate: [{after: 1m, actions: [pgae]}]}]\n", "did you mean `page`?"),
            ("routes: [{escalate: [{after: 1m, actions: [block]}]}]\n", "`block` tells nobody"),
            ("notices: {actions: [nobody]}\n", "there is no action `nobody`"),
            ("inhibit: [{when: {}, hold: {levels: [low]}, equal: []}]\n", "`when` asks for nothing"),
            (
                "maintenance: [{name: a, reason: b, days: [sun]}, {name: a, reason: b, days: [mon]}]\n",
                "has the name `a`",
            ),
            (&deep, "more than 8 deep"),
            ("routes: [{action: [mail]}]\n", "did you mean `actions`?"),
            ("storm: {per_hour: -1}\n", "per_hour"),
        ] {
            let error =
                parse(&format!("{ACTIONS}{text}"), Path::new("c.yaml"), None).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in ["routes: [{levels: [low], stop: true}]\n", "routes: [{routes: [{actions: [mail]}]}]\n"] {
            assert!(parse(&format!("{ACTIONS}{text}"), Path::new("c.yaml"), None).is_ok(), "{text}");
        }
    }
}
