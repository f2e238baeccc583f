//! The page as a whole.

use super::*;

const HOSTILE: &str = "</td><script src=\"//evil.example/x.js\">alert('&')</script>";
const HOSTILE_TITLE: &str = "<img src=x onerror=\"alert(1)\">";

fn rendered(story: &Story, sabotage: Option<&str>) -> String {
    render(story, sabotage, Instant::from_unix_seconds(1_700_000_000))
}

fn times(page: &str, part: &str) -> usize {
    page.matches(part).count()
}

#[test]
fn a_hostile_text_stays_text_wherever_it_stands() {
    let mut story = sample::story();
    let harmless = rendered(&story, None);
    for step in &mut story.steps {
        (step.reason, step.title) = (HOSTILE.into(), HOSTILE_TITLE);
        step.expected = super::super::story::Outcome::Done;
    }
    story.log["root"] = HOSTILE.into();
    let page = rendered(&story, Some(HOSTILE));
    for part in ["<script", "<img", "onerror=\"", "src=\"", "'&'"] {
        assert_eq!(times(&page, part), 0, "{part}");
    }
    // Every place that shows a reason shows it, escaped.
    let escaped = "&lt;/td&gt;&lt;script src=&quot;//evil.example/x.js&quot;&gt;";
    assert_eq!(times(&page, escaped), 3 + 2 + 2 + 1 + 1, "steps, verdict, taps, root, sabotage");
    assert_eq!(times(&harmless, escaped), 0);
}

#[test]
fn each_tap_has_an_arrow_for_each_apdu() {
    let story = sample::story();
    let page = rendered(&story, None);
    let sections: Vec<&str> = page.split("<section class=\"tap\"").skip(1).collect();
    assert_eq!(sections.len(), 2);
    for section in sections {
        assert_eq!(times(section, "<svg class=\"sequence\""), 1);
        assert_eq!(times(section, "<g class=\"command"), 11);
        assert_eq!(times(section, "<g class=\"response"), 11);
        assert_eq!(times(section, "<g class=\"response lost\""), 1);
        assert_eq!(times(section, "<line class=\"arrow\""), 22);
        assert_eq!(times(section, "<table class=\"dump\""), 22);
        assert!(section.contains("status 20 (session termination)"));
        assert!(section.contains("4.3 ms"));
    }
}

#[test]
fn nothing_is_loaded() {
    let page = rendered(&sample::story(), None);
    for part in ["http://", "https://", "url(", "@import", "<script", "<link", "<img", " src="] {
        assert_eq!(times(&page, part), 0, "{part}");
    }
    // Links lead to places of the page itself, and each of them is there.
    for link in page.split("href=\"").skip(1) {
        let (target, _) = link.split_once('"').unwrap();
        let place = target.strip_prefix('#').unwrap();
        assert_eq!(times(&page, &format!("id=\"{place}\"")), 1, "{place}");
    }
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
}

#[test]
fn elements_close_in_the_order_in_which_they_open() {
    let mut story = sample::story();
    story.steps[1].outcome = super::super::story::Outcome::Refused;
    for page in [rendered(&sample::story(), None), rendered(&story, Some("status-ignored"))] {
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }
}

#[test]
fn a_story_as_expected_says_so() {
    let page = rendered(&sample::story(), None);
    assert!(page.contains("All 3 steps ended as expected."));
    assert!(!page.contains("unexpected\""));
    assert!(page.contains("2023-11-14 22:13 UTC"));
    assert!(page.contains("1,234 entries") && page.contains("cm9vdA==") && page.contains("✓ yes"));
    let offline = page.split_once("<tbody role=\"rowgroup\" class=\"offline\">").unwrap().1;
    assert_eq!(times(offline.split_once("</tbody>").unwrap().0, "<code>"), 2);
}

#[test]
fn a_story_that_differs_names_the_step_and_the_broken_measure() {
    let mut story = sample::story();
    story.steps[2].outcome = super::super::story::Outcome::Granted;
    story.log["verified"] = false.into();
    let page = rendered(&story, Some("nonce-reused"));
    assert!(page.contains("1 of 3 steps did not end as expected."));
    assert!(page.contains("<b>The recording</b>: expected refused, but granted"));
    assert!(page.contains("<code>nonce-reused</code>: the reader uses one ephemeral key"));
    assert!(page.contains("granted unexpected\"") && page.contains("✕ no"));
    assert!(rendered(&story, None).contains("this is a fault"));
}

#[test]
fn a_story_without_taps_is_a_page_too() {
    let mut story = sample::story();
    story.steps.truncate(1);
    story.log = serde_json::Value::Null;
    let page = rendered(&story, None);
    assert!(!page.contains("<svg class=\"sequence\""));
    assert!(page.contains("the story ended before that"));
}
