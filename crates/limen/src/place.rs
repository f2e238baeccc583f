//! `limen place`: the tree of sites, floors, doors and gates.

use std::process::ExitCode;

use api::place::{Place, ZoneClass};
use clap::{Args, Subcommand, ValueEnum};
use vocabulary::code::{PlaceCode, ZoneCode};

use crate::call::Call;
use crate::failure::Failure;
use crate::output;
use crate::table::{self, Part, Shown};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a place.
    Add(Add),
    /// List places.
    #[command(after_help = "Example:\n  limen place list --all --json")]
    List(List),
    /// Show all places as a tree.
    #[command(after_help = "Example:\n  limen place tree")]
    Tree(Tree),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen place add harbour 'Harbour'\n  \
    limen place add harbour/town-hall/door-1 'Town Hall, staff entrance' --class high\n  \
    limen place add central/gate-3 'Gate 3' --zone B")]
pub(crate) struct Add {
    /// Its path in the tree: 1 to 8 segments of `a-z 0-9 -` joined by `/`.
    code: PlaceCode,
    /// What the sign says.
    name: String,
    /// The fare or access zone in which it lies; that of the place around it where absent.
    #[arg(long)]
    zone: Option<ZoneCode>,
    /// How much is at stake behind it: at `high`, a reader that cannot prove that what it knows is
    /// fresh opens to nobody. As at the place around it where absent.
    #[arg(long, value_enum)]
    class: Option<Class>,
    #[command(flatten)]
    call: Call,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Class {
    Low,
    Normal,
    High,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Tree {
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Add(Add { code, name, zone, class, call }) => {
                let zone_class = class.map(|class| match class {
                    Class::Low => ZoneClass::Low,
                    Class::Normal => ZoneClass::Normal,
                    Class::High => ZoneClass::High,
                });
                let zone = zone.map(|zone| zone.to_string());
                let new = Place { code: code.to_string(), name, zone, zone_class };
                let made: Place = call.client()?.post_json("/v1/places", &new)?;
                call.show(&made, &[])
            }
            Self::List(List { part, call }) => part.list::<Place>(&call, "/v1/places"),
            Self::Tree(Tree { call }) => {
                let places: Vec<Place> = table::all(&call.client()?, "/v1/places")?;
                if call.json {
                    return call.value(&places);
                }
                output::text(&draw(places))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Places under the places that they lie in; a segment that is no place itself stands bare.
fn draw(mut places: Vec<Place>) -> String {
    places.sort_by(|a, b| a.code.split('/').cmp(b.code.split('/')));
    let mut text = String::new();
    let mut open: Vec<String> = Vec::new();
    for place in &places {
        let segments: Vec<String> = place.code.split('/').map(output::printable).collect();
        let shared = open.iter().zip(&segments).take_while(|(a, b)| a == b).count();
        let (branches, leaf) = segments.split_at(segments.len().saturating_sub(1));
        for (depth, segment) in branches.iter().enumerate().skip(shared) {
            text.push_str(&format!("{}{segment}\n", "  ".repeat(depth)));
        }
        let leaf = leaf.first().map(String::as_str).unwrap_or_default();
        let mut line = format!("{}{leaf}  {}", "  ".repeat(branches.len()), place.name);
        if let Some(zone) = &place.zone {
            line.push_str(&format!(", zone {zone}"));
        }
        if place.zone_class.is_some() {
            line.push_str(&format!(", class {}", class_word(place.zone_class)));
        }
        text.push_str(&output::printable(&line));
        text.push('\n');
        open = segments;
    }
    if text.is_empty() { String::from("There are no places yet.\n") } else { text }
}

const fn class_word(class: Option<ZoneClass>) -> &'static str {
    match class {
        None => "",
        Some(ZoneClass::Low) => "low",
        Some(ZoneClass::Normal) => "normal",
        Some(ZoneClass::High) => "high",
    }
}

impl Shown for Place {
    const COLUMNS: &'static [&'static str] = &["code", "name", "zone", "class"];

    fn cells(&self) -> Vec<String> {
        let zone = self.zone.clone().unwrap_or_default();
        vec![self.code.clone(), self.name.clone(), zone, class_word(self.zone_class).into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_under_the_places_they_lie_in() {
        let place = |code: &str, name: &str, zone: Option<&str>| Place {
            code: code.into(),
            name: name.into(),
            zone: zone.map(Into::into),
            zone_class: zone.map(|_| ZoneClass::Low),
        };
        let places = vec![
            place("harbour-east", "East", None),
            place("harbour/hall/door-1", "Staff", Some("B")),
            place("harbour", "Harbour", None),
            place("harbour/hall/door-2", "Side\u{1b}", None),
        ];
        let expected = "harbour  Harbour\n  \
            hall\n    \
            door-1  Staff, zone B, class low\n    \
            door-2  Side\\u{1b}\n\
            harbour-east  East\n";
        assert_eq!(draw(places), expected);
    }
}
