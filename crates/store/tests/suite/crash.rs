//! A process killed at any moment loses no deed that it acknowledged, and does none by half.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use store::page::Page;

use crate::folder::{Folder, open};
use crate::samples::{audit, harbour, person, registration};

const CHILD: &str = "LIMEN_STORE_CRASH_CHILD";
const KILLS: u64 = 50;
const WRITERS: u64 = 16;

/// Does nothing by itself: the child of the next test, which runs it with a folder and the first
/// free number.
#[test]
fn child_registers_people_until_it_is_killed() {
    let Ok(orders) = std::env::var(CHILD) else { return };
    let (first, folder) = orders.split_once(':').unwrap();
    let first: u64 = first.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tenant = open(folder.as_ref()).for_operator(&harbour());
        let writers = (0..WRITERS).map(|writer| {
            let tenant = tenant.clone();
            tokio::task::spawn(async move {
                for number in (first + writer..).step_by(WRITERS.try_into().unwrap()) {
                    let answer = tenant.commit(registration(&harbour(), number)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "done {number} {}", answer.sequence).unwrap();
                    out.flush().unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            let () = writer.await.unwrap();
        }
    });
}

#[test]
fn killed_process_loses_no_acknowledged_deed() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_registers_people_until_it_is_killed", "--nocapture"])
            .env(CHILD, format!("{}:{}", round << 32, folder.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut first = lines.by_ref().map_while(Result::ok).filter_map(|line| report(&line));
        acknowledged.push(first.next().expect("the child does a deed"));
        std::thread::sleep(Duration::from_micros(round * 331));
        child.kill().unwrap();
        child.wait().unwrap();
        // The last line may be cut off where the kill hit.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| report(&line)));
        runtime.block_on(check(&folder, &acknowledged));
    }
    assert!(acknowledged.len() > usize::try_from(KILLS).unwrap());
}

fn report(line: &str) -> Option<(u64, u64)> {
    let (_, numbers) = line.split_once("done ")?;
    let (number, sequence) = numbers.split_once(' ')?;
    Some((number.parse().ok()?, sequence.parse().ok()?))
}

async fn check(folder: &Folder, acknowledged: &[(u64, u64)]) {
    let store = folder.store();
    let tenant = store.for_operator(&harbour());
    // Only what the last child reported is new; the rest was checked before and cannot come back.
    for (number, sequence) in acknowledged {
        let registered = tenant.person(person(&harbour(), *number).id).await.unwrap();
        assert_eq!(registered, Some(person(&harbour(), *number)), "acknowledged {number}");
        let event = tenant.event(audit(&harbour(), *number).entry.event).await.unwrap().unwrap();
        assert_eq!(event.sequence, *sequence);
        assert!(event.detail.is_some());
    }
    // Whatever else is there is whole: as many records as people, without a gap.
    let mut people = 0;
    let mut page = Page::FIRST;
    loop {
        let listing = tenant.people(&page).await.unwrap();
        people += u64::try_from(listing.items.len()).unwrap();
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    assert_eq!(store.city().leaves_count().await.unwrap(), people);
}
