//! Addresses: the speed of their allocation, what speakers cost, and how long an address does not
//! answer if its node fails.

mod allocation;
mod failover;
mod footprint;
mod setup;

use super::Figure;
use crate::install::Binaries;
use anyhow::Result;

const AREA: &str = "addresses";

/// Measures the area.
pub async fn measure(binaries: &Binaries, full: bool) -> Result<Vec<Figure>> {
    let mut figures = allocation::measure(binaries).await?;
    figures.extend(footprint::measure(binaries).await?);
    figures.extend(failover::measure(binaries, full).await?);
    Ok(figures)
}
