//! What a group of commands does in which order, driven without the thread.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use hookward_testkit::store::{delivery, now};

use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    (folder, path)
}

fn open(path: &Path) -> Writer {
    crate::open::open(path, now()).unwrap().0
}

fn after(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

fn claim(now: Timestamp) -> Work {
    let lease_until = now.plus(Duration::from_secs(30));
    Work::Claim(Claim { now, lease_until, slots: vec![("orders".into(), 9)], unknown: 0 })
}

/// One group; what each of it was answered.
fn group(writer: &mut Writer, works: Vec<Work>) -> Vec<Answer> {
    let (commands, answers): (Vec<_>, Vec<_>) = works
        .into_iter()
        .map(|work| {
            let (reply, answer) = oneshot::channel();
            (Command { work, reply }, answer)
        })
        .unzip();
    writer.group(commands);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap().unwrap()).collect()
}

fn jobs(answer: &Answer) -> &[Job] {
    let Answer::Jobs(jobs) = answer else { panic!("{answer:?}") };
    jobs
}

/// As after a pause of the whole process, in which both waited.
#[test]
fn a_worker_that_speaks_beside_a_claim_is_not_taken_for_lost() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Work::Accept(vec![delivery("a"), delivery("b")])]);
    let claimed = group(&mut writer, vec![claim(now())]);
    let [extended, done] = [0, 1].map(|n| jobs(&claimed[0])[n].lease);
    let extend = Work::Extend(vec![extended], after(70));
    let done = JobOutcome { lease: done, settlement: Settlement::Done, attempt: None };
    let told = group(&mut writer, vec![claim(after(40)), extend, Work::Settle(vec![done])]);
    assert!(jobs(&told[0]).is_empty(), "{told:?}");
    for told in &told[1..] {
        assert!(matches!(told, Answer::Settled(is) if *is == [Settled::Applied]), "{told:?}");
    }
    let told = group(&mut writer, vec![claim(after(70))]);
    assert_eq!(jobs(&told[0])[0].cause.as_deref(), Some("lease"), "it was extended, not kept");
}

#[test]
fn what_nobody_waited_for_is_given_back_before_the_end() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Work::Accept(vec![delivery("a")])]);
    let (asks, asked) = sync_channel(2);
    for work in [claim(now()), Work::Close] {
        asks.send(Command { work, reply: oneshot::channel().0 }).unwrap();
    }
    writer.run(&asked);
    let told = group(&mut open(&path), vec![claim(now())]);
    let job = &jobs(&told[0])[0];
    assert_eq!((job.attempt, job.crashes, job.cause.as_deref()), (1, 0, None));
}
