//! Leases: a speaker accepts, refuses and exchanges the addresses of its own node, and shows that it
//! works.

use super::clients::{
    A, B, Clients, LONG, clients, dry_run, has_no_right, lease_json, lease_of, leases, patch,
    refused_for,
};
use anyhow::{Context, Result, ensure};
use fastrak_api::assignment::{Assignment, State, heartbeat_name, lease_name};
use fastrak_api::frontend::{Conflict, FrontendAssignment};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_speaker::frame::Mac;
use fastrak_speaker::leases::{Change, Leases};
use fastrak_testkit::or_skip;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

const MAC: &str = "02:00:00:00:00:01";
const OTHERS: &str = "only the assignments of its own node";
const CHANGES: &str = "accepts or refuses an address that is proposed to its node, or exchanges";
const ELSE: &str = "changes nothing else of the assignment";

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a node name")
}

/// Creates the assignment of an address to [`A`] with the standby [`B`], as the leader does.
async fn assigned(admin: &Client, address: IpAddr) -> Result<Assignment> {
    let lease = lease_json(&lease_name(address), A, Some(B));
    let lease = leases(admin).create(&PostParams::default(), &lease_of(lease)).await?;
    Ok(Assignment::read(&lease)?)
}

/// Makes a change as the program does.
async fn changed(
    speaker: &Client,
    of: &str,
    assignment: &Assignment,
    change: Change,
) -> Result<Assignment> {
    let written = Leases::new(speaker.clone(), node(of)).write(assignment, change).await;
    written.with_context(|| format!("{change:?}"))?.context("superseded")
}

async fn json_patch(api: &Api<Lease>, name: &str, patch: Value) -> kube::Result<Lease> {
    let patch = serde_json::from_value(patch).expect("a JSON Patch");
    api.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await
}

/// Returns a merge patch of annotations.
fn annotate(annotations: &Value) -> Value {
    json!({ "metadata": { "annotations": annotations } })
}

/// Returns a merge patch that sets holder and standby.
fn nodes(holder: &str, standby: Option<&str>) -> Value {
    let mut patch = annotate(&json!({ names::STANDBY: standby }));
    patch["spec"] = json!({ "holderIdentity": holder });
    patch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_makes_every_change_of_its_own_assignments() -> Result<()> {
    let Clients { admin, speakers: [a, b, ..], .. } = or_skip!(clients().await, Ok(()));
    let proposed = assigned(&admin, address(10)).await?;
    let accepted = changed(&a, A, &proposed, Change::Accept).await?;
    ensure!(accepted.state == State::Accepted, "{accepted:?}");
    let handed_over = changed(&a, A, &accepted, Change::HandOver).await?;
    ensure!(handed_over.holder == node(B) && handed_over.standby == Some(node(A)));
    let taken_over = changed(&a, A, &handed_over, Change::TakeOver).await?;
    ensure!(taken_over.holder == node(A) && taken_over.standby == Some(node(B)));
    changed(&b, B, &taken_over, Change::TakeOver).await?;

    let proposed = assigned(&admin, address(11)).await?;
    let refused = changed(&a, A, &proposed, Change::Refuse(Mac([2, 0, 0, 0, 0, 9]))).await?;
    ensure!(refused.state == State::Refused, "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_answers_no_proposal_to_another_node() -> Result<()> {
    let Clients { admin, speakers: [a, b, _, loose], .. } = or_skip!(clients().await, Ok(()));
    let name = lease_name(assigned(&admin, address(12)).await?.address);
    let accept = annotate(&json!({ names::ADDRESS_STATE: "accepted" }));
    // The standby may only take over what the holder has accepted.
    refused_for(patch(&leases(&b), &name, accept.clone()).await, CHANGES)?;
    refused_for(patch(&leases(&b), &name, nodes(B, Some(A))).await, CHANGES)?;
    refused_for(patch(&leases(&loose), &name, accept).await, OTHERS)?;
    // A refusal names the station that uses the address.
    for conflict in [None, Some("a tenant"), Some("02:00:00:00:00:0g")] {
        let refuse = annotate(&json!({
            names::ADDRESS_STATE: "refused", names::ADDRESS_CONFLICT: conflict,
        }));
        refused_for(patch(&leases(&a), &name, refuse).await, CHANGES)?;
    }
    // An assignment of two other nodes.
    patch(&leases(&admin), &name, nodes("node-c", Some("node-d"))).await?;
    for (thief, of) in [(&a, A), (&b, B), (&loose, "")] {
        for theft in [nodes(of, Some("node-d")), nodes("node-d", Some("node-c"))] {
            refused_for(patch(&leases(thief), &name, theft).await, OTHERS)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_changes_nothing_else_of_an_assignment() -> Result<()> {
    let Clients { admin, speakers: [a, b, ..], .. } = or_skip!(clients().await, Ok(()));
    let accepted = changed(&a, A, &assigned(&admin, address(13)).await?, Change::Accept).await?;
    let name = lease_name(accepted.address);
    for (change, why) in [
        // Another holder or standby, none, or the same for both.
        (nodes(A, Some("node-c")), CHANGES),
        (nodes("node-c", Some(B)), CHANGES),
        (nodes("node-c", Some(A)), CHANGES),
        (nodes(B, Some("node-c")), CHANGES),
        (nodes(B, Some(B)), CHANGES),
        (nodes(B, None), CHANGES),
        (nodes(A, None), CHANGES),
        // Another state.
        (annotate(&json!({ names::ADDRESS_STATE: "proposed" })), CHANGES),
        (annotate(&json!({ names::ADDRESS_STATE: null })), CHANGES),
        (
            annotate(&json!({
                names::ADDRESS_STATE: "refused", names::ADDRESS_CONFLICT: "02:00:00:00:00:09",
            })),
            CHANGES,
        ),
        (annotate(&json!({ names::ADDRESS_CONFLICT: "02:00:00:00:00:09" })), CHANGES),
        (json!({ "spec": { "renewTime": "2030-01-01T00:00:00.000000Z" } }), CHANGES),
    ] {
        for speaker in [&a, &b] {
            let refusal = refused_for(patch(&leases(speaker), &name, change.clone()).await, why);
            refusal.with_context(|| change.to_string())?;
        }
    }
    // Beside a change that is allowed.
    for beside in [
        json!({ "metadata": { "labels": { names::ADDRESS: null } } }),
        json!({ "metadata": { "labels": { "other": "x" } } }),
        json!({ "metadata": { "finalizers": ["example.com/x"] } }),
        json!({ "metadata": { "ownerReferences": [{
            "apiVersion": "v1", "kind": "Node", "name": A, "uid": "1",
        }] } }),
        annotate(&json!({ "example.com/other": "x" })),
        json!({ "spec": { "leaseDurationSeconds": 1 } }),
        json!({ "spec": { "leaseTransitions": 1 } }),
        json!({ "spec": { "renewTime": "2030-01-01T00:00:00.000000Z" } }),
    ] {
        let mut change = nodes(B, Some(A));
        merge(&mut change, &beside);
        let refusal = refused_for(patch(&leases(&a), &name, change).await, ELSE);
        refusal.with_context(|| beside.to_string())?;
    }
    patch(&leases(&a), &name, nodes(B, Some(A))).await.context("the change alone")?;
    Ok(())
}

/// Merges two merge patches.
fn merge(patch: &mut Value, more: &Value) {
    let (Value::Object(patch), Value::Object(more)) = (patch, more) else { return };
    for (key, value) in more {
        match patch.get_mut(key) {
            Some(there) if there.is_object() && value.is_object() => merge(there, value),
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_assigns_and_releases_no_address() -> Result<()> {
    let Clients { admin, speakers: [a, ..], .. } = or_skip!(clients().await, Ok(()));
    let lease = lease_of(lease_json("192.0.2.14", A, Some(B)));
    let created = leases(&a).create(&PostParams::default(), &lease).await;
    refused_for(created, "assigns no address")?;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "192.0.2.14" }, "spec": { "holderIdentity": A },
    });
    let params = PatchParams::apply("other").force();
    let applied = leases(&a).patch("192.0.2.14", &params, &Patch::Apply(lease)).await;
    refused_for(applied, "assigns no address")?;

    let name = lease_name(assigned(&admin, address(15)).await?.address);
    has_no_right(leases(&a).delete(&name, &DeleteParams::default()).await.map(drop))?;
    let same = leases(&admin).get(&name).await?;
    has_no_right(leases(&a).replace(&name, &PostParams::default(), &same).await)?;
    let elsewhere: Api<Lease> = Api::namespaced(a.clone(), names::NAMESPACE);
    has_no_right(elsewhere.get(names::WEBHOOK_LEASE).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_writes_the_heartbeat_of_its_own_node_only() -> Result<()> {
    let Clients { admin, speakers: [a, b, long, loose], .. } = or_skip!(clients().await, Ok(()));
    let own = Leases::new(a.clone(), node(A));
    for _ in 0..2 {
        let written = own.beat(MAC, MAC).await.context("create it, then renew it")?;
        ensure!(written, "another speaker has written it");
    }
    ensure!(!own.beat("02:00:00:00:00:02", MAC).await?, "it is not of that speaker");
    let found = own.own_heartbeat().await?.context("there is a heartbeat")?;
    ensure!(own.adopt(&found, "02:00:00:00:00:02").await?, "take it over");
    ensure!(!own.adopt(&found, MAC).await?, "it has changed");
    let why = "the heartbeat of its own node only";
    let name = heartbeat_name(&node(A));
    let renewed = json!({ "spec": { "renewTime": "2030-01-01T00:00:00.000000Z" } });
    for thief in [&b, &loose] {
        refused_for(patch(&leases(thief), &name, renewed.clone()).await, why)?;
        let stolen = json!({ "spec": { "holderIdentity": B } });
        refused_for(patch(&leases(thief), &name, stolen).await, why)?;
    }
    let given = json!({ "spec": { "holderIdentity": B } });
    refused_for(patch(&leases(&a), &name, given).await, why)?;
    for (name, holder) in [("node.node-c", A), ("node.node-c", "node-c"), ("node.", A)] {
        let forged = leases(&a).create(&dry_run(), &lease_of(lease_json(name, holder, None))).await;
        // The API server refuses some of the names itself.
        ensure!(forged.is_err(), "{name}");
    }
    for more in [
        json!({ "metadata": { "labels": { names::ADDRESS: names::ADDRESS_ENABLED } } }),
        annotate(&json!({ "example.com/other": "x" })),
        json!({ "spec": { "leaseDurationSeconds": 1 } }),
    ] {
        refused_for(
            patch(&leases(&a), &name, more).await,
            "only the holder, the time and the MAC address",
        )?;
    }
    let removed = json!([{ "op": "remove", "path": "/spec/holderIdentity" }]);
    refused_for(json_patch(&leases(&a), &name, removed).await, why)?;
    ensure!(leases(&admin).get(&name).await?.spec.is_some());

    let heartbeat = Leases::new(long.clone(), node(LONG));
    ensure!(heartbeat.beat(MAC, MAC).await.context("of a node with a long name")?);
    let prefix = &LONG[..46];
    for name in [
        format!("node.{LONG}"),
        format!("node.{prefix}"),
        format!("node.{prefix}-0123456789abcde"),
        format!("node.{}-0123456789abcdef", prefix.replacen('a', "b", 1)),
        heartbeat_name(&node(B)),
    ] {
        let forged = lease_of(lease_json(&name, LONG, None));
        refused_for(leases(&long).create(&dry_run(), &forged).await, why).context(name)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_answers_for_the_ports_of_its_own_node_only() -> Result<()> {
    let Clients { admin, speakers: [a, b, _, loose], .. } = or_skip!(clients().await, Ok(()));
    let name = "192.0.2.1.tcp.80";
    let mut lease = lease_json(name, A, None);
    lease["metadata"]["labels"] = json!({ names::FRONTEND: A });
    lease["metadata"]["annotations"] = json!({ names::ADDRESS_STATE: "proposed" });
    refused_for(
        leases(&a).create(&dry_run(), &lease_of(lease.clone())).await,
        "a speaker assigns no port",
    )?;
    let created = leases(&admin).create(&PostParams::default(), &lease_of(lease)).await?;
    let assignment = FrontendAssignment::read(&created)?;
    Leases::new(a.clone(), node(A)).answer(&assignment, State::Accepted, None).await?;
    let accepted = FrontendAssignment::read(&leases(&admin).get(name).await?)?;
    ensure!(accepted.state == State::Accepted, "{accepted:?}");
    let conflict = Some(Conflict::Listening);
    Leases::new(a.clone(), node(A)).answer(&accepted, State::Refused, conflict).await?;
    let refused = FrontendAssignment::read(&leases(&admin).get(name).await?)?;
    ensure!(refused.conflict == conflict, "{refused:?}");

    let accept = annotate(&json!({ names::ADDRESS_STATE: "accepted" }));
    for other in [&b, &loose] {
        refused_for(patch(&leases(other), name, accept.clone()).await, "its own node only")?;
    }
    for (change, why) in [
        (annotate(&json!({ names::ADDRESS_STATE: "proposed" })), "accepts a port, or refuses it"),
        (annotate(&json!({ names::FRONTEND_CONFLICT: "a tenant" })), "accepts a port, or refuses"),
        (annotate(&json!({ names::SERVICE_UID: "x" })), "changes nothing else"),
        (json!({ "spec": { "holderIdentity": B } }), "changes nothing else"),
        (json!({ "metadata": { "labels": { names::FRONTEND: B } } }), "changes nothing else"),
    ] {
        let refusal = refused_for(patch(&leases(&a), name, change.clone()).await, why);
        refusal.with_context(|| change.to_string())?;
    }
    Ok(())
}
