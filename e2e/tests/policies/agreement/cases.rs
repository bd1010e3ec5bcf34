//! A case is an object that is created or changed. Each case is sent all four ways. Nothing here
//! depends on fastrak's rules.

use super::cluster::{Space, TestCluster, Way, without_generated};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// The number of concurrent requests.
const AT_A_TIME: usize = 8;

/// A field of cases, not of objects: the field manager of the status.
pub(crate) const STATUS_BY: &str = "statusBy";

/// An object that is created or changed.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) space: Space,
    /// The object before; `None` if it is new.
    pub(crate) old: Option<Value>,
    pub(crate) new: Value,
}

/// The results of a case: the object or the refusal of each way.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) bare: Value,
    pub(crate) webhook: Value,
    pub(crate) policies: Value,
    pub(crate) both: Value,
}

impl Case {
    pub(crate) fn create(new: Value) -> Self {
        Self { space: Space::Plain, old: None, new }
    }

    pub(crate) fn update(old: Value, new: Value) -> Self {
        Self { space: Space::Plain, old: Some(old), new }
    }

    pub(crate) fn within(mut self, space: Space) -> Self {
        self.space = space;
        self
    }
}

/// Stores each old object once for every way, before webhook and policies are active.
pub(crate) async fn store(
    cluster: &TestCluster,
    resource: &ApiResource,
    cases: &[Case],
) -> Result<()> {
    let mut olds: Vec<(Space, &Value)> = Vec::new();
    for case in cases {
        let Some(old) = &case.old else { continue };
        if !olds.iter().any(|(space, known)| *space == case.space && *known == old) {
            olds.push((case.space, old));
        }
    }
    let jobs = olds.into_iter().flat_map(|old| Way::ALL.map(|way| (old, way)));
    stream::iter(jobs)
        .map(|((space, old), way)| async move {
            let api = api(cluster, resource, space, way);
            let made = api.create(&PostParams::default(), &named("old", old)?).await;
            let made = made.with_context(|| format!("store {old}"))?;
            let Some(status) = old.get("status") else { return Ok(()) };
            let name = made.metadata.name.context("name")?;
            let patch = Patch::Merge(json!({"status": status}));
            let field_manager = old[STATUS_BY].as_str().map(str::to_owned);
            let params = PatchParams { field_manager, ..PatchParams::default() };
            api.patch_status(&name, &params, &patch).await?;
            Ok(())
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Returns the results of the cases by dry runs.
pub(crate) async fn run(
    cluster: &TestCluster,
    resource: &ApiResource,
    cases: &[Case],
) -> Result<Vec<Results>> {
    let jobs = stream::iter(cases).map(|case| async move {
        let mut results = Vec::new();
        for way in Way::ALL {
            results.push(one(&api(cluster, resource, case.space, way), case).await?);
        }
        let [bare, webhook, policies, both] =
            results.try_into().ok().context("one result for each way")?;
        Ok(Results { bare, webhook, policies, both })
    });
    jobs.buffered(AT_A_TIME).try_collect().await
}

/// Returns the results of the cases on one way by dry runs.
pub(crate) async fn send(
    cluster: &TestCluster,
    resource: &ApiResource,
    way: Way,
    cases: &[Case],
) -> Result<Vec<Value>> {
    let jobs = stream::iter(cases)
        .map(|case| async move { one(&api(cluster, resource, case.space, way), case).await });
    jobs.buffered(AT_A_TIME).try_collect().await
}

async fn one(api: &Api<DynamicObject>, case: &Case) -> Result<Value> {
    let result = match &case.old {
        None => {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            api.create(&params, &named("new", &case.new)?).await
        }
        Some(old) => {
            let name = named("old", old)?.metadata.name.context("name")?;
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            api.patch(&name, &params, &Patch::Merge(change(old, &case.new))).await
        }
    };
    match result {
        Ok(object) => Ok(without_generated(serde_json::to_value(object)?)),
        Err(kube::Error::Api(status)) => Ok(json!({"refused": status.message})),
        Err(error) => Err(error).context("the API server answers"),
    }
}

fn api(
    cluster: &TestCluster,
    resource: &ApiResource,
    space: Space,
    way: Way,
) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client.clone(), &space.of(way), resource)
}

/// Returns the object with a name derived from its content.
fn named(prefix: &str, object: &Value) -> Result<DynamicObject> {
    let mut named = object.clone();
    named["metadata"]["name"] = json!(format!("{prefix}-{:016x}", hash(&object.to_string())));
    named.as_object_mut().context("an object")?.remove(STATUS_BY);
    Ok(serde_json::from_value(named)?)
}

/// Returns the merge patch from one object to another.
fn change(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) => drop(patch.insert(key.clone(), change(before, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    patch.extend(
        old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null)),
    );
    Value::Object(patch)
}

/// Returns each element unchanged and with each of the values.
pub(crate) fn product<T: Clone, V: Copy>(
    all: Vec<T>,
    values: &[V],
    with: impl Fn(T, V) -> T,
) -> Vec<T> {
    let changed: Vec<_> =
        all.iter().flat_map(|one| values.iter().map(|&value| with(one.clone(), value))).collect();
    all.into_iter().chain(changed).collect()
}

/// Returns a fixed sample of about this size.
pub(crate) fn some<T>(all: Vec<T>, few: usize) -> Vec<T> {
    let one_in = (all.len() / few.max(1)).max(1) as u64;
    let chosen = |(index, case)| hash(&index).is_multiple_of(one_in).then_some(case);
    all.into_iter().enumerate().filter_map(chosen).collect()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
