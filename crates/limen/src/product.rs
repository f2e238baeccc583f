//! `limen product`: the templates of passes, as data.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::product::{Display, NewProduct, Product, Rights, Terms};
use clap::{Args, Subcommand};
use vocabulary::code::{ClassCode, PlaceCode, ProductCode, ZoneCode};

use crate::call::Call;
use crate::failure::Failure;
use crate::table::{Part, Shown};
use crate::tree::Tree;
use crate::{input, output};

/// A product as a file, shown in the help.
const EXAMPLE: &str = r#"code = "first-class-month"

[terms]
stake = "low"                  # or "high"
pass_days_max = 31
document_hours = 24            # after that the wallet needs a new offer
batch_max = 8                  # each of them for a device key of its own
handles_max = 32               # express taps with it in one zone and day; 0 for none
transaction_code = true        # an offer asks for a code told over another channel

[[terms.display]]
language = "en"
name = "First class, one month"

[terms.rights]
class = "first"
zones = ["A", "B"]
holder_only = true
"#;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a product, from a file or from options.
    Add(Box<Add>),
    /// List products.
    #[command(after_help = "Example:\n  limen product list")]
    List(List),
    /// Show a product with all its terms.
    #[command(after_help = "Example:\n  limen product show first-class-month")]
    Show(Show),
}

#[derive(Args)]
#[command(after_help = after_help())]
pub(crate) struct Add {
    /// A product as TOML or JSON; `-` for standard input.
    #[arg(required_unless_present = "code", conflicts_with = "code")]
    file: Option<PathBuf>,
    #[command(flatten)]
    terms: Flags,
    #[command(flatten)]
    call: Call,
}

/// A product without a file.
#[derive(Args)]
#[command(next_help_heading = "Instead of a file")]
struct Flags {
    /// 1 to 32 of `a-z 0-9 -`; never reused.
    #[arg(long, requires = "name")]
    code: Option<ProductCode>,
    /// What people call it, in English; a file can say it in more languages.
    #[arg(long, requires = "code")]
    name: Option<String>,
    /// What is at stake.
    #[arg(long, requires = "code", value_parser = ["low", "high"], default_value = "low")]
    stake: String,
    /// The class of service.
    #[arg(long, requires = "code")]
    class: Option<ClassCode>,
    /// A zone in which its passes hold; may be repeated.
    #[arg(long = "zone", value_name = "ZONE", requires = "code")]
    zones: Vec<ZoneCode>,
    /// A place that its passes open, with all that lies inside; may be repeated.
    #[arg(long = "place", value_name = "PLACE", requires = "code")]
    places: Vec<PlaceCode>,
    /// When its passes hold, as a recurrence rule (RFC 5545).
    #[arg(long, value_name = "RRULE", requires = "code")]
    recurrence: Option<String>,
    /// How many times they may be used. Readers count uses in the express tap of cards alone; a
    /// document whose uses are limited is refused.
    #[arg(long, value_name = "TIMES", requires = "code")]
    uses_max: Option<u32>,
    /// Only the holder in person may use it.
    #[arg(long, requires = "code")]
    holder_only: bool,
    /// The longest period of a pass, in days.
    #[arg(long, requires = "code", default_value_t = 31)]
    days: u32,
    /// How long one document lives, in hours.
    #[arg(long, requires = "code", default_value_t = 24)]
    document_hours: u32,
    /// Documents that one collection yields.
    #[arg(long, requires = "code", default_value_t = 1)]
    batch: u16,
    /// Express taps with one pass in one zone and day, 64 at the most; 0 for none.
    #[arg(long, requires = "code", default_value_t = 32)]
    handles: u16,
    /// An offer asks for a code told over another channel.
    #[arg(long, requires = "code")]
    transaction_code: bool,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The product's code.
    code: ProductCode,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Add(add) => add.run(),
            Self::List(List { part, call }) => part.list::<Product>(&call, "/v1/products"),
            Self::Show(Show { code, call }) => {
                let found: Product = call.client()?.get_json(&format!("/v1/products/{code}"))?;
                call.show(&found, &[])
            }
        }
    }
}

impl Add {
    fn run(self) -> Result<ExitCode, Failure> {
        let new = match &self.file {
            Some(file) => read(file)?,
            None => self.terms.product()?,
        };
        let made: Product = self.call.client()?.post_json("/v1/products", &new)?;
        self.call.show(&made, &[])
    }
}

impl Flags {
    fn product(self) -> Result<NewProduct, Failure> {
        let (Some(code), Some(name)) = (self.code, self.name) else {
            return Err(Failure::usage("name a file, or --code and --name"));
        };
        let rights = Rights {
            class: self.class.map(|class| class.to_string()),
            zones: self.zones.iter().map(ToString::to_string).collect(),
            places: self.places.iter().map(ToString::to_string).collect(),
            recurrence: self.recurrence,
            uses_max: self.uses_max,
            holder_only: self.holder_only,
        };
        let display = Display { language: "en".into(), name, description: String::new() };
        let terms = Terms {
            display: vec![display],
            stake: self.stake,
            formats: ["mso_mdoc", "dc+sd-jwt", "limen-access-document"].map(Into::into).into(),
            rights,
            pass_days_max: self.days,
            document_hours: self.document_hours,
            batch_max: self.batch,
            handles_max: self.handles,
            attestation_min: "urn:limen:key-storage:software".into(),
            transaction_code: self.transaction_code,
        };
        Ok(NewProduct { code: code.to_string(), terms })
    }
}

fn after_help() -> String {
    let file: String = EXAMPLE.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "Examples:\n  limen product add product.toml\n  limen product add --code staff-badge \
         --name 'Staff badge' \\\n      --place harbour/town-hall --holder-only --days 366\n\n\
         A file may look like this:\n\n{file}"
    )
}

fn read(path: &Path) -> Result<NewProduct, Failure> {
    let named = |why: &str| {
        let why = why.trim_end();
        Failure::usage(format!("cannot read `{}` as a product: {why}", path.display()))
            .hint("`limen product add --help` shows an example")
    };
    let bytes = input::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| named("it is no text"))?;
    parse(text).map_err(|error| named(&error))
}

fn parse(text: &str) -> Result<NewProduct, String> {
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| output::printable(&error.to_string()))
    } else {
        toml::from_str(text).map_err(|error| output::printable_lines(&error.to_string()))
    }
}

impl Shown for Product {
    const COLUMNS: &'static [&'static str] = &["code", "version", "name", "stake", "changed"];

    fn cells(&self) -> Vec<String> {
        let name = self.terms.display.first().map(|display| display.name.clone());
        let stake = self.terms.stake.clone();
        let version = self.version.to_string();
        let changed = self.changed_at.clone();
        vec![self.code.clone(), version, name.unwrap_or_default(), stake, changed]
    }

    fn tree(&self) -> Tree {
        let Self { code, version, changed_at, terms } = self;
        let mut tree = Tree::new();
        tree.leaf("code", code.as_str());
        tree.leaf("version", *version);
        tree.leaf("changed", changed_at.as_str());
        for display in &terms.display {
            tree.leaf(format!("name ({})", display.language), display.name.as_str());
        }
        tree.leaf("stake", terms.stake.as_str());
        tree.leaf("formats", terms.formats.join(", "));
        tree.leaf("pass at most", format!("{} days", terms.pass_days_max));
        tree.leaf("document lives", format!("{} hours", terms.document_hours));
        tree.leaf("documents", terms.batch_max);
        tree.leaf("express handles", terms.handles_max);
        tree.leaf("key attestation", terms.attestation_min.as_str());
        tree.leaf("transaction code", terms.transaction_code);
        tree.branch("rights", rights(&terms.rights));
        tree
    }
}

fn rights(rights: &Rights) -> Tree {
    let mut tree = Tree::new();
    if let Some(class) = &rights.class {
        tree.leaf("class", class.as_str());
    }
    for (name, codes) in [("zones", &rights.zones), ("places", &rights.places)] {
        if !codes.is_empty() {
            tree.leaf(name, codes.join(", "));
        }
    }
    tree.leaf("when", rights.recurrence.as_deref().unwrap_or("always"));
    if let Some(uses) = rights.uses_max {
        tree.leaf("uses at most", uses);
    }
    tree.leaf("holder only", rights.holder_only);
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_help_is_a_product() {
        let product = parse(EXAMPLE).unwrap();
        assert_eq!(product.code, "first-class-month");
        assert_eq!(product.terms.rights.zones, ["A", "B"]);
        let json = serde_json::to_string(&product).unwrap();
        assert_eq!(parse(&json).unwrap().terms.batch_max, 8);
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let error = parse(&EXAMPLE.replace("stake", "steak")).unwrap_err();
        assert!(error.contains("steak") && error.contains("line 4"), "{error}");
        assert!(parse("{\"code\":1}").unwrap_err().contains("expected a string"));
    }
}
