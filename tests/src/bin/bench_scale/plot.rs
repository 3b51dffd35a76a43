//! The two plots, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::growth::Column;
use crate::hosts::Row;
use crate::stand::Database;

const SIZE: (u32, u32) = (860, 480);

/// What is drawn of the growth, by its name in the table.
const DRAWN: [&str; 4] =
    ["processor, per order", "processor, per tick", "/orders, newest first", "/infomations, of a customer"];

/// Orders per second by the number of hosts, beside what it would be if each carried what the first does.
pub(crate) fn hosts(path: &Path, rows: &[Row]) -> Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let most = rows.iter().map(|row| row.hosts as f64).fold(1.0, f64::max);
    let each = first.rate / first.hosts as f64;
    let draw = || {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("orders per second, by hosts with a share of a processor", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..most * 1.05, 0.0..each * most * 1.1)?;
        chart.configure_mesh().x_desc("hosts").y_desc("orders/s").draw()?;
        chart
            .draw_series(LineSeries::new([(0.0, 0.0), (most, each * most)], BLACK.mix(0.4)))?
            .label("if each carried what the first does")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.mix(0.4)));
        let points = || rows.iter().map(|row| (row.hosts as f64, row.rate));
        chart
            .draw_series(LineSeries::new(points(), BLUE.stroke_width(2)))?
            .label("measured")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLUE.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 4, BLUE.filled())))?;
        let position = SeriesLabelPosition::UpperLeft;
        chart.configure_series_labels().position(position).border_style(BLACK.mix(0.2)).draw()?;
        root.present()
    };
    draw().map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// What some things cost by how many orders there are, on both databases.
pub(crate) fn growth(path: &Path, columns: &[Column]) -> Result<()> {
    let sizes: Vec<_> = columns.iter().map(|column| column.orders as f64).collect();
    let (least, most) =
        (sizes.iter().copied().fold(f64::MAX, f64::min), sizes.iter().copied().fold(1.0, f64::max));
    let of = |database, name: &str| -> Vec<(f64, f64)> {
        let columns = columns.iter().filter(|column| column.database == database);
        let cost =
            |column: &Column| column.costs.iter().find(|cost| cost.name == name).map(|cost| cost.value);
        columns.filter_map(|column| Some((column.orders as f64, cost(column)?))).collect()
    };
    let highest = Database::ALL.iter().flat_map(|database| DRAWN.map(|name| of(*database, name)));
    let highest = highest.flatten().map(|(_, value)| value).fold(1.0, f64::max);
    let draw = || {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("milliseconds, by orders that there are", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d((least..most.max(least * 10.0)).log_scale(), 0.0..highest * 1.6)?;
        chart.configure_mesh().x_desc("orders in the stores").y_desc("ms").draw()?;
        for (index, name) in DRAWN.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            for database in Database::ALL {
                let points = of(database, name);
                let style = match database {
                    Database::Sqlite => color.mix(0.5).stroke_width(1),
                    Database::Postgres => color.stroke_width(2),
                };
                chart
                    .draw_series(LineSeries::new(points.clone(), style))?
                    .label(format!("{name}, {}", database.name()))
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
                chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, color.filled())))?;
            }
        }
        let position = SeriesLabelPosition::UpperLeft;
        chart.configure_series_labels().position(position).border_style(BLACK.mix(0.2)).draw()?;
        root.present()
    };
    draw().map_err(|error| anyhow!("{}: {error}", path.display()))
}
