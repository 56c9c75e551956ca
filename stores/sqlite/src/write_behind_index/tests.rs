//! A key is known from the moment of its commit to that of its purge, wherever it is meanwhile:
//! in memory, on the way to its table, in the table; and after a kill at any of these moments.

use std::path::Path;
use std::time::Duration;

use hookward_core::store::{Acceptance, Filter, KeyKind, NewDelivery, Purge};
use hookward_core::{Body, Timestamp};
use hookward_testkit::store::{delivery, key, now, with_jobs};
use tokio::sync::oneshot;

use super::*;
use crate::browse;
use crate::writer::{Answer, Command, Work};

/// Two keys and an id per event: ten events are enough for a flush of ten steps.
const LIMIT: usize = 20;
const STEP: usize = 3;
const EVENTS: usize = 10;

struct Place {
    _folder: tempfile::TempDir,
    writer: Writer,
}

impl Place {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: tempfile::TempDir) -> Self {
        let mut writer = crate::open::open(&folder.path().join("a.db"), now()).unwrap().0;
        (writer.late.limit, writer.late.step) = (LIMIT, STEP);
        Self { _folder: folder, writer }
    }

    /// What a kill at this moment leaves behind, opened.
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

    fn group(&mut self, work: Vec<Work>) -> Vec<Result<Answer, StoreError>> {
        let (commands, answers): (Vec<_>, Vec<_>) = work
            .into_iter()
            .map(|work| {
                let (reply, answer) = oneshot::channel();
                (Command { work, reply }, answer)
            })
            .unzip();
        self.writer.group(commands);
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }

    fn accept(&mut self, deliveries: Vec<NewDelivery>) -> Vec<Acceptance> {
        match self.group(vec![Work::Accept(deliveries)]).remove(0).unwrap() {
            Answer::Accepted(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn is_new(&mut self, delivery: NewDelivery) -> bool {
        matches!(self.accept(vec![delivery])[0], Acceptance::Accepted { .. })
    }

    /// Ten events `0` … `9`, none of them in the tables.
    fn filled() -> Self {
        let mut place = Self::new();
        place.accept((0..EVENTS).map(numbered).collect());
        place
    }

    fn flush(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.writer.index());
    }

    fn count(&self, table: &str) -> usize {
        let count = format!("select count(*) from {table}");
        let count: i64 = self.writer.conn.query_row(&count, [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }

    /// How many events there are of that name, for a person who looks.
    fn found(&self, event_id: &str) -> usize {
        browse::find(&self.writer.conn, event_id, 9).unwrap().len()
    }

    fn purge(&mut self, before: Timestamp) -> usize {
        let purge = Purge { events_before: before, dead_before: before, limit: 100 };
        match self.group(vec![Work::Purge(purge)]).remove(0).unwrap() {
            Answer::Count(count) => usize::try_from(count).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn no_more_room(&self) {
        let pages: i64 =
            self.writer.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        self.writer.conn.execute_batch(&format!("pragma max_page_count = {pages}")).unwrap();
    }

    fn room(&self) {
        self.writer.conn.execute_batch("pragma max_page_count = 1000000").unwrap();
    }
}

fn numbered(n: usize) -> NewDelivery {
    with_jobs(&n.to_string(), &[])
}

fn huge(id: &str) -> NewDelivery {
    NewDelivery { body: Body::new(vec![b'x'; 100_000]), ..with_jobs(id, &[]) }
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

#[test]
fn the_same_key_twice_in_one_group_is_one_event() {
    let mut place = Place::new();
    let work = (0..2).map(|_| Work::Accept(vec![delivery("a"), delivery("a")])).collect();
    let answers = place.group(work);
    let told = answers.into_iter().flat_map(|answer| match answer.unwrap() {
        Answer::Accepted(answers) => answers,
        other => panic!("{other:?}"),
    });
    let new: Vec<_> = told.map(|told| matches!(told, Acceptance::Accepted { .. })).collect();
    assert_eq!(new, [true, false, false, false]);
}

#[test]
fn a_group_that_fails_leaves_no_key_behind() {
    let mut place = Place::new();
    assert!(place.is_new(delivery("before")));
    place.no_more_room();
    let work = vec![Work::Accept(vec![delivery("a")]), Work::Accept(vec![huge("b")])];
    let answers = place.group(work);
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Full(_)))), "{answers:?}");
    place.room();
    assert_eq!(place.found("a"), 0);
    assert!(place.is_new(delivery("a")) && place.is_new(delivery("b")));
    assert!(!place.is_new(delivery("before")));
}

#[test]
fn a_purge_that_fails_leaves_every_key_where_it_was() {
    for steps in [0, 4, 10] {
        let mut place = Place::filled();
        place.flush(steps);
        assert!(place.is_new(with_jobs("newer", &[])));
        place.no_more_room();
        let before = after(1);
        let purge = Purge { events_before: before, dead_before: before, limit: 100 };
        let answers = place.group(vec![Work::Purge(purge), Work::Accept(vec![huge("b")])]);
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        place.room();
        assert!((0..EVENTS).all(|n| !place.is_new(numbered(n))), "after {steps} steps");
        place.flush(20);
        assert!(
            (0..EVENTS).all(|n| !place.is_new(numbered(n)) && place.found(&n.to_string()) == 1)
        );
        assert!(!place.is_new(with_jobs("newer", &[])));
    }
}

#[test]
fn a_key_is_known_before_during_and_after_its_flush_and_after_a_kill_then() {
    for steps in 0..=12 {
        let mut place = Place::filled();
        place.flush(steps);
        let moment = format!("after {steps} steps");
        let written = (3 * steps).min(30);
        assert_eq!(place.count("keys") + place.count("event_ids"), written, "{moment}");
        assert_eq!(place.writer.is_indexing(), (1..10).contains(&steps), "{moment}");
        assert!(place.is_new(with_jobs("later", &[])));
        let mut killed = place.killed();
        for place in [&mut place, &mut killed] {
            for n in 0..EVENTS {
                assert!(!place.is_new(numbered(n)), "{n} {moment}");
                assert_eq!(place.found(&n.to_string()), 1, "{n} {moment}");
            }
            assert!(!place.is_new(with_jobs("later", &[])), "{moment}");
            assert_eq!((place.found("later"), place.found("nobody")), (1, 0), "{moment}");
        }
        // What was begun is finished by whoever comes next.
        killed.accept((20..30).map(numbered).collect());
        killed.flush(40);
        assert!((0..EVENTS).all(|n| !killed.is_new(numbered(n))), "{moment}");
        assert!(killed.count("keys") >= 40, "{moment}");
    }
}

#[test]
fn a_purge_frees_keys_wherever_they_are() {
    for steps in 0..=10 {
        for kill in [false, true] {
            let mut place = Place::filled();
            place.flush(steps);
            if kill {
                place = place.killed();
            }
            assert_eq!(place.purge(after(1)), EVENTS);
            place.flush(20);
            let moment = format!("after {steps} steps, kill: {kill}");
            assert_eq!((place.count("keys"), place.count("event_ids")), (0, 0), "{moment}");
            assert_eq!(place.found("3"), 0, "{moment}");
            assert!((0..EVENTS).all(|n| place.is_new(numbered(n))), "{moment}");
        }
    }
}

#[test]
fn past_its_window_a_key_belongs_to_the_newest_event() {
    for (steps, then) in [(0, 0), (0, 20), (4, 0), (4, 20), (10, 0), (10, 20)] {
        let mut place = Place::filled();
        place.flush(steps);
        let mut again = numbered(3);
        (again.received_at, again.dedupe_since) = (after(100), after(50));
        assert!(place.is_new(again.clone()), "the window is over");
        assert!(!place.is_new(again.clone()), "and a new one began");
        place.accept((20..30).map(numbered).collect());
        place.flush(then);
        for place in [&mut place.killed(), &mut place] {
            assert_eq!(place.found("3"), 2, "both are there");
            assert_eq!(place.purge(after(1)), 20);
            assert!(!place.is_new(again.clone()), "the older one's purge does not free it");
            assert_eq!(place.found("3"), 1);
        }
    }
}

#[test]
fn either_key_is_enough_and_tells_by_which() {
    for steps in [0, 4, 10] {
        let mut place = Place::filled();
        place.flush(steps);
        let mut twin = numbered(3);
        twin.events[0].keys[0] = key(KeyKind::Id, "another");
        let told = place.accept(vec![twin, numbered(3)]);
        assert!(matches!(told[0], Acceptance::Duplicate { by: KeyKind::Content, .. }));
        assert!(matches!(told[1], Acceptance::Duplicate { by: KeyKind::Id, .. }));
        assert_eq!(place.count("twins"), 1);
    }
}

#[test]
fn events_of_one_name_are_all_found_newest_first() {
    for steps in [0, 4, 10] {
        let mut place = Place::filled();
        let alike = |n: usize| {
            let mut alike = numbered(n);
            alike.events[0].event_id = Some("3".to_owned());
            alike
        };
        place.accept(vec![alike(50)]);
        place.flush(steps);
        let newest = alike(51);
        let id = newest.events[0].id;
        place.accept(vec![newest]);
        let found = browse::find(&place.writer.conn, "3", 9).unwrap();
        assert_eq!((found.len(), found[0]), (3, id));
        assert_eq!(browse::find(&place.writer.conn, "3", 1).unwrap(), [id]);
    }
}

#[test]
fn a_listing_asked_for_a_name_that_looks_like_our_id_finds_both() {
    for steps in [0, 4, 10] {
        let mut place = Place::filled();
        let ours = numbered(50);
        let id = ours.events[0].id;
        let mut theirs = numbered(51);
        theirs.events[0].event_id = Some(id.to_string());
        place.accept(vec![ours, theirs]);
        place.flush(steps);
        let filter = Filter { q: Some(id.to_string()), ..Filter::default() };
        let page = browse::list(&place.writer.conn, &filter, 9, None).unwrap();
        let listed: Vec<_> = page.events.iter().map(|e| e.event_id.clone().unwrap()).collect();
        assert_eq!(listed, [id.to_string(), "50".to_owned()], "after {steps} steps");
    }
}

#[test]
fn a_flush_without_room_costs_nobody_an_answer_and_goes_on_later() {
    let mut place = Place::new();
    place.writer.late.limit = 2_000;
    place.writer.late.step = 2_000;
    place.accept((0..1_000).map(numbered).collect());
    place.no_more_room();
    place.writer.index();
    assert!(!place.writer.is_indexing(), "it does not try without end");
    assert_eq!(place.count("keys"), 0);
    assert!((0..1_000).all(|n| !place.is_new(numbered(n))));
    place.room();
    assert!(place.is_new(delivery("a")));
    place.flush(3);
    assert_eq!(place.count("keys"), 2_000);
    assert!((0..1_000).all(|n| !place.is_new(numbered(n))));
}

/// Numbers that a failed group took may lie behind the flush; the next owner must not give them
/// to events that it then takes for written.
#[test]
fn numbers_of_a_group_that_failed_before_a_flush_hide_no_later_event() {
    let mut place = Place::filled();
    place.no_more_room();
    let answers = place.group(vec![Work::Accept(vec![numbered(20), numbered(21), huge("b")])]);
    assert!(answers[0].is_err());
    place.room();
    place.flush(20);
    assert_eq!(place.count("keys"), 20);
    let mut next = place.killed();
    assert!(next.is_new(numbered(30)));
    let mut next = next.killed();
    assert!(!next.is_new(numbered(30)));
    assert_eq!(next.found("30"), 1);
}

#[test]
fn a_poisoned_store_writes_no_index() {
    let mut place = Place::filled();
    place.flush(4);
    assert!(place.writer.is_indexing());
    place.writer.rolled_back(&StoreError::Failed("the disk".to_owned()), Vec::new());
    assert!(!place.writer.is_indexing(), "else the thread would never rest");
    place.flush(4);
    assert_eq!(place.count("keys"), 12);
}

#[test]
fn a_file_of_the_first_format_keeps_its_keys_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma auto_vacuum = incremental").unwrap();
    conn.execute_batch(include_str!("../migrations/0001_first.sql")).unwrap();
    conn.execute_batch("insert into names values (1, 'partner')").unwrap();
    for n in 0..EVENTS {
        let (seq, old) = (n as i64 + 1, numbered(n));
        let event = &old.events[0];
        let answer = crate::reply_codec::encode(&old.answer);
        let add = "insert into deliveries values (?1, 1, '[]', ?2, x'00')";
        conn.execute(add, params![seq, answer]).unwrap();
        for (kind, key) in event.keys.iter().enumerate() {
            let add = "insert into keys (hash, kind, event, at) values (?1, ?2, ?3, ?4)";
            let at = old.received_at.as_millis();
            conn.execute(add, params![key.hash, kind as i64, seq, at]).unwrap();
        }
        let keys: Vec<u8> = event.keys.iter().flat_map(|key| key.hash).collect();
        let add =
            "insert into events values (?1, ?1, ?2, 1, ?3, 0, 'order.paid', ?4, null, ?5, null)";
        let at = old.received_at.as_millis();
        conn.execute(add, params![seq, event.id.as_bytes(), at, event.event_id, keys]).unwrap();
    }
    conn.execute_batch("pragma application_id = 0x484b5744; pragma user_version = 1").unwrap();
    drop(conn);

    let mut place = Place::open(folder);
    for n in 0..EVENTS {
        let told = place.accept(vec![numbered(n)]).remove(0);
        let Acceptance::Duplicate { answer, .. } = told else { panic!("{n} is known") };
        assert_eq!(answer.body, numbered(n).answer.body);
        assert_eq!(place.found(&n.to_string()), 1);
    }
    place.accept((20..30).map(numbered).collect());
    place.flush(20);
    assert_eq!((place.count("keys"), place.count("event_ids")), (40, 20));
    assert_eq!(place.purge(after(1)), 20);
    assert_eq!((place.count("keys"), place.count("event_ids")), (0, 0));
}
