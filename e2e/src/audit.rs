//! The requests of fastrak's ServiceAccounts, from the audit log of the API server.

use anyhow::{Context, Result};
use fastrak_api::names;
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// An audit log from a point in time on.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    from: u64,
}

/// One request that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The ServiceAccount's name, in fastrak's namespace.
    pub account: String,
    /// The namespace of the object.
    pub namespace: Option<String>,
    /// The API group of the object.
    pub group: String,
    /// The resource, with its subresource after a slash.
    pub resource: String,
    /// The name of the object.
    pub name: Option<String>,
    /// The verb, as RBAC names it.
    pub verb: String,
    /// Whether RBAC allowed it.
    pub is_allowed: bool,
}

impl AuditLog {
    /// Returns the log from now on.
    pub fn from_now(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).with_context(|| format!("find {}", path.display()));
        Ok(Self { path: path.to_owned(), from: metadata?.len() })
    }

    /// Returns the requests that were recorded since then.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let what = || format!("read {}", self.path.display());
        let mut file = File::open(&self.path).with_context(what)?;
        file.seek(SeekFrom::Start(self.from)).with_context(what)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(what)?;
        Ok(text.lines().filter_map(Request::parse).collect())
    }
}

impl Request {
    /// Parses a line. Returns `None` for requests of other users and for requests without an
    /// object, such as discovery.
    fn parse(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let prefix = format!("system:serviceaccount:{}:", names::NAMESPACE);
        let account = event["user"]["username"].as_str()?.strip_prefix(&prefix)?.to_owned();
        let object = event.get("objectRef")?;
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let some = |key: &str| object[key].as_str().map(str::to_owned);
        let resource = match object["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text("resource")),
            None => text("resource"),
        };
        Some(Self {
            account,
            namespace: some("namespace"),
            group: text("apiGroup"),
            resource,
            name: some("name"),
            verb: event["verb"].as_str()?.to_owned(),
            is_allowed: event["annotations"]["authorization.k8s.io/decision"] == "allow",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"verb":"patch","user":{"username":"system:serviceaccount:fastrak-system:fastrak-agent"},
        "objectRef":{"resource":"nodes","subresource":"status","name":"a","apiVersion":"v1"},
        "annotations":{"authorization.k8s.io/decision":"allow"}}"#;

    #[test]
    fn only_requests_of_fastraks_accounts_are_read() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let line = LINE.replace('\n', "") + "\n";
        std::fs::write(log.path(), &line).unwrap();
        let since = AuditLog::from_now(log.path()).unwrap();
        assert_eq!(since.requests().unwrap(), []);
        let other = line.replace("fastrak-system", "default");
        std::fs::write(log.path(), [&line, &other, &line, "no JSON\n"].concat()).unwrap();
        let requests = since.requests().unwrap();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!((requests[0].resource.as_str(), requests[0].is_allowed), ("nodes/status", true));
    }
}
