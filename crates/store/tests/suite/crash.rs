//! A process killed at any moment loses no deed that it acknowledged, and does none by half.
//!
//! Half of the children are killed from outside at some moment, half end themselves the moment an
//! acknowledgement reaches them, which is when a write that was acknowledged too early would be lost.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use store::page::Page;

use crate::folder::{Folder, open};
use crate::samples::{audit, harbour, person, registration};

const CHILD: &str = "LIMEN_STORE_CRASH_CHILD";
const KILLS: u64 = 50;
const WRITERS: u64 = 256;

/// Does nothing by itself: the child of the next test, which runs it with the first free number, the
/// number of acknowledgements after which it ends itself, and a folder.
#[test]
fn child_registers_people_until_it_is_killed() {
    let Ok(orders) = std::env::var(CHILD) else { return };
    let [first, lives, folder] = orders.splitn(3, ':').collect::<Vec<_>>()[..] else { panic!() };
    let first: u64 = first.parse().unwrap();
    let lives = std::rc::Rc::new(std::cell::Cell::new(lives.parse::<u64>().unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let tenant = open(folder.as_ref()).for_operator(&harbour());
        let writers = (0..WRITERS).map(|writer| {
            let (tenant, lives) = (tenant.clone(), lives.clone());
            tokio::task::spawn_local(async move {
                for number in (first + writer..).step_by(WRITERS.try_into().unwrap()) {
                    let answer = tenant.commit(registration(&harbour(), number)).await.unwrap();
                    // One write, so that the line is whole in the pipe or not there.
                    let line = format!("done {number} {}\n", answer.sequence);
                    std::io::stderr().write_all(line.as_bytes()).unwrap();
                    lives.set(lives.get() - 1);
                    if lives.get() == 0 {
                        std::process::abort();
                    }
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
        let lives = if round % 2 == 0 { u64::MAX } else { round };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_registers_people_until_it_is_killed", "--nocapture"])
            .env(CHILD, format!("{}:{lives}:{}", round << 32, folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut first = lines.by_ref().map_while(Result::ok).filter_map(|line| report(&line));
        let mut fresh = vec![first.next().expect("the child does a deed")];
        if lives == u64::MAX {
            std::thread::sleep(Duration::from_micros(round * 331));
            child.kill().unwrap();
        }
        child.wait().unwrap();
        // The last line may be cut off where the kill hit.
        fresh.extend(lines.map_while(Result::ok).filter_map(|line| report(&line)));
        runtime.block_on(check(&folder, &fresh));
        acknowledged.extend(fresh);
    }
    runtime.block_on(check(&folder, &acknowledged));
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
