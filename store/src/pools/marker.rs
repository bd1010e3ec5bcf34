//! The marker: the file that says which pool a directory is, of which node and of which cluster. It
//! tells the disk of a pool from the empty directory below its mount point, and from the disk of another
//! cluster.
//!
//! Pure. `check.rs` reads and writes what is on the disk.

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
    /// The id of the pool: random, and never given twice.
    pub id: String,
    /// The name of the pool.
    pub pool: String,
    /// The node of the pool.
    pub node: String,
    /// The cluster of the pool: the uid of its namespace `kube-system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// What is on the disk in the place of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// An empty file: an administrator wants the pool to be started here, whatever else is there.
    Consent,
    /// A marker.
    Marker(Marker),
    /// A file that is not a marker of a layout known here, and why.
    Unreadable(String),
}

/// What is known of a pool besides its disk.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The name of the pool.
    pub pool: &'a PoolName,
    /// This node.
    pub node: &'a NodeName,
    /// The id that the pool had before, while this process has been running.
    pub id: Option<&'a str>,
    /// The cluster that this node is in.
    pub cluster: &'a str,
    /// Whether this cluster has PersistentVolumes in the pool.
    pub has_volumes: bool,
    /// Whether an administrator has confirmed that the pool is this cluster's from now on.
    pub adopt: bool,
}

/// What to do with a directory that is to be a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the pool, and this is its id.
    Accept(String),
    /// It becomes the pool: a marker is to be written.
    Begin,
    /// It is the pool, and becomes this cluster's: this marker is to be written.
    Adopt(Marker),
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
        Found::Marker(marker) => accept(marker, others, expected),
        Found::Consent => Ok(Verdict::Begin),
        Found::Unreadable(why) => Err(Problem::MarkerUnreadable { why: why.clone() }),
        // A disk that is not mounted looks exactly like a first start, unless the pool was seen before.
        Found::Absent if expected.id.is_some() || expected.has_volumes => Err(Problem::MarkerLost),
        Found::Absent => match others.first() {
            Some(name) => Err(Problem::NotEmpty { name: name.clone() }),
            None => Ok(Verdict::Begin),
        },
    }
}

fn accept(marker: &Marker, others: &[String], expected: &Expected<'_>) -> Result<Verdict, Problem> {
    if marker.pool != expected.pool.as_str() {
        return Err(Problem::OtherPool { pool: marker.pool.clone() });
    }
    if marker.node != expected.node.as_str() {
        return Err(Problem::OtherNode { node: marker.node.clone() });
    }
    if expected.id.is_some_and(|id| id != marker.id) {
        return Err(Problem::OtherDisk);
    }
    if marker.cluster.as_deref() == Some(expected.cluster) {
        return Ok(Verdict::Accept(marker.id.clone()));
    }
    // A marker without a cluster was written by a version that recorded none.
    let is_unclaimed = marker.cluster.is_none() && (expected.has_volumes || others.is_empty());
    if expected.adopt || is_unclaimed {
        let cluster = Some(expected.cluster.to_owned());
        return Ok(Verdict::Adopt(Marker { cluster, ..marker.clone() }));
    }
    Err(Problem::OtherCluster {
        cluster: marker.cluster.clone(),
        pool: marker.pool.clone(),
        node: marker.node.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: &str = "cluster-a";

    fn marker_of(cluster: Option<&str>, pool: &str, node: &str, id: &str) -> Marker {
        let (id, pool, node) = (id.to_owned(), pool.to_owned(), node.to_owned());
        Marker { format: MARKER_FORMAT, id, pool, node, cluster: cluster.map(str::to_owned) }
    }

    fn marker(pool: &str, node: &str, id: &str) -> Found {
        Found::Marker(marker_of(Some(HERE), pool, node, id))
    }

    #[derive(Clone, Copy, Default)]
    struct Known<'a> {
        id: Option<&'a str>,
        has_volumes: bool,
        adopt: bool,
    }

    fn judged(found: &Found, others: &[&str], known: Known<'_>) -> Result<Verdict, Problem> {
        let (pool, node) = (PoolName::default(), NodeName::parse("node-a").unwrap());
        let others: Vec<_> = others.iter().map(|&name| name.to_owned()).collect();
        let Known { id, has_volumes, adopt } = known;
        let expected = Expected { pool: &pool, node: &node, id, cluster: HERE, has_volumes, adopt };
        judge(found, &others, &expected)
    }

    const NEW: Known<'_> = Known { id: None, has_volumes: false, adopt: false };
    const IN_USE: Known<'_> = Known { id: None, has_volumes: true, adopt: false };
    const SEEN: Known<'_> = Known { id: Some("1"), has_volumes: false, adopt: false };

    #[test]
    fn a_first_start_begins_in_an_empty_directory_alone() {
        assert_eq!(judged(&Found::Absent, &[], NEW), Ok(Verdict::Begin));
        let taken = Problem::NotEmpty { name: "home".to_owned() };
        assert_eq!(judged(&Found::Absent, &["home"], NEW), Err(taken));
    }

    #[test]
    fn an_empty_directory_that_should_have_data_is_a_disk_that_is_not_mounted() {
        assert_eq!(judged(&Found::Absent, &[], IN_USE), Err(Problem::MarkerLost));
        assert_eq!(judged(&Found::Absent, &[], SEEN), Err(Problem::MarkerLost));
    }

    #[test]
    fn an_empty_marker_starts_the_pool_afresh_whatever_is_there() {
        let known = Known { has_volumes: true, ..SEEN };
        assert_eq!(judged(&Found::Consent, &["home"], known), Ok(Verdict::Begin));
    }

    #[test]
    fn a_marker_must_be_of_this_pool_on_this_node_and_stay_the_same() {
        let accept = Ok(Verdict::Accept("1".to_owned()));
        assert_eq!(judged(&marker("default", "node-a", "1"), &["x"], IN_USE), accept);
        let both = Known { has_volumes: true, ..SEEN };
        assert_eq!(judged(&marker("default", "node-a", "1"), &[], both), accept);
        let pool = Problem::OtherPool { pool: "fast".to_owned() };
        assert_eq!(judged(&marker("fast", "node-a", "1"), &[], NEW), Err(pool));
        let node = Problem::OtherNode { node: "node-b".to_owned() };
        assert_eq!(judged(&marker("default", "node-b", "1"), &[], NEW), Err(node));
        assert_eq!(judged(&marker("default", "node-a", "2"), &[], SEEN), Err(Problem::OtherDisk));
    }

    #[test]
    fn a_pool_of_another_cluster_is_refused_until_an_administrator_adopts_it() {
        let theirs = marker_of(Some("cluster-b"), "default", "node-a", "1");
        let found = Found::Marker(theirs.clone());
        // Whatever this cluster says of it: a PersistentVolume can be written by many.
        for known in [NEW, IN_USE, SEEN] {
            for others in [&[][..], &["volume"]] {
                let refused = judged(&found, others, known);
                assert!(matches!(refused, Err(Problem::OtherCluster { .. })), "{refused:?}");
            }
        }
        let ours = Marker { cluster: Some(HERE.to_owned()), ..theirs };
        let adopted = judged(&found, &["volume"], Known { adopt: true, ..NEW });
        assert_eq!(adopted, Ok(Verdict::Adopt(ours)));
        // The confirmation is for the cluster, not for another node's or pool's disk.
        let far = Found::Marker(marker_of(Some("cluster-b"), "default", "node-b", "1"));
        let refused = judged(&far, &[], Known { adopt: true, ..NEW });
        assert!(matches!(refused, Err(Problem::OtherNode { .. })), "{refused:?}");
    }

    #[test]
    fn a_marker_without_a_cluster_becomes_this_ones_if_that_is_certain() {
        let old = marker_of(None, "default", "node-a", "1");
        let ours = Ok(Verdict::Adopt(marker_of(Some(HERE), "default", "node-a", "1")));
        let found = Found::Marker(old);
        assert_eq!(judged(&found, &[], NEW), ours);
        assert_eq!(judged(&found, &["volume"], IN_USE), ours);
        assert_eq!(judged(&found, &["volume"], Known { adopt: true, ..NEW }), ours);
        let refused = judged(&found, &["volume"], NEW);
        assert!(matches!(refused, Err(Problem::OtherCluster { cluster: None, .. })), "{refused:?}");
    }

    #[test]
    fn what_is_no_marker_of_this_version_is_never_overwritten() {
        for text in ["{}", "\0", r#"{"format":2,"id":"1","pool":"default","node":"node-a"}"#] {
            let found = Found::read(Some(text.as_bytes()));
            let verdict = judged(&found, &[], Known { adopt: true, ..NEW });
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
