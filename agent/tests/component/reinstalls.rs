//! A cluster that is reinstalled on the disks of its nodes loses no data and can use all of it, by
//! the commands of docs/reinstall.md.

use crate::scene::{DEADLINE, Scene, path_of};
use anyhow::{Context, Result, bail, ensure};
use fastrak_testkit::assets::repository;
use fastrak_testkit::{ControlPlane, Options, eventually, or_skip};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};

const NODE: &str = "worker-1";
const VOLUME: &str = "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

/// The commands and the manifest of the page, for this node and this volume.
struct Page {
    commands: Vec<String>,
    claim: String,
}

impl Page {
    fn read(node: &str, volume: &str) -> Result<Self> {
        let text = std::fs::read_to_string(repository().join("docs/reinstall.md"))?;
        let text = text.replace(NODE, node).replace(VOLUME, volume);
        let commands = blocks(&text, "sh").into_iter().map(|line| line.trim().to_owned()).collect();
        Ok(Self { commands, claim: blocks(&text, "yaml").join("\n") })
    }
}

/// Returns the lines of all code blocks of this kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let start = format!("```{kind}");
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        match line.trim_start() {
            "```" => inside = false,
            bare if bare == start => inside = true,
            _ if inside => lines.push(line.strip_prefix("   ").unwrap_or(line)),
            _ => {}
        }
    }
    lines
}

async fn cluster() -> Result<ControlPlane> {
    ControlPlane::start(Options::with_controllers()).await
}

/// Creates a node whose pool has a volume with data, created by an earlier cluster.
async fn left_behind() -> Result<(Scene, String)> {
    let plane = cluster().await?;
    let scene = Scene::without_controllers(&plane).await?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let metadata = ObjectMeta { name: Some("shop".to_owned()), ..ObjectMeta::default() };
    let shop = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &shop).await.context("a namespace")?;
    let agent = scene.agent()?;
    let claim = scene.create("shop", scene.claim("data").asks("1Gi")).await?;
    let volume = scene.bound(&claim).await?;
    std::fs::write(path_of(&volume).join("file"), "precious")?;
    agent.end().await?;
    Ok((scene, volume.name_any()))
}

async fn run(plane: &ControlPlane, command: &str, manifest: &str) -> Result<String> {
    let mut words: Vec<_> = command.split_whitespace().collect();
    ensure!(words.first() == Some(&"kubectl"), "{command} cannot be run here");
    words.remove(0);
    let words = words.into_iter().map(|word| if word == "claim.yaml" { "-" } else { word });
    let command = plane.kubectl_command().args(words).stdin(manifest);
    Ok(command.run().await?.stdout)
}

/// Repeats a command until its output contains `wanted`.
async fn shows(plane: &ControlPlane, command: &str, wanted: &str) -> Result<()> {
    eventually(DEADLINE, format!("{command} shows {wanted}"), || async {
        let shown = run(plane, command, "").await?;
        ensure!(shown.contains(wanted), "{shown}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_an_earlier_cluster_is_kept_and_adopted_by_the_documented_commands()
-> Result<()> {
    let (scene, volume) = or_skip!(left_behind().await, Ok(()));
    let uid = volume.strip_prefix("pvc-").context("a name of ours")?.to_owned();
    let file = scene.pool().join(&uid).join("data/file");
    let plane = cluster().await?;
    let scene = scene.moved_to(&plane).await?;
    let _agent = scene.agent()?;
    let Page { commands, claim } = Page::read(&scene.node, &volume)?;
    let [refused, adopt, found, create, inherit, apply, get, withdraw, confirm] =
        commands.as_slice()
    else {
        bail!("the page has other commands than this test: {commands:?}");
    };
    shows(&plane, refused, adopt).await?;
    ensure!(std::fs::read_to_string(&file)? == "precious", "another file");
    run(&plane, adopt, "").await?;
    scene.no_annotation("fastrak.io/adopt-pool").await?;
    scene.event("default", &scene.node, "PoolAdopted").await?;
    shows(&plane, found, &volume).await?;
    run(&plane, create, "").await?;
    // The webhook adds the label that the agent's watch selects.
    let label = format!("  labels: {{ fastrak.io/node: {} }}\n  annotations:", scene.node);
    let claim = claim.replacen("  annotations:", &label, 1);
    run(&plane, apply, &claim).await?;
    scene.event_with("shop", "data", "RestoreRefused", "fastrak.io/inherit-volumes=true").await?;
    run(&plane, "kubectl delete pvc --namespace shop data", "").await?;
    run(&plane, inherit, "").await?;
    run(&plane, apply, &claim).await?;
    shows(&plane, get, "Bound").await?;
    let bound = scene.volumes().get(&volume).await?;
    ensure!(std::fs::read_to_string(path_of(&bound).join("file"))? == "precious", "another file");
    run(&plane, withdraw, "").await?;
    run(&plane, confirm, "").await?;
    scene.no_annotation("fastrak.io/confirm-orphans").await
}
