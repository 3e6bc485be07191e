//! The shipped rules, carried in the binary: the demo runs in any folder, also without the sources.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../rules/gitlab/", $name)))),*]
    };
}

/// File name and text of every rule of `rules/gitlab`.
pub(super) const RULES: &[(&str, &str)] = shipped![
    "admin-granted.yml",
    "approval-rule-loosened-self-merge.yml",
    "audit-stream-changed.yml",
    "audit-stream-deleted.yml",
    "brute-force.yml",
    "deploy-key-mass-clone.yml",
    "dormant-account-new-address.rhai",
    "export-burst.yml",
    "failed-sign-ins-then-success.yml",
    "group-deleted.yml",
    "history-rewritten.yml",
    "impersonation-abuse.yml",
    "made-public.yml",
    "mass-clone.yml",
    "member-added-then-removed.yml",
    "new-admin-acts.yml",
    "new-deploy-key-pushes.yml",
    "new-instance-author.yml",
    "own-account-misused.yml",
    "password-spraying.yml",
    "project-deletion-spree.yml",
    "protected-branch-left-open.yml",
    "protected-branch-opened-and-closed.yml",
    "public-for-a-moment.yml",
    "runner-then-variables.yml",
    "sign-in-controls-changed.yml",
    "slow-clone.yml",
    "token-after-failed-sign-ins.yml",
    "token-burst.yml",
    "two-factor-disabled.yml",
    "variables-read-in-bulk.yml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rule_is_carried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/gitlab");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        let carried: Vec<_> = RULES.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, names, "src/demo/rules.rs lists what is in rules/gitlab, in order");
    }
}
