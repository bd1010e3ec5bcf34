//! Measures the figures that fastrak claims and those they are compared with, in one run on one
//! machine. Each area is one file. No figure fails a test, because a busy machine gives poor ones.

pub mod addresses;
pub mod admission;
mod bound;
pub mod main_area;
mod requests;
mod resources;
mod unmount;
pub mod volumes;

use crate::install::{Binaries, repository};
use crate::transcript::Transcript;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// A part of fastrak with figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Area {
    /// One claim from apply to Bound, and the memory of the programs.
    Main,
    /// Reviews: speed, memory and failures.
    Admission,
    /// Volumes: the speed of creation and removal, and the cost of many.
    Volumes,
    /// Addresses: the speed of their allocation, and failovers.
    Addresses,
}

/// The areas to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Wanted {
    /// Measure one area instead of all.
    #[arg(long)]
    pub area: Option<Area>,
    /// Use the largest sizes, which need minutes and gigabytes.
    #[arg(long)]
    pub full: bool,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The area.
    pub area: &'static str,
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit; `x` for a ratio.
    pub unit: &'static str,
    /// The goal as text; empty if there is none.
    pub goal: String,
    /// Whether the goal is met. A figure without a goal is always met.
    pub met: bool,
}

/// Measures one area or all of them, prints a table and writes `target/bench/summary.json`.
pub async fn run(wanted: Wanted) -> ExitCode {
    let transcript = Transcript::default();
    match measure(wanted).await {
        Ok(figures) => {
            let unmet = figures.iter().filter(|figure| !figure.met).count();
            transcript.line(&table(&figures));
            transcript
                .line(&format!("bench: {} figures, {unmet} short of their goal", figures.len()));
            ExitCode::from(u8::from(unmet > 0))
        }
        Err(error) => {
            transcript.line(&format!("bench: FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(Wanted { area, full }: Wanted) -> Result<Vec<Figure>> {
    let binaries = Binaries::built()?;
    let mut figures = Vec::new();
    for area in Area::value_variants().iter().filter(|known| area.is_none_or(|one| one == **known))
    {
        figures.extend(match area {
            Area::Main => main_area::measure(&binaries).await?,
            Area::Admission => admission::measure(&binaries).await?,
            Area::Volumes => volumes::measure(&binaries, full).await?,
            Area::Addresses => addresses::measure(&binaries, full).await?,
        });
    }
    write_summary(&figures, &repository().join("target/bench/summary.json"))?;
    Ok(figures)
}

impl Figure {
    /// Returns a figure with the goal of at most `limit`.
    #[must_use]
    pub fn at_most(
        area: &'static str,
        name: &str,
        value: f64,
        unit: &'static str,
        limit: f64,
    ) -> Self {
        let (goal, met) = (format!("<= {limit}"), value <= limit);
        Self { goal, met, ..Self::plain(area, name, value, unit) }
    }

    /// Returns a figure with the goal of at least `limit`.
    #[must_use]
    pub fn at_least(
        area: &'static str,
        name: &str,
        value: f64,
        unit: &'static str,
        limit: f64,
    ) -> Self {
        let (goal, met) = (format!(">= {limit}"), value >= limit);
        Self { goal, met, ..Self::plain(area, name, value, unit) }
    }

    /// Returns a figure without a goal.
    #[must_use]
    pub fn plain(area: &'static str, name: &str, value: f64, unit: &'static str) -> Self {
        Self { area, name: name.to_owned(), value, unit, goal: String::new(), met: true }
    }
}

/// Returns the figures as a table.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let line = |Figure { area, name, value, unit, goal, met }: &Figure| {
        let verdict = match (goal.is_empty(), met) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "NOT MET",
        };
        format!("{area:10} {name:width$} {value:>10.3} {unit:4} {goal:10} {verdict}\n")
    };
    figures.iter().map(line).collect()
}

/// Writes the figures as JSON.
pub fn write_summary(figures: &[Figure], path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("make {}", directory.display()))?;
    }
    let text = serde_json::to_string_pretty(figures).context("write figures as JSON")?;
    std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

/// Returns the median.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_met_up_to_its_limit() {
        assert!(Figure::at_most("main", "a", 1.3, "x", 1.3).met);
        assert!(!Figure::at_most("main", "a", 1.31, "x", 1.3).met);
        assert!(Figure::plain("main", "a", 9e9, "s").met);
        assert!(Figure::at_least("main", "a", 10.0, "x", 10.0).met);
        assert!(!Figure::at_least("main", "a", 9.9, "x", 10.0).met);
        assert!(!Figure::at_least("main", "a", f64::NAN, "x", 1.0).met);
    }

    #[test]
    fn the_table_says_which_goal_is_not_met() {
        let figures =
            [Figure::at_most("main", "slow", 2.0, "x", 1.0), Figure::plain("main", "b", 1.0, "s")];
        let text = table(&figures);
        assert_eq!(text.matches("NOT MET").count(), 1, "{text}");
        assert!(text.lines().next().unwrap().contains("slow"), "{text}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
