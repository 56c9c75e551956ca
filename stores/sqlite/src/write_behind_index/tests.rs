//! A key is found from its commit until its purge, whether it is in memory, in a flush or in its
//! table, and after a kill at any step of the flush.

use std::path::Path;
use std::time::Duration;

use hookward_core::store::{
    Acceptance, DedupeKeyKind, EventFilter, NewDelivery, PurgeRequest, StoreError,
};
use hookward_core::{Body, Timestamp};
use hookward_testkit::store::{delivery, key, now, with_jobs};

use super::*;
use crate::browse;
use crate::command::{Operation, Output};
use crate::writer::Writer;

mod first_format;

/// Each event has two keys and an id, so the flush of ten events takes ten steps.
const THRESHOLD: usize = 20;
const STEP: usize = 3;
const EVENTS: usize = 10;

/// A writer without its thread, on a file in a temporary folder.
struct TestStore {
    _folder: tempfile::TempDir,
    writer: Writer,
}

impl TestStore {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: tempfile::TempDir) -> Self {
        let mut writer =
            crate::open::open(&folder.path().join("a.db"), now(), hookward_testkit::store::POLICY)
                .unwrap()
                .0;
        writer.memory_mut().index_mut().set_flush_size(THRESHOLD, STEP);
        Self { _folder: folder, writer }
    }

    /// The store that a new owner opens after a kill at this time.
    fn killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.db", "a.db-wal"] {
            std::fs::copy(self.path().join(name), folder.path().join(name)).unwrap();
        }
        Self::open(folder)
    }

    fn path(&self) -> &Path {
        self._folder.path()
    }

    fn group(&mut self, operations: Vec<Operation>) -> Vec<Result<Output, StoreError>> {
        self.writer.execute_group(operations)
    }

    fn accept(&mut self, deliveries: Vec<NewDelivery>) -> Vec<Acceptance> {
        match self.group(vec![Operation::Accept(deliveries)]).remove(0).unwrap() {
            Output::Accepted(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn is_new(&mut self, delivery: NewDelivery) -> bool {
        matches!(self.accept(vec![delivery])[0], Acceptance::Accepted { .. })
    }

    /// A store of ten events `0` … `9`, whose keys are all in memory.
    fn filled() -> Self {
        let mut store = Self::new();
        store.accept((0..EVENTS).map(numbered).collect());
        store
    }

    fn flush(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.writer.flush_step());
    }

    fn count(&self, table: &str) -> usize {
        let count = format!("select count(*) from {table}");
        let count: i64 = self.writer.connection().query_row(&count, [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }

    /// Number of events that a search for this id finds.
    fn found(&self, event_id: &str) -> usize {
        browse::find(self.writer.connection(), event_id, 9).unwrap().len()
    }

    fn purge(&mut self, before: Timestamp) -> usize {
        let purge = PurgeRequest::new(before, before, 100);
        match self.group(vec![Operation::Purge(purge)]).remove(0).unwrap() {
            Output::Count(count) => usize::try_from(count).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn fill_disk(&self) {
        let pages: i64 = self
            .writer
            .connection()
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        self.writer
            .connection()
            .execute_batch(&format!("pragma max_page_count = {pages}"))
            .unwrap();
    }

    fn free_disk(&self) {
        self.writer.connection().execute_batch("pragma max_page_count = 1000000").unwrap();
    }
}

fn numbered(n: usize) -> NewDelivery {
    with_jobs(&n.to_string(), &[])
}

fn huge(id: &str) -> NewDelivery {
    with_jobs(id, &[]).with_body(Body::new(vec![b'x'; 100_000]))
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

#[test]
fn deliveries_with_the_same_key_in_one_group_are_one_event() {
    let mut store = TestStore::new();
    let operations =
        (0..2).map(|_| Operation::Accept(vec![delivery("a"), delivery("a")])).collect();
    let answers = store.group(operations);
    let acceptances = answers.into_iter().flat_map(|answer| match answer.unwrap() {
        Output::Accepted(answers) => answers,
        other => panic!("{other:?}"),
    });
    let new: Vec<_> =
        acceptances.map(|acceptance| matches!(acceptance, Acceptance::Accepted { .. })).collect();
    assert_eq!(new, [true, false, false, false]);
}

#[test]
fn a_group_that_fails_leaves_no_key() {
    let mut store = TestStore::new();
    assert!(store.is_new(delivery("before")));
    store.fill_disk();
    let operations =
        vec![Operation::Accept(vec![delivery("a")]), Operation::Accept(vec![huge("b")])];
    let answers = store.group(operations);
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Full(_)))), "{answers:?}");
    store.free_disk();
    assert_eq!(store.found("a"), 0);
    assert!(store.is_new(delivery("a")) && store.is_new(delivery("b")));
    assert!(!store.is_new(delivery("before")));
}

#[test]
fn a_purge_that_fails_leaves_every_key_where_it_was() {
    for steps in [0, 4, 10] {
        let mut store = TestStore::filled();
        store.flush(steps);
        assert!(store.is_new(with_jobs("newer", &[])));
        store.fill_disk();
        let before = after(1);
        let purge = PurgeRequest::new(before, before, 100);
        let answers =
            store.group(vec![Operation::Purge(purge), Operation::Accept(vec![huge("b")])]);
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        store.free_disk();
        assert!((0..EVENTS).all(|n| !store.is_new(numbered(n))), "after {steps} steps");
        store.flush(20);
        assert!(
            (0..EVENTS).all(|n| !store.is_new(numbered(n)) && store.found(&n.to_string()) == 1)
        );
        assert!(!store.is_new(with_jobs("newer", &[])));
    }
}

#[test]
fn a_key_is_known_before_during_and_after_its_flush_and_after_a_kill_then() {
    for steps in 0..=12 {
        let mut store = TestStore::filled();
        store.flush(steps);
        let context = format!("after {steps} steps");
        let written = (3 * steps).min(30);
        assert_eq!(store.count("keys") + store.count("event_ids"), written, "{context}");
        assert_eq!(store.writer.is_flushing(), (1..10).contains(&steps), "{context}");
        assert!(store.is_new(with_jobs("later", &[])));
        let mut killed = store.killed();
        for store in [&mut store, &mut killed] {
            for n in 0..EVENTS {
                assert!(!store.is_new(numbered(n)), "{n} {context}");
                assert_eq!(store.found(&n.to_string()), 1, "{n} {context}");
            }
            assert!(!store.is_new(with_jobs("later", &[])), "{context}");
            assert_eq!((store.found("later"), store.found("nobody")), (1, 0), "{context}");
        }
        // What was begun is finished by whoever comes next.
        killed.accept((20..30).map(numbered).collect());
        killed.flush(40);
        assert!((0..EVENTS).all(|n| !killed.is_new(numbered(n))), "{context}");
        assert!(killed.count("keys") >= 40, "{context}");
    }
}

#[test]
fn a_purge_frees_keys_wherever_they_are() {
    for steps in 0..=10 {
        for kill in [false, true] {
            let mut store = TestStore::filled();
            store.flush(steps);
            if kill {
                store = store.killed();
            }
            assert_eq!(store.purge(after(1)), EVENTS);
            store.flush(20);
            let context = format!("after {steps} steps, kill: {kill}");
            assert_eq!((store.count("keys"), store.count("event_ids")), (0, 0), "{context}");
            assert_eq!(store.found("3"), 0, "{context}");
            assert!((0..EVENTS).all(|n| store.is_new(numbered(n))), "{context}");
        }
    }
}

#[test]
fn after_its_window_a_key_belongs_to_the_newest_event() {
    for (steps, then) in [(0, 0), (0, 20), (4, 0), (4, 20), (10, 0), (10, 20)] {
        let mut store = TestStore::filled();
        store.flush(steps);
        let mut again = numbered(3);
        (again.received_at, again.dedupe_since) = (after(100), after(50));
        assert!(store.is_new(again.clone()), "the window is over");
        assert!(!store.is_new(again.clone()), "and a new one began");
        store.accept((20..30).map(numbered).collect());
        store.flush(then);
        for store in [&mut store.killed(), &mut store] {
            assert_eq!(store.found("3"), 2, "both are there");
            assert_eq!(store.purge(after(1)), 20);
            assert!(!store.is_new(again.clone()), "the older one's purge does not free it");
            assert_eq!(store.found("3"), 1);
        }
    }
}

/// The older event stays because its job is open. Its row still had the key, which a start read.
#[test]
fn a_key_of_a_purged_event_does_not_return_to_an_older_one() {
    for (steps, then) in [(0, 0), (0, 20), (4, 0), (4, 20), (10, 0), (10, 20)] {
        let mut store = TestStore::new();
        store.accept(vec![delivery("3")]);
        store.accept((10..20).map(numbered).collect());
        store.flush(steps);
        let mut again = numbered(3);
        (again.received_at, again.dedupe_since) = (after(100), after(50));
        assert!(store.is_new(again), "the first window is over");
        store.flush(then);
        assert_eq!(store.purge(after(200)), EVENTS + 1, "all but the event with an open job");
        let context = format!("{steps} steps, then {then}");
        assert!(store.killed().is_new(numbered(3)), "{context}");
        assert!(store.is_new(numbered(3)), "{context}");
        store.accept((30..50).map(numbered).collect());
        store.flush(40);
        assert_eq!(store.count("keys"), 42, "{context}");
    }
}

#[test]
fn a_duplicate_by_either_key_is_found_and_reports_the_kind_of_key() {
    for steps in [0, 4, 10] {
        let mut store = TestStore::filled();
        store.flush(steps);
        let mut duplicate = numbered(3);
        duplicate.events[0].keys[0] = key(DedupeKeyKind::Id, "another");
        let acceptances = store.accept(vec![duplicate, numbered(3)]);
        assert!(matches!(acceptances[0], Acceptance::Duplicate { by: DedupeKeyKind::Content, .. }));
        assert!(matches!(acceptances[1], Acceptance::Duplicate { by: DedupeKeyKind::Id, .. }));
        assert_eq!(store.count("content_duplicates"), 1);
    }
}

#[test]
fn events_with_the_same_id_are_all_found_newest_first() {
    for steps in [0, 4, 10] {
        let mut store = TestStore::filled();
        let alike = |n: usize| {
            let mut alike = numbered(n);
            alike.events[0].event_id = Some("3".to_owned());
            alike
        };
        store.accept(vec![alike(50)]);
        store.flush(steps);
        let newest = alike(51);
        let id = newest.events[0].id;
        store.accept(vec![newest]);
        let found = browse::find(store.writer.connection(), "3", 9).unwrap();
        assert_eq!((found.len(), found[0]), (3, id));
        assert_eq!(browse::find(store.writer.connection(), "3", 1).unwrap(), [id]);
    }
}

#[test]
fn a_search_for_a_senders_id_that_has_the_form_of_ours_finds_both_events() {
    for steps in [0, 4, 10] {
        let mut store = TestStore::filled();
        let ours = numbered(50);
        let id = ours.events[0].id;
        let mut theirs = numbered(51);
        theirs.events[0].event_id = Some(id.to_string());
        store.accept(vec![ours, theirs]);
        store.flush(steps);
        let filter = EventFilter::new().with_q(id.to_string());
        let page = browse::list(store.writer.connection(), &filter, 9, None).unwrap();
        let listed: Vec<_> = page.events.iter().map(|e| e.event_id.clone().unwrap()).collect();
        assert_eq!(listed, [id.to_string(), "50".to_owned()], "after {steps} steps");
    }
}

#[test]
fn a_flush_on_a_full_disk_fails_no_command_and_continues_later() {
    let mut store = TestStore::new();
    store.writer.memory_mut().index_mut().set_flush_size(2_000, 2_000);
    store.accept((0..1_000).map(numbered).collect());
    store.fill_disk();
    store.writer.flush_step();
    assert!(!store.writer.is_flushing(), "the flush is paused and not tried in a loop");
    assert_eq!(store.count("keys"), 0);
    assert!((0..1_000).all(|n| !store.is_new(numbered(n))));
    store.free_disk();
    assert!(store.is_new(delivery("a")));
    store.flush(3);
    assert_eq!(store.count("keys"), 2_000);
    assert!((0..1_000).all(|n| !store.is_new(numbered(n))));
}

/// The flush may cover numbers that a failed group used. The next owner must not use them for
/// events, which it would take for flushed.
#[test]
fn numbers_of_a_group_that_failed_before_a_flush_hide_no_later_event() {
    let mut store = TestStore::filled();
    store.fill_disk();
    let answers = store.group(vec![Operation::Accept(vec![numbered(20), numbered(21), huge("b")])]);
    assert!(answers[0].is_err());
    store.free_disk();
    store.flush(20);
    assert_eq!(store.count("keys"), 20);
    let mut next = store.killed();
    assert!(next.is_new(numbered(30)));
    let mut next = next.killed();
    assert!(!next.is_new(numbered(30)));
    assert_eq!(next.found("30"), 1);
}

#[test]
fn a_failed_store_does_not_flush() {
    let mut store = TestStore::filled();
    store.flush(4);
    assert!(store.writer.is_flushing());
    store.writer.fail(&StoreError::Failed("the disk".to_owned()));
    assert!(!store.writer.is_flushing(), "or the thread would loop");
    store.flush(4);
    assert_eq!(store.count("keys"), 12);
}
