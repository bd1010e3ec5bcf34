//! The marker: the file that says which pool a directory is, and so tells a pool's disk from the
//! empty folder that it is mounted on.
//!
//! Pure. What is on the disk is read and written by `check.rs`.

use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use serde::{Deserialize, Serialize};

use super::error::Problem;

/// The name of the marker in its pool.
pub const MARKER: &str = ".fastrak-pool";

/// The layout of [`Marker`] that this version writes and reads.
pub const MARKER_FORMAT: u32 = 1;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// The layout of this record.
    pub format: u32,
    /// Which pool of all that ever were: random, and never given twice.
    pub id: String,
    /// The pool's name.
    pub pool: String,
    /// The node it was made on.
    pub node: String,
}

/// What is on the disk in the place of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// An empty file: someone wants the pool to be started here whatever else there is.
    Consent,
    /// A marker.
    Marker(Marker),
    /// A file that is not a marker of a layout known here, and why.
    Unreadable(String),
}

/// What is known of a pool besides its disk.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its name.
    pub pool: &'a PoolName,
    /// This node.
    pub node: &'a NodeName,
    /// The id that it had before, while this process has been running.
    pub id: Option<&'a str>,
    /// Whether the cluster has volumes in it.
    pub has_volumes: bool,
}

/// What to do with a directory that is to be a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the pool, and this is its id.
    Accept(String),
    /// It is to become the pool: its marker is to be written.
    Begin,
}

impl Found {
    /// Reads the content of a marker, if there is any.
    #[must_use]
    pub fn read(content: Option<&[u8]>) -> Self {
        let Some(content) = content else { return Self::Absent };
        if content.is_empty() {
            return Self::Consent;
        }
        match serde_json::from_slice::<Marker>(content) {
            Ok(marker) if marker.format == MARKER_FORMAT => Self::Marker(marker),
            Ok(marker) => Self::Unreadable(format!("its format is {}", marker.format)),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// Decides whether a directory with `found` in it, and `others` beside it, is the expected pool.
pub fn judge(
    found: &Found,
    others: &[String],
    expected: &Expected<'_>,
) -> Result<Verdict, Problem> {
    match found {
        Found::Marker(marker) => accept(marker, expected),
        Found::Consent => Ok(Verdict::Begin),
        Found::Unreadable(why) => Err(Problem::MarkerUnreadable { why: why.clone() }),
        // A disk that is not mounted looks exactly like a first start. What tells them apart is
        // whether anyone has seen the pool before.
        Found::Absent if expected.id.is_some() || expected.has_volumes => Err(Problem::MarkerLost),
        Found::Absent => match others.first() {
            Some(name) => Err(Problem::NotEmpty { name: name.clone() }),
            None => Ok(Verdict::Begin),
        },
    }
}

fn accept(marker: &Marker, expected: &Expected<'_>) -> Result<Verdict, Problem> {
    if marker.pool != expected.pool.as_str() {
        return Err(Problem::OtherPool { pool: marker.pool.clone() });
    }
    if marker.node != expected.node.as_str() {
        return Err(Problem::OtherNode { node: marker.node.clone() });
    }
    match expected.id {
        Some(id) if id != marker.id => Err(Problem::OtherDisk),
        _ => Ok(Verdict::Accept(marker.id.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marker(pool: &str, node: &str, id: &str) -> Found {
        let (id, pool, node) = (id.to_owned(), pool.to_owned(), node.to_owned());
        Found::Marker(Marker { format: MARKER_FORMAT, id, pool, node })
    }

    fn judged(
        found: &Found,
        others: &[&str],
        id: Option<&str>,
        has_volumes: bool,
    ) -> Result<Verdict, Problem> {
        let (pool, node) = (PoolName::default(), NodeName::parse("node-a").unwrap());
        let others: Vec<_> = others.iter().map(|&name| name.to_owned()).collect();
        judge(found, &others, &Expected { pool: &pool, node: &node, id, has_volumes })
    }

    #[test]
    fn a_first_start_begins_in_an_empty_directory_alone() {
        assert_eq!(judged(&Found::Absent, &[], None, false), Ok(Verdict::Begin));
        let taken = Problem::NotEmpty { name: "home".to_owned() };
        assert_eq!(judged(&Found::Absent, &["home"], None, false), Err(taken));
    }

    #[test]
    fn an_empty_directory_that_should_have_data_is_a_disk_that_is_not_mounted() {
        assert_eq!(judged(&Found::Absent, &[], None, true), Err(Problem::MarkerLost));
        assert_eq!(judged(&Found::Absent, &[], Some("1"), false), Err(Problem::MarkerLost));
    }

    #[test]
    fn an_empty_marker_starts_the_pool_afresh_whatever_is_there() {
        assert_eq!(judged(&Found::Consent, &["home"], Some("1"), true), Ok(Verdict::Begin));
    }

    #[test]
    fn a_marker_must_be_of_this_pool_on_this_node_and_stay_the_same() {
        let accept = Ok(Verdict::Accept("1".to_owned()));
        assert_eq!(judged(&marker("default", "node-a", "1"), &["x"], None, true), accept);
        assert_eq!(judged(&marker("default", "node-a", "1"), &[], Some("1"), true), accept);
        let pool = Problem::OtherPool { pool: "fast".to_owned() };
        assert_eq!(judged(&marker("fast", "node-a", "1"), &[], None, false), Err(pool));
        let node = Problem::OtherNode { node: "node-b".to_owned() };
        assert_eq!(judged(&marker("default", "node-b", "1"), &[], None, false), Err(node));
        let found = marker("default", "node-a", "2");
        assert_eq!(judged(&found, &[], Some("1"), false), Err(Problem::OtherDisk));
    }

    #[test]
    fn what_is_no_marker_of_this_version_is_never_overwritten() {
        for text in ["{}", "\0", r#"{"format":2,"id":"1","pool":"default","node":"node-a"}"#] {
            let found = Found::read(Some(text.as_bytes()));
            let verdict = judged(&found, &[], None, false);
            assert!(
                matches!(verdict, Err(Problem::MarkerUnreadable { .. })),
                "{text}: {verdict:?}"
            );
        }
        assert_eq!(Found::read(None), Found::Absent);
        assert_eq!(Found::read(Some(b"")), Found::Consent);
    }

    proptest! {
        #[test]
        fn no_bytes_are_taken_for_a_marker_of_ours(bytes: Vec<u8>) {
            prop_assert!(!matches!(Found::read(Some(&bytes)), Found::Marker(_)));
        }
    }
}
