-- Hashed look-ups are written late and in bulk: `keys` and `event_ids` know the events up to
-- `keys_flushed_to`; those of later ones are in the rows of `events` themselves.

alter table keys drop column kind;

-- By the sender's id: 47 bits of its SHA-256. Whoever finds an event here compares the id itself.
create table event_ids (
    hash  integer not null,
    event integer not null,
    primary key (hash, event)
) strict, without rowid;
drop index events_by_event_id;

insert into meta (name, value)
select 'keys_flushed_to', coalesce(max(seq), 0) from events;
