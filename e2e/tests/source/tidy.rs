//! Rules of the source tree that neither the compiler nor clippy checks.

use crate::tree::{self, File};
use fastrak_api::names::{self, inlets, kubernetes};
use std::collections::{BTreeMap, BTreeSet};

/// The crates and the crates that each may use.
const ARROWS: [(&str, &[&str]); 10] = [
    ("api", &[]),
    ("certs", &[]),
    ("runtime", &[]),
    ("admission", &["api"]),
    ("webhook", &["admission", "api", "certs", "runtime"]),
    ("store", &["api", "runtime"]),
    ("agent", &["api", "runtime", "store"]),
    ("speaker", &["api", "runtime"]),
    ("testkit", &["api", "certs", "runtime"]),
    (
        "e2e",
        &[
            "admission",
            "api",
            "certs",
            "runtime",
            "store",
            "webhook",
            "agent",
            "speaker",
            "testkit",
        ],
    ),
];

/// The crates with testkit as a development dependency.
const TESTED_WITH_KIT: [&str; 5] = ["admission", "webhook", "agent", "speaker", "store"];

/// The parts of other crates that are pure, beside their `plan.rs`.
const PURE: [&str; 7] = [
    "speaker/src/assignments",
    "speaker/src/frame",
    "speaker/src/heartbeat/owner.rs",
    "speaker/src/interface",
    "speaker/src/monitor.rs",
    "speaker/src/responder.rs",
    "speaker/src/verification.rs",
];

/// A Rust file.
struct Rust {
    path: String,
    text: String,
    /// Whether the file is only for tests.
    is_test: bool,
}

impl Rust {
    /// Returns the folder of its crate.
    fn krate(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Returns the lines without a test module at the end.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let inline = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        self.text[..inline].lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Returns the lines without tests and comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| {
            // A `//` within a string, as in a URL, has no space before it.
            (at, line.split_once(" // ").map_or(line, |(code, _)| code))
        })
    }
}

/// Returns the files that are only for tests, by their path or their declaration.
fn test_only(files: &[File]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for File { path, text } in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let root = matches!(name, "lib.rs" | "main.rs" | "mod.rs");
        let inner = if root { folder } else { path.trim_end_matches(".rs") };
        let declared = text.split("#[cfg(test)]\n").skip(1);
        let declared = declared.filter_map(|rest| rest.strip_prefix("mod ")?.split_once(';'));
        found.extend(declared.map(|(module, _)| format!("{inner}/{module}.rs")));
        let is_test = path.contains("/tests/") || path.ends_with("/fixtures.rs");
        found.extend(is_test.then(|| path.clone()));
    }
    found
}

fn rust() -> Vec<Rust> {
    let files = tree::below("").into_iter().filter(|file| file.path.ends_with(".rs"));
    let files: Vec<_> = files.collect();
    assert!(files.len() > 50, "only {} Rust files found: is this the right folder?", files.len());
    let tests = test_only(&files);
    assert!(tests.len() > 10, "only {} modules of tests found", tests.len());
    let rust = files.into_iter().map(|File { path, text }| Rust {
        is_test: tests.contains(&path),
        path,
        text,
    });
    rust.collect()
}

fn none(broken: impl IntoIterator<Item = String>, rule: &str) {
    let broken: Vec<_> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Returns the lines of code with one of the texts, outside tests and the allowed files.
fn uses(files: &[Rust], texts: &[&str], allowed: &[&str]) -> Vec<String> {
    let open = |file: &&Rust| !file.is_test && !allowed.contains(&file.path.as_str());
    let mut found = Vec::new();
    for file in files.iter().filter(open) {
        let hits = file.code().filter(|(_, line)| texts.iter().any(|text| line.contains(text)));
        found.extend(hits.map(|(at, line)| format!("{}:{at}: {}", file.path, line.trim())));
    }
    found
}

fn is_pure(file: &Rust) -> bool {
    matches!(file.krate(), "api" | "certs" | "admission")
        || file.path.ends_with("/plan.rs")
        || PURE.iter().any(|part| file.path.starts_with(part))
}

#[test]
fn no_file_is_too_long() {
    let limit = |path: &str| match path.rsplit('/').next() {
        Some("main.rs") => 40,
        Some("run.rs") => 140,
        _ => 300,
    };
    let files = rust();
    let sized = files.iter().filter(|file| !file.is_test);
    let long = sized.map(|file| (file, file.lines().count(), limit(&file.path)));
    let long = long.filter(|(_, lines, limit)| lines > limit);
    let long = long.map(|(file, lines, limit)| format!("{}: {lines} of {limit}", file.path));
    none(long, "lines without tests");
}

#[test]
fn every_file_has_a_module_comment() {
    let files = rust();
    let described = |file: &&Rust| file.text.starts_with("//!") || file.path.ends_with("/tests.rs");
    let bare = files.iter().filter(|file| !described(file));
    none(bare.map(|file| file.path.clone()), "no `//!` on the first line");
}

#[test]
fn pure_files_do_no_io() {
    let pure: Vec<_> = rust().into_iter().filter(is_pure).collect();
    assert!(pure.len() > 20, "only {} pure files found", pure.len());
    let io = [
        "kube::",
        "tokio::",
        "std::fs",
        "fs::",
        "std::net::Tcp",
        "std::net::Udp",
        "std::process",
        "std::env",
        "rustix::",
        "clock::",
        "::now()",
        "now_utc()",
        "Instant::",
        "async fn",
        ".await",
    ];
    none(uses(&pure, &io, &[]), "I/O, a client, a task or a clock in a pure file");
}

#[test]
fn each_kind_of_io_has_one_module() {
    let files = rust();
    for (what, texts, modules) in [
        ("processes", &["Command::new("][..], &["testkit/src/process.rs"][..]),
        (
            "the clock",
            &["SystemTime::now", "Timestamp::now", "now_utc("],
            &["runtime/src/clock.rs"],
        ),
        (
            "the environment",
            &["env::var(", "env::var_os(", "env::vars("],
            &["testkit/src/environment.rs"],
        ),
        (
            "clients",
            &["Client::try_default", "Config::infer", "Config::incluster", "Client::try_from("],
            &["runtime/src/client.rs"],
        ),
    ] {
        for module in modules {
            assert!(files.iter().any(|file| file.path == *module), "{module} does not exist");
        }
        none(uses(&files, texts, modules), &format!("{what}: only in {}", modules.join(", ")));
    }
}

#[test]
fn names_visible_in_a_cluster_are_spelled_in_one_file() {
    let (spelled, files) = (["api/src/names.rs"], rust());
    none(uses(&files, &[names::DOMAIN], &spelled), "fastrak's domain outside api/src/names.rs");

    // Development crates build whole objects and may spell names of Kubernetes.
    let shipped: Vec<_> =
        files.into_iter().filter(|file| !matches!(file.krate(), "testkit" | "e2e")).collect();
    let quoted = [
        names::NAMESPACE,
        names::WEBHOOK_SECRET,
        names::CLASS_DEFAULT,
        names::CLASS_RETAIN,
        kubernetes::SELECTED_NODE,
        kubernetes::STORAGE_PROVISIONER,
        kubernetes::STORAGE_PROVISIONER_BETA,
        kubernetes::STORAGE_CLASS_BETA,
        kubernetes::DEFAULT_CLASS,
        kubernetes::DEFAULT_CLASS_BETA,
        kubernetes::PROVISIONED_BY,
        kubernetes::HOSTNAME,
        kubernetes::OS,
        kubernetes::SERVICE_FINALIZER,
        inlets::MANAGE,
        inlets::MANAGE_LEGACY,
    ]
    .map(|name| format!("\"{name}\""));
    let quoted: Vec<_> = quoted.iter().map(String::as_str).collect();
    none(uses(&shipped, &quoted, &spelled), "a name outside api/src/names.rs");
}

#[test]
fn runtime_and_certs_do_not_mention_fastrak() {
    let files = tree::below("runtime/src").into_iter().chain(tree::below("certs/src"));
    // Their flags' variables have the prefix of the programs.
    let word = |text: &str| text.replace("env = \"FASTRAK_", "").to_lowercase().contains("fastrak");
    let words = files.filter(|file| word(&file.text));
    none(words.map(|file| file.path), "runtime and certs are independent of the product");
}

/// Returns fastrak's crates under one heading of a manifest.
fn ours(manifest: &str, heading: &str) -> BTreeSet<String> {
    let mut within = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line == heading;
        } else if let Some(rest) = line.strip_prefix("fastrak-").filter(|_| within) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
            found.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    found
}

#[test]
fn dependencies_point_down() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let root = tree::read("Cargo.toml");
    let members = root.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: BTreeSet<&str> =
        members.split('"').filter(|part| !part.contains([' ', '['])).collect();
    let members: BTreeSet<&str> = members.into_iter().filter(|part| *part != "]").collect();
    assert_eq!(members, arrows.keys().copied().collect(), "a crate without a rule");

    for (krate, allowed) in arrows {
        let manifest = tree::read(&format!("{krate}/Cargo.toml"));
        let allowed: BTreeSet<_> = allowed.iter().map(|&name| name.to_owned()).collect();
        let used = ours(&manifest, "[dependencies]");
        assert!(used.is_subset(&allowed), "{krate} uses {used:?}, may use {allowed:?}");
        let mut tested = ours(&manifest, "[dev-dependencies]");
        if TESTED_WITH_KIT.contains(&krate) {
            tested.remove("testkit");
        }
        assert!(
            tested.is_subset(&allowed),
            "the tests of {krate} use {tested:?}, may use {allowed:?}"
        );
        let (build, strange) =
            (ours(&manifest, "[build-dependencies]"), manifest.contains("[target."));
        assert!(
            build.is_empty() && !strange,
            "{krate} has dependencies that this test does not read"
        );
    }
}

#[test]
fn a_pure_crate_has_no_dependency_that_could_do_io() {
    for krate in ["api", "certs", "admission"] {
        let manifest = tree::read(&format!("{krate}/Cargo.toml"));
        let (_, rest) = manifest.split_once("[dependencies]\n").unwrap();
        let shipped = rest.split("\n[").next().unwrap();
        let names = shipped.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        let io = ["tokio", "kube", "hyper", "rustix", "libc", "jiff", "tempfile"];
        let open: Vec<_> = names.filter(|name| io.contains(name)).collect();
        assert!(open.is_empty(), "{krate} depends on {open:?}");
    }
}

#[test]
fn every_crate_uses_the_lints_of_the_workspace() {
    for (krate, _) in ARROWS {
        let manifest = tree::read(&format!("{krate}/Cargo.toml"));
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{krate}/Cargo.toml");
    }
}

#[test]
fn no_comment_defers_work() {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut left = Vec::new();
    for file in tree::below("") {
        let whole = |line: &str| {
            line.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
        };
        let lines = file.text.lines().enumerate().filter(|(_, line)| whole(line));
        left.extend(lines.map(|(at, line)| format!("{}:{}: {line}", file.path, at + 1)));
    }
    none(left, "document the reason or do the work");
}

#[test]
fn scripts_stop_at_the_first_error() {
    let scripts = tree::below("").into_iter().filter(|file| file.text.starts_with("#!"));
    let scripts: Vec<_> = scripts.collect();
    assert!(scripts.len() >= 4, "only {} scripts found", scripts.len());
    let lax = scripts.iter().filter(|file| !file.text.contains("\nset -euo pipefail\n"));
    none(lax.map(|file| file.path.clone()), "no `set -euo pipefail`");
}
