use super::{Image, is_dynamic};
use crate::process::Invocation;

fn listing(archive: &std::path::Path) -> String {
    let tar = Invocation::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file"]);
    tar.arg(archive.display().to_string()).run_blocking().expect("tar reads it").stdout
}

#[test]
fn tar_reads_an_image_and_the_layer_in_it() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("image.tar");
    let image = Image::scratch(&["here/there:1"]).directory("tmp", 0o1777).link("bin", "usr/bin");
    let image = image.file("hello", 0o755, vec![b'x'; 513]).starts(&["/hello"]);
    image.write(&path).expect("writes");
    let outer = listing(&path);
    assert_eq!(outer.lines().count(), 3, "{outer}");
    let extract = Invocation::new("tar").args(["--extract", "--directory"]);
    let extract = extract.arg(directory.path().display().to_string()).arg("--file");
    extract.arg(path.display().to_string()).run_blocking().expect("tar extracts it");
    let inner = listing(&directory.path().join("layer.tar"));
    let lines: Vec<&str> = inner.lines().collect();
    assert!(lines[0].starts_with("drwxrwxrwt 0/0"), "{inner}");
    assert!(lines[1].ends_with("bin -> usr/bin"), "{inner}");
    assert!(lines[2].starts_with("-rwxr-xr-x 0/0") && lines[2].contains(" 513 "), "{inner}");
}

#[test]
fn the_config_names_the_layer_by_its_digest() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("image.tar");
    Image::scratch(&["here/there:1"]).file("a", 0o644, "a").write(&path).expect("writes");
    let tar = |what: &str| {
        let words = ["-c", &format!("tar --extract --to-stdout --file {} {what}", path.display())];
        Invocation::new("sh").args(words).run_blocking().expect("tar extracts it").stdout
    };
    let config: serde_json::Value = serde_json::from_str(&tar("config.json")).expect("JSON");
    let digest = tar("layer.tar | sha256sum");
    let digest = digest.split_whitespace().next().expect("a digest");
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{digest}"));
}

#[test]
fn a_dynamically_linked_program_is_refused() {
    assert!(is_dynamic(&std::fs::read("/bin/sh").expect("reads")));
    let error = Image::of_binary(std::path::Path::new("/bin/sh"), "here:1").expect_err("refused");
    assert!(error.to_string().contains("not a static binary"), "{error}");
}
