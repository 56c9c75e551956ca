//! The order of operations within a group, without the thread.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use hookward_core::store::{Cause, ClaimRequest, Job, Settled};
use hookward_testkit::store::{delivery, now};

use super::*;

mod rollback;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    (folder, path)
}

fn open(path: &Path) -> Writer {
    crate::open::open(path, now(), hookward_testkit::store::POLICY).unwrap().0
}

fn after(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

fn claim(now: Timestamp) -> Operation {
    let lease_until = now.plus(Duration::from_secs(30));
    Operation::Claim(ClaimRequest::new(now, lease_until, vec![("orders".into(), 9)]))
}

/// Executes operations as one group.
fn group(writer: &mut Writer, operations: Vec<Operation>) -> Vec<Output> {
    writer.execute_group(operations).into_iter().map(Result::unwrap).collect()
}

fn jobs(output: &Output) -> &[Job] {
    let Output::Jobs(jobs) = output else { panic!("{output:?}") };
    jobs
}

/// As after a pause of the whole process, in which the report and the claim both waited.
#[test]
fn a_worker_that_reports_in_the_group_of_a_claim_keeps_its_lease() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Operation::Accept(vec![delivery("a"), delivery("b")])]);
    let claimed = group(&mut writer, vec![claim(now())]);
    let [extended, done] = [0, 1].map(|n| jobs(&claimed[0])[n].lease);
    let extend = Operation::Extend(vec![extended], after(70));
    let done = JobOutcome::new(done, Settlement::Done);
    let outputs = group(&mut writer, vec![claim(after(40)), extend, Operation::Settle(vec![done])]);
    assert!(jobs(&outputs[0]).is_empty(), "{outputs:?}");
    for output in &outputs[1..] {
        assert!(matches!(output, Output::Settled(is) if *is == [Settled::Applied]), "{output:?}");
    }
    let outputs = group(&mut writer, vec![claim(after(70))]);
    assert_eq!(
        jobs(&outputs[0])[0].cause.map(Cause::as_str),
        Some("lease"),
        "the lease was extended, not made endless"
    );
}

#[test]
fn claimed_jobs_of_a_caller_that_is_gone_are_released_before_the_thread_ends() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Operation::Accept(vec![delivery("a")])]);
    let (sender, commands) = sync_channel(2);
    for operation in [claim(now()), Operation::Close] {
        sender.send(Command { operation, reply: oneshot::channel().0 }).unwrap();
    }
    writer.run(&commands);
    let outputs = group(&mut open(&path), vec![claim(now())]);
    let job = &jobs(&outputs[0])[0];
    assert_eq!((job.attempt, job.crashes, job.cause.map(Cause::as_str)), (1, 0, None));
}

/// For the tests of other modules.
impl Writer {
    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }

    pub(crate) fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn set_disk_space(&mut self, disk_space: DiskSpace) {
        self.disk_space = disk_space;
    }

    /// As if a group had failed with this error.
    pub(crate) fn fail(&mut self, error: &StoreError) {
        self.note_failure(error);
    }

    /// Executes operations as one group.
    pub(crate) fn execute_group(
        &mut self,
        operations: Vec<Operation>,
    ) -> Vec<std::result::Result<Output, StoreError>> {
        let (commands, outputs): (Vec<_>, Vec<_>) = operations
            .into_iter()
            .map(|operation| {
                let (reply, output) = oneshot::channel();
                (Command { operation, reply }, output)
            })
            .unzip();
        self.commit_group(commands);
        outputs.into_iter().map(|mut output| output.try_recv().unwrap()).collect()
    }

    pub(crate) fn is_flushing(&self) -> bool {
        self.may_flush_index()
    }

    pub(crate) fn flush_step(&mut self) {
        self.flush_index();
    }
}
