//! Everything that the documents name exists, and everything that exists is documented.

use crate::tree::{self, File};
use clap::{Command, CommandFactory};
use fastrak_admission::verdict::Reason;
use fastrak_api::balancer::SkipReason;
use fastrak_api::claim::PinnedBy;
use fastrak_api::class::parameter_names;
use fastrak_api::names::{self, inlets, kubernetes};
use fastrak_api::reason::EventReason;
use std::collections::BTreeSet;

/// Returns the documents of the repository.
fn documents() -> Vec<File> {
    let files = tree::below("").into_iter().filter(|file| file.path.ends_with(".md"));
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 8, "only {} documents found", files.len());
    files
}

/// Returns the texts between backticks of a document, outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Returns the cells of the table under a heading, by rows.
fn table<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split_once(&format!("\n## {heading}\n"));
    let section = section.unwrap_or_else(|| panic!("no heading {heading:?}")).1;
    let lines = section.lines().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &'a str| row.trim_matches('|').split('|').map(str::trim).collect();
    let rows: Vec<Vec<&str>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table under {heading:?}");
    rows
}

/// Returns the first cells of a table, without their backticks.
fn keys(text: &str, heading: &str) -> BTreeSet<String> {
    let rows = table(text, heading);
    rows.iter().map(|cells| cells[0].replace('`', "")).collect()
}

#[test]
fn every_source_file_that_a_document_names_exists() {
    let files: Vec<_> = tree::below("").into_iter().map(|file| format!("/{}", file.path)).collect();
    let exists = |path: &str| files.iter().any(|file| file.ends_with(&format!("/{path}")));
    let documents = documents();
    let named = documents.iter().flat_map(|document| {
        let paths = quoted(&document.text).into_iter().filter(|text| text.ends_with(".rs"));
        paths.map(|path| (&document.path, path))
    });
    let named: Vec<_> = named.collect();
    assert!(named.len() > 10, "only {} source files named", named.len());
    let missing: Vec<_> = named.iter().filter(|(_, path)| !exists(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_name_under_our_domain_is_one_of_ours() {
    let known = [
        names::NODE,
        names::PINNED_BY,
        names::POOL,
        names::UNDELETE,
        names::ADOPT,
        names::IMPORT,
        names::VOLUME_FINALIZER,
        names::BALANCER,
        names::BALANCER_DECISION,
        names::ADMISSION,
        names::NAMESPACE_CLASS,
        names::ADOPT_POOL,
        names::CONFIRM_ORPHANS,
        names::INHERIT_VOLUMES,
        names::PROBE,
        names::ADDRESS,
        names::STANDBY,
        names::ADDRESS_STATE,
        names::ADDRESS_CONFLICT,
        names::FRONTEND,
        names::FRONTEND_CONFLICT,
        names::LOAD_BALANCER_IPS,
        names::SHARED_ADDRESS,
        names::SERVICE_NAMESPACE,
        names::SERVICE_NAME,
        names::SERVICE_UID,
        names::ADDRESS_POOL_VERSION,
        names::HEARTBEAT_MAC,
    ];
    let readme = tree::read("README.md");
    let shown = keys(&readme, "Names");
    // Users do not write the finalizer, the probe's annotation and the Leases of addresses.
    let hidden = [
        names::VOLUME_FINALIZER,
        names::PROBE,
        names::ADDRESS,
        names::STANDBY,
        names::ADDRESS_STATE,
        names::ADDRESS_CONFLICT,
        names::FRONTEND,
        names::FRONTEND_CONFLICT,
        names::SERVICE_NAMESPACE,
        names::SERVICE_NAME,
        names::SERVICE_UID,
        names::ADDRESS_POOL_VERSION,
        names::HEARTBEAT_MAC,
    ];
    let expected = known.into_iter().filter(|name| !hidden.contains(name));
    assert_eq!(shown, expected.map(str::to_owned).collect::<BTreeSet<_>>());

    let mut unknown = Vec::new();
    let texts = documents().into_iter().chain(tree::below("deploy"));
    for file in texts {
        for (at, _) in file.text.match_indices(&format!("{}/", names::DOMAIN)) {
            let rest = &file.text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"./-".contains(c));
            let name = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '-']);
            unknown.extend((!known.contains(&name)).then(|| format!("{}: {name}", file.path)));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn annotations_of_other_projects_are_spelled_correctly() {
    let known = [
        inlets::MANAGE,
        inlets::MANAGE_LEGACY,
        inlets::PROXY_PROTO,
        kubernetes::SELECTED_NODE,
        kubernetes::DEFAULT_CLASS,
        kubernetes::STORAGE_PROVISIONER,
        kubernetes::STORAGE_PROVISIONER_BETA,
        kubernetes::HOSTNAME,
        kubernetes::SOURCE_RANGES,
        kubernetes::EXCLUDE_BALANCERS,
        "pod-security.kubernetes.io/enforce",
        "kustomize.config.k8s.io/v1beta1",
    ];
    let foreign = ["kubernetes.io/", "inlets.dev/"];
    for file in documents() {
        for text in quoted(&file.text) {
            let key = text.split([':', '=', ' ']).next().unwrap_or_default();
            let theirs = foreign.iter().any(|domain| key.contains(domain)) && !key.contains("//");
            assert!(!theirs || known.contains(&key), "{}: {key}", file.path);
        }
    }
}

#[test]
fn every_event_is_documented_with_its_type() {
    let operations = tree::read("docs/operations.md");
    let shown: BTreeSet<_> = table(&operations, "Events")
        .iter()
        .map(|cells| (cells[0].replace('`', ""), cells[1].to_owned()))
        .collect();
    let known = EventReason::ALL.map(|reason| {
        let kind = if reason.is_warning() { "Warning" } else { "Normal" };
        (reason.as_str().to_owned(), kind.to_owned())
    });
    assert_eq!(shown, BTreeSet::from(known));
}

#[test]
fn every_reason_of_a_decision_is_documented_with_its_rule() {
    let operations = tree::read("docs/operations.md");
    let shown: Vec<_> = table(&operations, "Reasons")
        .iter()
        .map(|cells| (cells[0].replace('`', ""), cells[1].replace('`', "")))
        .collect();
    let known = Reason::ALL
        .iter()
        .map(|reason| (reason.as_str().to_owned(), reason.rule().as_str().to_owned()));
    assert_eq!(shown, known.collect::<Vec<_>>());
}

#[test]
fn every_reason_that_is_recorded_is_explained() {
    let (readme, services) = (tree::read("README.md"), tree::read("docs/services.md"));
    let pinned = table(&readme, "Names").into_iter();
    let pinned = pinned.filter(|cells| cells[0].contains(names::PINNED_BY)).map(|cells| cells[2]);
    let pinned = pinned.collect::<String>();
    for by in PinnedBy::ALL {
        assert!(quoted(&pinned).contains(&by.as_str()), "{by} is not in README.md");
    }
    let record = keys(&services, "The record");
    let skipped: BTreeSet<_> =
        record.iter().filter_map(|key| key.strip_prefix("skipped:")).collect();
    assert_eq!(skipped, SkipReason::ALL.iter().map(|reason| reason.as_str()).collect());
}

#[test]
fn every_target_of_make_exists() {
    let makefile = tree::read("Makefile");
    let exists = |target: &str| {
        makefile
            .lines()
            .any(|line| line.strip_prefix(target).is_some_and(|rest| rest.starts_with(':')))
    };
    let mut named = 0;
    for file in documents().iter().chain(&tree::below("e2e/src")) {
        for (at, before) in file.text.match_indices("make ") {
            let rest = &file.text[at + before.len()..];
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            // A command is in backticks or at the start of a line, unlike the word in prose.
            let command = file.text[..at].ends_with(['`', '\n']);
            if command && end > 0 {
                named += 1;
                assert!(exists(&rest[..end]), "{}: make {}", file.path, &rest[..end]);
            }
        }
    }
    assert!(named > 5, "only {named} targets are named anywhere");
}

#[test]
fn every_target_of_make_is_in_its_help_or_part_of_one_that_is() {
    let makefile = tree::read("Makefile");
    let parts = ["fmt-check", "clippy", "tidy", "deny"];
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    for target in phony.split(' ') {
        let rule = makefile.lines().find(|line| line.starts_with(&format!("{target}:")));
        let rule = rule.unwrap_or_else(|| panic!("{target} has no rule"));
        assert!(rule.contains("## ") || parts.contains(&target), "{rule}");
    }
}

/// Returns the fragment of a link to a heading.
fn fragment(heading: &str) -> String {
    let kept =
        heading.to_lowercase().replace(|c: char| !c.is_alphanumeric() && !" -_".contains(c), "");
    kept.trim().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let all = documents();
    let headings = |path: &str| -> BTreeSet<String> {
        let file = all.iter().find(|file| file.path == path);
        let lines = file.map_or("", |file| file.text.as_str()).lines();
        lines
            .filter(|line| line.starts_with('#'))
            .map(|line| fragment(line.trim_start_matches('#')))
            .collect()
    };
    let mut links = 0;
    for file in &all {
        for part in file.text.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if target.starts_with("https://") {
                continue;
            }
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let path = match path.strip_prefix("../") {
                Some(rest) => rest.to_owned(),
                None if path.is_empty() => file.path.clone(),
                None if folder.is_empty() => path.to_owned(),
                None => format!("{folder}/{path}"),
            };
            assert!(tree::root().join(&path).exists(), "{}: {target}", file.path);
            assert!(
                anchor.is_empty() || headings(&path).contains(anchor),
                "{}: {target}",
                file.path
            );
        }
    }
    assert!(links > 10, "only {links} links found");
}

#[test]
fn every_parameter_of_a_class_is_documented() {
    let storage = tree::read("docs/storage.md");
    let known: BTreeSet<_> = parameter_names().map(str::to_owned).collect();
    let shown = keys(&storage, "Classes");
    assert!(known.is_subset(&shown), "{known:?} are not all among {shown:?}");
}

/// Returns the default value of a flag.
fn default_of(flag: &clap::Arg) -> String {
    let values = flag.get_default_values().iter();
    values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn flags_are_documented(command: &Command, heading: &str) {
    flags_of_all_are_documented([command].into_iter(), heading);
}

fn flags_of_all_are_documented<'a>(commands: impl Iterator<Item = &'a Command>, heading: &str) {
    let operations = tree::read("docs/operations.md");
    let rows = table(&operations, heading);
    let flags = commands.flat_map(Command::get_arguments).filter(|arg| !is_built_in(arg));
    let flags: Vec<_> = flags.collect();
    let names = flags.iter().map(|flag| format!("--{}", flag.get_long().unwrap()));
    assert_eq!(keys(&operations, heading), names.collect());
    for flag in flags {
        let name = format!("`--{}`", flag.get_long().unwrap());
        let row = rows.iter().find(|cells| cells[0] == name).unwrap();
        let default = default_of(flag);
        assert!(
            default.is_empty() || row[1] == format!("`{default}`"),
            "the default of {name} is {default}"
        );
        if let Some(variable) = flag.get_env() {
            let variable = format!("(`{}`)", variable.to_string_lossy());
            assert!(row[2].ends_with(&variable), "{name} can be set by {variable}");
        }
    }
}

fn is_built_in(flag: &clap::Arg) -> bool {
    matches!(flag.get_id().as_str(), "help" | "version")
}

#[test]
fn every_flag_is_documented_with_its_default_and_variable() {
    flags_are_documented(&fastrak_webhook::config::Args::command(), "Flags of the webhook");
    let cli = fastrak_webhook::config::Cli::command();
    flags_of_all_are_documented(cli.get_subcommands(), "Flags of the commands");
    flags_are_documented(&fastrak_agent::config::Args::command(), "Flags of the agent");
    flags_are_documented(&fastrak_speaker::config::Args::command(), "Flags of the speaker");
}

/// Returns the metrics that a program registers, by their names before their help. /metrics lacks
/// those that were not counted yet.
fn registered(source: &str, program: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let parts: Vec<_> = code.split('"').collect();
    let named = parts.windows(3).filter(|part| {
        let sentence = part[2].starts_with(|c: char| c.is_ascii_uppercase());
        let name = part[0].chars().all(|c| c.is_ascii_lowercase() || c == '_');
        name && sentence && part[1].trim() == ","
    });
    let prefix = format!("fastrak_{program}_");
    let whole = |name: &str| format!("{prefix}{}", name.strip_prefix(&prefix).unwrap_or(name));
    named.map(|part| whole(part[0])).collect()
}

#[test]
fn every_metric_is_documented() {
    let operations = tree::read("docs/operations.md");
    for program in ["webhook", "agent", "speaker"] {
        let files = tree::below(&format!("{program}/src")).into_iter();
        let files = files.filter(|file| file.path.contains("/metrics"));
        let registered: BTreeSet<_> =
            files.flat_map(|file| registered(&file.text, program)).collect();
        assert!(registered.len() >= 5, "only {registered:?} found");
        let shown = keys(&operations, &format!("Metrics of the {program}"));
        // The encoder appends the suffix of a counter.
        let shown = shown.iter().map(|name| name.trim_end_matches("_total").to_owned());
        assert_eq!(shown.collect::<BTreeSet<_>>(), registered);
    }
}

#[test]
fn every_metric_that_is_named_anywhere_exists() {
    let operations = tree::read("docs/operations.md");
    let known = ["Metrics of the webhook", "Metrics of the agent", "Metrics of the speaker"];
    let known: BTreeSet<_> = known.iter().flat_map(|heading| keys(&operations, heading)).collect();
    for file in documents() {
        let named = quoted(&file.text).into_iter().filter(|text| text.starts_with("fastrak_"));
        for name in named {
            assert!(known.contains(name), "{}: {name}", file.path);
        }
    }
}

#[test]
fn every_flag_that_is_named_anywhere_exists() {
    let operations = tree::read("docs/operations.md");
    let known = [
        "Flags of the webhook",
        "Flags of the commands",
        "Flags of the agent",
        "Flags of the speaker",
    ];
    let known: BTreeSet<_> = known.iter().flat_map(|heading| keys(&operations, heading)).collect();
    // Flags of the kubelet, of btrfs, of k3s, of MetalLB and of kube-controller-manager.
    let others =
        ["--root-dir", "--simple", "--disable", "--lb-class", "--node-monitor-grace-period"];
    for file in documents() {
        let named = quoted(&file.text).into_iter().filter(|text| text.starts_with("--"));
        for name in named.map(|text| text.split([' ', '=']).next().unwrap_or(text)) {
            assert!(known.contains(name) || others.contains(&name), "{}: {name}", file.path);
        }
    }
}
