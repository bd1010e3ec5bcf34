use super::*;
use clap::Parser;
use fastrak_api::capacity::{self, CapacityLimits, Overcommit, Reserve};

fn config(args: &[&str]) -> Result<Config, String> {
    let args = ["fastrak-agent", "--node", "node-a"].iter().chain(args);
    let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
    Config::try_from(args).map_err(|error| error.to_string())
}

#[test]
fn without_a_pool_the_default_one_is_used() {
    let config = config(&[]).unwrap();
    let [pool] = config.pools.as_slice() else { panic!("{:?}", config.pools) };
    assert_eq!(
        (pool.name.as_str(), pool.path.as_path()),
        ("default", Path::new("/var/lib/fastrak"))
    );
    assert_eq!(
        (
            config.settings.upkeep.orphan_scan.as_secs(),
            config.settings.orphans.orphan_grace.as_secs()
        ),
        (600, 60)
    );
}

#[test]
fn pools_come_from_flags_and_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pools.json");
    std::fs::write(&file, r#"[{"name": "slow", "path": "/mnt//slow/", "requireMount": true}]"#)
        .unwrap();
    let file = file.to_str().unwrap();
    let args = ["--pool", "default=/a", "--pool", "fast=/b,mount", "--pools-file", file];
    let pools = config(&args).unwrap().pools;
    let parsed: Vec<_> = pools
        .iter()
        .map(|pool| (pool.name.as_str(), pool.path.to_str().unwrap(), pool.require_mount))
        .collect();
    assert_eq!(
        parsed,
        [("default", "/a", false), ("fast", "/b", true), ("slow", "/mnt/slow", true)]
    );
}

#[test]
fn the_terms_of_a_pool_are_parsed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pools.json");
    let entry = r#"[{"name": "b", "path": "/b", "size": "1Gi", "overcommit": "2"}]"#;
    std::fs::write(&file, entry).unwrap();
    let file = file.to_str().unwrap();
    let args = ["--pool", "a=/a,reserve=20Gi,overcommit=1.5,mount", "--pools-file", file];
    let pools = config(&args).unwrap().pools;
    let limits = |size: Option<&str>, reserve, overcommit| CapacityLimits {
        size: size.map(|size| capacity::parse_size(size).unwrap()),
        reserve,
        overcommit: Overcommit::parse(overcommit).unwrap(),
    };
    assert_eq!(pools[0].limits, limits(None, Reserve::parse("20Gi").unwrap(), "1.5"));
    assert!(pools[0].require_mount);
    assert_eq!(pools[1].limits, limits(Some("1Gi"), Reserve::default(), "2"));
}

#[test]
fn an_invalid_pool_is_refused_with_the_reason() {
    for (pool, words) in [
        ("default", "NAME=PATH"),
        ("default=/a,rw", "NAME=PATH"),
        ("De fault=/a", "lower-case"),
        ("default=relative", "absolute path"),
        ("default=/a/../etc", "absolute path"),
        ("default=/", "absolute path"),
        ("default=", "absolute path"),
        ("default=/a,reserve", "NAME=PATH"),
        ("default=/a,mount=true", "NAME=PATH"),
        ("default=/a,sizes=1Gi", "known keys: mount, reserve, overcommit, size"),
        ("default=/a,reserve=all", "neither a percentage, such as 10%, nor a size"),
        ("default=/a,overcommit=0.5", "from 1 to 100"),
        ("default=/a,size=large", "size \"large\" is invalid"),
    ] {
        let error = config(&["--pool", pool]).unwrap_err();
        assert!(error.contains(words), "{pool}: {error}");
    }
    for twins in [["a=/x", "a=/y"], ["a=/x", "b=/x/"]] {
        let error = config(&["--pool", twins[0], "--pool", twins[1]]).unwrap_err();
        assert!(error.contains("the same"), "{error}");
    }
}

#[test]
fn all_other_flags_are_checked() {
    for (flag, words) in [
        ("--node=Node A", "is not a valid node name"),
        ("--orphan-grace=soon", "such as 90s"),
        ("--orphan-grace=-5s", "such as 90s"),
        ("--orphan-scan=0s", "at least 1ms"),
        ("--pools-file=/nowhere/pools.json", "could not read"),
    ] {
        let mut args = vec!["fastrak-agent", flag];
        if !flag.starts_with("--node") {
            args.push("--node=node-a");
        }
        let error = Args::try_parse_from(args)
            .map_err(|error| error.to_string())
            .and_then(|args| Config::try_from(args).map_err(|error| error.to_string()))
            .unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
