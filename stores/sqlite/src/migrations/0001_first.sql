-- The first format. Times are milliseconds since 1970. `seq` numbers events in the order of
-- acceptance and is never given twice.

create table meta (
    name  text primary key,
    value integer not null
) strict, without rowid;

-- Names from the configuration: sources and routes.
create table names (
    id   integer primary key,
    name text not null unique
) strict;

-- What came in one request. The id is the `seq` of its first event, so bodies lie in arrival order.
create table deliveries (
    id      integer primary key,
    events  integer not null,       -- so many events, numbered from `id` on
    headers text not null,          -- JSON: [[name, value], …]
    answer  blob not null,          -- status line, headers, empty line, body
    body    blob not null           -- as received
) strict;

create table events (
    seq         integer primary key,
    delivery    integer not null,
    id          blob not null,
    source      integer not null,
    received_at integer not null,
    status      integer not null,   -- without jobs: 0 unrouted, 1 invalid
    event_type  text,
    event_id    text,
    part        text,               -- JSON pointer into the body of a batch
    keys        blob,               -- the hashes of its dedupe keys, 16 bytes each
    notes       text                -- JSON: [note, …]
) strict;
create unique index events_by_id on events (id);
create index events_by_event_id on events (event_id) where event_id is not null;
create index events_by_time on events (received_at);

create table keys (
    hash  blob primary key,
    kind  integer not null,         -- 0 id, 1 content
    event integer not null,
    at    integer not null
) strict, without rowid;

create table jobs (
    event       integer not null,
    n           integer not null,
    route       integer not null,
    state       integer not null default 0,  -- 0 open, 1 done, 2 dead, 3 unrouted
    due         integer not null,
    attempt     integer not null default 0,
    crashes     integer not null default 0,  -- so many times the process died while it ran
    replay      integer not null default 0,
    config_hash integer not null,
    token       integer,            -- of the lease, while it runs
    started     integer,            -- while it runs
    order_key   text,
    step        text,               -- where it goes on
    cause       text,               -- of the next attempt
    reason      text,               -- why it is dead
    body        blob,               -- for `step`, where it is not the event's own
    attempts    text,               -- JSON objects with commas between them
    primary key (event, n)
) strict, without rowid;
create index jobs_open on jobs (route, event, n) where state = 0;
create index jobs_dead on jobs (event, route) where state = 2;

-- Deliveries that were taken as repetitions by their bytes alone.
create table twins (
    event       integer not null,
    n           integer not null,
    event_id    text,
    received_at integer not null,
    primary key (event, n)
) strict, without rowid;
