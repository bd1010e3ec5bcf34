//! Runs every code block of the documents: commands are run, objects applied and overlays built.
//! The language of a block says what it is:
//!
//! - `sh`: commands for the administrator's shell, all of which succeed on an installed cluster;
//! - `yaml`: an object, an overlay (`# kustomization.yaml` in its first line), another file (named
//!   in its first line), flags of the agent (`args:`), or a part of an object;
//! - `console`: commands that cannot run here, with a first line that says where they do;
//! - `text`: no command.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use fastrak_agent::config::Args;
use fastrak_api::names;
use fastrak_e2e::install::{Binaries, Processes, base, repository};
use fastrak_testkit::objects::pod;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{ControlPlane, Options, apply_manifests, fake_node, or_skip};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The pages that install fastrak come first, on a cluster without it.
const FIRST: [&str; 2] = ["README.md", "deploy/README.md"];
/// The page that ends with the removal of fastrak comes last.
const LAST: &str = "docs/operations.md";
/// Longer than any command of the pages takes.
const TIMEOUT: Duration = Duration::from_secs(330);
/// The nodes that the pages name.
const NODES: [&str; 2] = ["worker-1", "worker-2"];

/// A block of code in a document.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
    place: String,
}

fn blocks(path: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match (&mut open, bare.strip_prefix("```")) {
            (None, Some(language)) => {
                let place = format!("{path}:{}", number + 1);
                let (language, text) = (language.to_owned(), String::new());
                open = Some((line.len() - bare.len(), Block { language, text, place }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text += line.get(*indent..).unwrap_or(bare);
                block.text += "\n";
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{path}: a block has no end");
    blocks
}

/// Returns the pages for administrators and users.
fn pages() -> Vec<(String, Vec<Block>)> {
    let docs = std::fs::read_dir(repository().join("docs")).expect("docs/ is there");
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let read = |path: String| {
        let text = std::fs::read_to_string(repository().join(&path)).expect(&path);
        let blocks = blocks(&path, &text);
        (path, blocks)
    };
    let mut pages: Vec<_> = FIRST.map(str::to_owned).into_iter().chain(docs).map(read).collect();
    pages.sort_by_key(|(path, _)| (!FIRST.contains(&path.as_str()), path == LAST, path.clone()));
    assert!(pages.len() >= 8, "only {} pages found", pages.len());
    pages
}

impl Block {
    /// Returns the file that the first line names.
    fn file(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        let is_file = !name.contains(' ') && name.contains('.');
        is_file.then_some(name)
    }
}

#[test]
fn every_block_has_a_known_language() {
    let mut commands = 0;
    for (_, blocks) in pages() {
        for block in blocks {
            let (text, place) = (&block.text, &block.place);
            match block.language.as_str() {
                "sh" => commands += 1,
                "text" => {}
                "yaml" => drop(serde_saphyr::from_multiple::<Value>(text).expect(place)),
                "console" => {
                    let says = ["# on ", "# for "].iter().any(|start| text.starts_with(start));
                    assert!(says, "{place} does not say where its commands run");
                }
                other => panic!("{place} is {other:?}: one of sh, yaml, console, text"),
            }
        }
    }
    assert!(commands >= 15, "only {commands} blocks of commands");
}

/// The shell of an administrator of a cluster.
struct Shell {
    folder: PathBuf,
    programs: PathBuf,
    kubeconfig: PathBuf,
}

impl Shell {
    /// Opens a shell in a new folder with a link to the repository's `deploy`.
    fn open(plane: &ControlPlane, page: &str) -> Result<Self> {
        let folder = plane.scratch_dir(&page.replace('/', "-"))?;
        symlink(repository().join("deploy"), folder.join("deploy"))?;
        let programs = plane.scratch_dir("programs")?;
        let kubectl = programs.join("kubectl");
        if !kubectl.exists() {
            let command = plane.kubectl_command().to_string();
            std::fs::write(&kubectl, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
            std::fs::set_permissions(&kubectl, Permissions::from_mode(0o755))?;
            symlink(Binaries::built()?.webhook, programs.join("fastrak-webhook"))?;
        }
        Ok(Self { folder, programs, kubeconfig: plane.kubeconfig_path() })
    }

    async fn run(&self, text: &str) -> Result<()> {
        let (folder, programs) = (self.folder.display(), self.programs.display());
        let script = format!("cd '{folder}'\nexport PATH='{programs}':\"$PATH\"\n{text}");
        let bash = Invocation::new("bash").args(["-euo", "pipefail", "-c", &script]);
        let bash = bash.env("KUBECONFIG", self.kubeconfig.display().to_string());
        bash.timeout(TIMEOUT).run().await.map(drop)
    }
}

/// Applies objects, parses flags, writes files.
async fn apply_yaml(shell: &Shell, overlays: &mut Vec<PathBuf>, block: &Block) -> Result<()> {
    if let Some(file) = block.file() {
        if file == "kustomization.yaml" {
            let overlay = shell.folder.join(format!("overlay-{}", overlays.len()));
            std::fs::create_dir(&overlay)?;
            symlink(repository().join("deploy"), overlay.join("deploy"))?;
            overlays.push(overlay);
        }
        let text = block.text.replace("path/to/deploy", "deploy");
        let folders = overlays.last().into_iter().chain([&shell.folder]);
        for folder in folders {
            std::fs::write(folder.join(file), &text)?;
        }
        return Ok(());
    }
    for object in serde_saphyr::from_multiple::<Value>(&block.text)? {
        let version = object["apiVersion"].as_str();
        if let Some(args) = object["args"].as_array() {
            let args = args.iter().filter_map(Value::as_str);
            Args::try_parse_from(["fastrak-agent", "--node=worker-1"].into_iter().chain(args))?;
        } else if version.is_some_and(|version| !version.starts_with("apiserver.config"))
            && object["kind"] != "Config"
        {
            let path = shell.folder.join("object.json");
            std::fs::write(&path, object.to_string())?;
            shell.run("kubectl apply -f object.json").await?;
            if object["kind"] == "Pod" {
                // Its ephemeral volumes are bound although the pod has a node already.
                let bound =
                    "kubectl wait --for=jsonpath='{.status.phase}'=Bound --timeout=60s pvc --all";
                shell.run(bound).await?;
            }
            if object["kind"] == "PersistentVolumeClaim"
                && object["metadata"]["annotations"].is_null()
            {
                use_claim(shell, &object).await?;
            }
        }
    }
    Ok(())
}

/// Creates a pod that uses a claim, as the reader of the page would.
async fn use_claim(shell: &Shell, claim: &Value) -> Result<()> {
    let name = claim["metadata"]["name"].as_str().context("a claim has a name")?;
    let user = pod("user").mounts(name).build("default");
    std::fs::write(shell.folder.join("pod.json"), serde_json::to_string(&user)?)?;
    let bound = "kubectl wait --for=jsonpath='{.status.phase}'=Bound --timeout=60s pvc";
    shell.run(&format!("kubectl apply -f pod.json\n{bound} {name}")).await
}

/// Writes the files that commands of a page read.
fn write_inputs(folder: &Path) -> Result<()> {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "default" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "0b0a3a2e", "operation": "CREATE", "namespace": "default", "object": claim,
            "kind": { "group": "", "version": "v1", "kind": "PersistentVolumeClaim" },
            "resource": { "group": "", "version": "v1", "resource": "persistentvolumeclaims" },
        },
    });
    std::fs::write(folder.join("objects.yaml"), claim.to_string())?;
    std::fs::write(folder.join("review.json"), review.to_string())?;
    Ok(())
}

async fn follow(plane: &ControlPlane, path: &str, blocks: &[Block]) -> Result<()> {
    let shell = Shell::open(plane, path)?;
    write_inputs(&shell.folder)?;
    let mut overlays = Vec::new();
    for block in blocks {
        let done = match block.language.as_str() {
            "sh" => shell.run(&block.text).await,
            "yaml" => apply_yaml(&shell, &mut overlays, block).await,
            "console" | "text" => Ok(()),
            other => bail!("{} is {other:?}", block.place),
        };
        done.with_context(|| format!("{}:\n{}", block.place, block.text))?;
    }
    for overlay in overlays {
        let build = format!("kubectl kustomize '{}'", overlay.display());
        shell.run(&build).await.with_context(|| format!("{path}: an overlay"))?;
    }
    Ok(())
}

/// Applies the workloads of the base without pods, because both programs run as processes and no
/// kubelet would delete a pod.
async fn add_workloads(plane: &ControlPlane) -> Result<()> {
    let path = plane.scratch_dir("workloads")?.join("object.json");
    for file in ["webhook.yaml", "agent.yaml"] {
        let text = std::fs::read_to_string(base().join(file))?;
        for mut object in serde_saphyr::from_multiple::<Value>(&text)? {
            match object["kind"].as_str() {
                Some("Deployment") => object["spec"]["replicas"] = json!(0),
                Some("DaemonSet") => {
                    object["spec"]["template"]["spec"]["nodeSelector"] = json!({ "none": "" });
                }
                _ => {}
            }
            std::fs::write(&path, object.to_string())?;
            apply_manifests(plane, &path).await?;
        }
    }
    Ok(())
}

/// Removes the pods that are being deleted, as a kubelet would.
async fn end_pods(client: Client) {
    let (pods, at_once) =
        (Api::<Pod>::all(client.clone()), DeleteParams::default().grace_period(0));
    loop {
        let all =
            pods.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        for pod in all.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
            let namespace = pod.namespace().unwrap_or_default();
            let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            // It may be gone already.
            drop(pods.delete(&pod.name_any(), &at_once).await);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_every_page_succeed() -> Result<()> {
    let _turn = crate::turn().await;
    let plane = or_skip!(ControlPlane::start(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    for node in NODES {
        fake_node(&client, node).await?;
    }
    tokio::spawn(end_pods(client.clone()));
    let (install, use_it): (Vec<_>, Vec<_>) =
        pages().into_iter().partition(|(path, _)| FIRST.contains(&path.as_str()));
    for (path, blocks) in install {
        follow(&plane, &path, &blocks).await?;
    }
    let mut processes = Processes::install(&plane, &Binaries::built()?, &NODES).await?;
    apply_manifests(&plane, &repository().join("deploy/addresses/crd.yaml")).await?;
    let crd = format!("crd/{}", names::ADDRESS_POOLS);
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", &crd]).await?;
    for (path, blocks) in use_it {
        if path == LAST {
            // fastrak's pods stay, because the tokens of the programs belong to them.
            let others = format!("metadata.namespace!={}", names::NAMESPACE);
            let args =
                ["delete", "pods", "--all-namespaces", "--force", "--field-selector", &others];
            plane.kubectl(&args).await?;
            add_workloads(&plane).await?;
        }
        follow(&plane, &path, &blocks).await?;
        processes.expect_running()?;
    }
    let left = plane.kubectl(&["get", "pv", "-o", "name"]).await?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}
