//! A superseded change is distinguished from a refused one by the responses of a real API server.

use anyhow::{Context, Result, ensure};
use fastrak_runtime::superseded::is_superseded;
use fastrak_testkit::{Options, or_skip, shared, with_namespace};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_change_is_distinguished_from_a_refused_one() -> Result<()> {
    let plane = or_skip!(shared(Options::api_only()).await, Ok(()));
    let client = plane.client().await?;
    with_namespace(&client, async |namespace| {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let map = serde_json::from_value(json!({"metadata": {"name": "map"}, "data": {"a": "1"}}))?;
        let found = maps.create(&PostParams::default(), &map).await?.metadata.resource_version;
        let change = async |version: &Option<String>, data: &str| {
            let patch = serde_json::from_value(json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/data", "value": {"a": data}},
                {"op": "add", "path": "/immutable", "value": true},
            ]))?;
            let patch = Patch::Json::<()>(patch);
            anyhow::Ok(maps.patch("map", &PatchParams::default(), &patch).await)
        };
        let changed = change(&found, "2").await??.metadata.resource_version;
        let late = change(&found, "3").await?.err().context("it has another version")?;
        ensure!(is_superseded(&late), "{late:?}");
        let refused = change(&changed, "3").await?.err().context("it is immutable by now")?;
        ensure!(!is_superseded(&refused), "{refused:?}");
        maps.delete("map", &DeleteParams::default()).await?;
        let gone = change(&changed, "3").await?.err().context("it is gone")?;
        ensure!(is_superseded(&gone), "{gone:?}");
        Ok(())
    })
    .await
}
