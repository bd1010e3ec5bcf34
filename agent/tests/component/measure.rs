use crate::scene::Scene;
use anyhow::Result;
use fastrak_testkit::with_namespace;
use std::time::Instant;
#[tokio::test(flavor = "multi_thread")]
async fn measure() -> Result<()> {
    let scene = Scene::new().await?;
    let t = Instant::now();
    let mut agent = None;
    with_namespace(&scene.client, async |namespace| {
        agent = Some(scene.program(&["env", "ADMIN_ADDR=127.0.0.1:28099"])?);
        for i in 0..30 {
            let t = Instant::now();
            let claim = scene.create(&namespace, scene.claim(&format!("d{i}"))).await?;
            scene.bound(&claim).await?;
            eprintln!("{:?}", t.elapsed());
        }
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", agent.as_ref().unwrap().pid()))?;
        eprintln!(
            "{}",
            status
                .lines()
                .filter(|l| l.contains("RSS")
                    || l.contains("Hugetlb")
                    || l.contains("Threads")
                    || l.contains("Rss"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        Ok(())
    })
    .await?;
    eprintln!("{:?}", t.elapsed());
    eprintln!(
        "{}",
        std::fs::read_to_string(scene.folder.path().join("agent.log"))?
            .lines()
            .take(40)
            .collect::<Vec<_>>()
            .join("\n")
    );
    Ok(())
}
