//! PersistentVolumes: an agent writes those of its own node and pools.

use super::clients::{
    A, B, Clients, clients, delete, dry_run, has_no_right, made, patch, refused, refused_for, uid,
    volume, volume_json, volumes,
};
use anyhow::{Context, Result, ensure};
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::or_skip;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const PROTECTION: &str = "kubernetes.io/pv-protection";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_creates_grows_and_deletes_volumes_of_its_node() -> Result<()> {
    let Clients { a, .. } = or_skip!(clients().await, Ok(()));
    let name = made(&a, A).await?;
    let volumes = volumes(&a);
    patch(&volumes, &name, json!({ "spec": { "capacity": { "storage": "2Gi" } } })).await?;
    delete(&a, &name).await?;
    let left = json!({ "metadata": { "finalizers": [PROTECTION] } });
    let volume = patch(&volumes, &name, left).await?;
    ensure!(volume.metadata.deletion_timestamp.is_some(), "{volume:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_does_nothing_to_a_volume_of_another_node() -> Result<()> {
    let Clients { a, b, loose, admin, .. } = or_skip!(clients().await, Ok(()));
    let name = made(&a, A).await?;
    let others = "of its own node only";
    let changes = [
        json!({ "spec": { "capacity": { "storage": "2Gi" } } }),
        json!({ "spec": { "claimRef": { "name": "other", "uid": uid() } } }),
        json!({ "metadata": { "annotations": { names::NODE: B } } }),
        json!({ "metadata": { "annotations": { names::PINNED_BY: "user" } } }),
        json!({ "metadata": { "finalizers": [] } }),
    ];
    for change in &changes {
        refused_for(patch(&volumes(&b), &name, change.clone()).await, others)?;
        refused_for(patch(&volumes(&loose), &name, change.clone()).await, "names no node")?;
    }
    refused_for(delete(&b, &name).await, others)?;
    refused_for(delete(&loose, &name).await, "names no node")?;
    // Not while it is being deleted either, when its own agent may remove the finalizer.
    delete(&a, &name).await?;
    let left = json!({ "metadata": { "finalizers": [PROTECTION] } });
    refused_for(patch(&volumes(&b), &name, left).await, others)?;
    // It may not create one for the other node, under any name.
    for (node, label) in [(A, A), (A, B), (B, A)] {
        let mut object = volume_json(node, &uid());
        object["metadata"]["labels"][names::NODE] = json!(label);
        let object = serde_json::from_value(object)?;
        refused(volumes(&b).create(&dry_run(), &object).await)?;
    }
    refused(volumes(&loose).create(&dry_run(), &volume(A, &uid())).await)?;
    // A volume of an administrator is not its own either.
    let foreign = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "foreign" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" },
            "hostPath": { "path": "/etc" },
        },
    });
    let foreign = serde_json::from_value(foreign)?;
    volumes(&admin).create(&PostParams::default(), &foreign).await?;
    refused_for(delete(&b, "foreign").await, others)?;
    let mine = json!({ "metadata": { "annotations": {
        names::NODE: B, kubernetes::PROVISIONED_BY: names::PROVISIONER,
    } } });
    refused_for(patch(&volumes(&b), "foreign", mine).await, others)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_no_other_verb() -> Result<()> {
    let Clients { a, .. } = or_skip!(clients().await, Ok(()));
    let name = made(&a, A).await?;
    let object = volumes(&a).get(&name).await?;
    has_no_right(volumes(&a).replace(&name, &PostParams::default(), &object).await)?;
    let (all, now) = (ListParams::default(), DeleteParams::default());
    has_no_right(volumes(&a).delete_collection(&now, &all).await.map(drop))?;
    let status = json!({ "status": { "phase": "Released" } });
    let params = PatchParams::default();
    has_no_right(volumes(&a).patch_status(&name, &params, &Patch::Merge(status)).await)
}

/// A change to the object, and what its refusal says.
type Case = (&'static str, Value, &'static str);

fn set(object: &mut Value, pointer: &str, value: &Value) -> Result<()> {
    let (parent, key) = pointer.rsplit_once('/').context("a pointer")?;
    let parent = object.pointer_mut(parent).with_context(|| format!("no {parent}"))?;
    match value {
        Value::Null => drop(parent.as_object_mut().context("a map")?.remove(key)),
        value => parent[key] = value.clone(),
    }
    Ok(())
}

fn affinity(requirements: &[Value]) -> Value {
    json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": requirements }] } })
}

fn hosts(operator: &str, values: &[&str]) -> Value {
    json!({ "key": kubernetes::HOSTNAME, "operator": operator, "values": values })
}

/// Returns changes to the volume with this uid that an agent may not write.
fn cases(id: &str) -> Vec<Case> {
    let path = |path: String| json!({ "path": path });
    let (source, node) = ("at <pool>/<uid>/data", "exactly the node affinity");
    vec![
        ("/spec/local", path("/etc".to_owned()), source),
        ("/spec/local", path("/".to_owned()), source),
        ("/spec/local", path(format!("/var/lib/fastrak/{}/data", uid())), source),
        ("/spec/local", path(format!("/var/lib/fastrak/{id}")), source),
        ("/spec/local", path(format!("/var/lib/fastrak//{id}/data")), source),
        ("/spec/local", path(format!("/var/lib/fastrak/{id}/data/")), source),
        ("/spec/local", path(format!("/mnt/{id}/data")), "variable \"pools\""),
        (
            "/spec/local",
            json!({ "path": format!("/var/lib/fastrak/{id}/data"), "fsType": "ext4" }),
            source,
        ),
        ("/spec/volumeMode", json!("Block"), source),
        ("/metadata/name", json!("other"), source),
        ("/spec/nodeAffinity", affinity(&[hosts("In", &[B])]), "variable \"hostname\""),
        ("/spec/nodeAffinity", affinity(&[hosts("In", &[A, B])]), node),
        ("/spec/nodeAffinity", affinity(&[hosts("NotIn", &[A])]), node),
        ("/metadata/annotations", json!({ names::NODE: A }), "as its provisioner"),
        ("/metadata/labels", json!({ names::NODE: B }), "the annotation and the label"),
        ("/metadata/labels", Value::Null, "the annotation and the label"),
        ("/metadata/finalizers", Value::Null, "with the finalizer"),
        (
            "/metadata/finalizers",
            json!([names::VOLUME_FINALIZER, "example.com/other"]),
            "with the finalizer",
        ),
        ("/spec/claimRef", Value::Null, "names its claim"),
        (
            "/spec/claimRef",
            json!({ "kind": "PersistentVolumeClaim", "namespace": "default", "name": "data" }),
            "names its claim",
        ),
    ]
}

/// Returns changes that the API server itself refuses before the policies.
fn invalid(id: &str) -> [(&'static str, Value); 2] {
    let path = format!("/var/lib/fastrak/{id}/../{id}/data");
    [("/spec/local", json!({ "path": path })), ("/spec/nodeAffinity", Value::Null)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_creates_volumes_only_from_directories_in_its_pools() -> Result<()> {
    let Clients { a, .. } = or_skip!(clients().await, Ok(()));
    let id = uid();
    let volumes = volumes(&a);
    let changed = |pointer: &str, value: &Value| -> Result<PersistentVolume> {
        let mut object = volume_json(A, &id);
        set(&mut object, pointer, value)?;
        Ok(serde_json::from_value(object)?)
    };
    volumes.create(&dry_run(), &volume(A, &id)).await.context("as it should be")?;
    for (pointer, value, why) in cases(&id) {
        let made = volumes.create(&dry_run(), &changed(pointer, &value)?).await;
        refused_for(made, why).with_context(|| format!("{pointer}: {value}"))?;
    }
    for (pointer, value) in invalid(&id) {
        let made = volumes.create(&dry_run(), &changed(pointer, &value)?).await;
        ensure!(made.is_err(), "{pointer}: {value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_creates_volumes_from_no_other_source() -> Result<()> {
    let Clients { a, .. } = or_skip!(clients().await, Ok(()));
    let (id, volumes) = (uid(), volumes(&a));
    for source in [
        json!({ "hostPath": { "path": "/etc" } }),
        json!({ "nfs": { "server": "192.0.2.1", "path": "/" } }),
        json!({ "csi": { "driver": "example.com", "volumeHandle": "x" } }),
    ] {
        let mut object = volume_json(A, &id);
        let spec = object["spec"].as_object_mut().context("spec")?;
        spec.remove("local");
        spec.extend(source.as_object().context("a source")?.clone());
        let object = serde_json::from_value(object)?;
        let refusal = refused(volumes.create(&dry_run(), &object).await);
        refusal.with_context(|| source.to_string())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_changes_nothing_else_of_its_volumes() -> Result<()> {
    let Clients { a, .. } = or_skip!(clients().await, Ok(()));
    let name = made(&a, A).await?;
    let (spec, metadata) = ("nothing in a volume's spec but", "nothing in a volume's metadata but");
    for (change, why) in [
        (json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } }), spec),
        (json!({ "spec": { "accessModes": ["ReadWriteMany"] } }), spec),
        (json!({ "spec": { "mountOptions": ["dev"] } }), spec),
        (json!({ "metadata": { "labels": { "other": "x" } } }), metadata),
        (json!({ "metadata": { "labels": { names::NODE: B } } }), "annotation and the label"),
        (json!({ "metadata": { "annotations": { "other": "x" } } }), metadata),
        (json!({ "metadata": { "annotations": { names::NODE: B } } }), "annotation and the label"),
        (json!({ "metadata": { "finalizers": [PROTECTION] } }), "is being deleted"),
        (json!({ "metadata": { "finalizers": [names::VOLUME_FINALIZER] } }), "only that finalizer"),
        (json!({ "spec": { "storageClassName": "other" } }), "to another claim only if"),
        (json!({ "spec": { "claimRef": { "name": "other" } } }), "to another claim only if"),
        (json!({ "spec": { "claimRef": null } }), "names its claim"),
    ] {
        let refusal = refused_for(patch(&volumes(&a), &name, change.clone()).await, why);
        refusal.with_context(|| change.to_string())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_volume_goes_to_another_claim_of_its_namespace_only() -> Result<()> {
    let Clients { a, b, admin, .. } = or_skip!(clients().await, Ok(()));
    let why = "to another claim only if";
    let to = |namespace: &str| {
        let claim = json!({
            "kind": "PersistentVolumeClaim", "namespace": namespace, "name": "next", "uid": uid(),
        });
        json!({ "spec": { "claimRef": claim, "storageClassName": names::CLASS_RETAIN } })
    };
    let phase = async |name: &str, phase: &str| {
        let status = Patch::Merge(json!({ "status": { "phase": phase } }));
        volumes(&admin).patch_status(name, &PatchParams::default(), &status).await.map(drop)
    };
    let kept = made(&a, A).await?;
    let keep = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
    patch(&volumes(&admin), &kept, keep).await?;
    phase(&kept, "Bound").await?;
    refused_for(patch(&volumes(&a), &kept, to("default")).await, why)?;
    phase(&kept, "Released").await?;
    refused_for(patch(&volumes(&a), &kept, to("kube-system")).await, why)?;
    refused(patch(&volumes(&b), &kept, to("default")).await)?;
    patch(&volumes(&a), &kept, to("default")).await.context("adopt a kept volume")?;

    let not_kept = made(&a, A).await?;
    phase(&not_kept, "Released").await?;
    refused_for(patch(&volumes(&a), &not_kept, to("default")).await, why)
}
