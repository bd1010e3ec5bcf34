//! Receives objects of the API server as text, for readers that keep a part of them.

use fastrak_runtime::superseded::is_superseded;
use http::Request;
use kube::api::GetParams;
use kube::core::request;
use kube::{Client, Resource};

/// Returns the JSON of an object, or `None` if it does not exist.
pub(crate) async fn text<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> kube::Result<Option<String>> {
    let request = kube::core::Request::new(K::url_path(&(), Some(namespace)));
    response(client, request.get(name, &GetParams::default())).await
}

/// Sends a request about one object. Returns the JSON of the response, or `None` if the object was
/// changed or deleted.
pub(crate) async fn response(
    client: &Client,
    request: Result<Request<Vec<u8>>, request::Error>,
) -> kube::Result<Option<String>> {
    match client.request_text(request.map_err(kube::Error::BuildRequest)?).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_superseded(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
